"""A study that really ran is exported, and imported into a fresh checkout, with real Snakemake."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.replication import validate
from tests.support.workbench import SMALL, Workbench

pytestmark = pytest.mark.e2e

#: Files of the checkout that a package holds and a workbench lacks.
_TEXTS = ("CITATION.cff", "LICENSE", "README.md")


def codewatt(bench: Workbench, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the workbench's own library, in its directory."""
    return subprocess.run(
        [sys.executable, "-m", "codewatt.cli", *arguments],
        cwd=bench.root,
        env={**bench.environment(), "PYTHONPATH": str(bench.root / "src")},
        capture_output=True,
        text=True,
    )


def tables(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "tables").iterdir()}


@pytest.fixture(scope="module")
def bench(
    finished_study: Workbench, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Workbench:
    """A copy of the finished study, with what Snakemake knows of it."""
    copied = finished_study.copied(tmp_path_factory.mktemp("replication") / "study")
    for name in _TEXTS:
        shutil.copyfile(repository / name, copied.root / name)
    return copied


@pytest.fixture(scope="module")
def package(bench: Workbench) -> Path:
    """Its package."""
    done = codewatt(bench, "export", "study.yaml", "package.zip")
    assert done.returncode == 0, done.stderr
    assert "left out: weights of" in done.stdout
    return bench.root / "package.zip"


@pytest.fixture
def fresh(repository: Path, tmp_path: Path) -> Workbench:
    """A checkout that never ran anything."""
    (tmp_path / "fresh").mkdir()
    clone = Workbench(repository, tmp_path / "fresh")
    for name in _TEXTS:
        shutil.copyfile(repository / name, clone.root / name)
    return clone


def test_a_package_of_a_real_study_is_a_provenance_run_crate(package: Path, tmp_path: Path) -> None:
    assert validate(package, tmp_path / "cache") == []


def test_a_second_export_has_the_same_bytes(bench: Workbench, package: Path) -> None:
    done = codewatt(bench, "export", "study.yaml", "again.zip")
    assert done.returncode == 0, done.stderr
    assert (bench.root / "again.zip").read_bytes() == package.read_bytes()


def test_a_fresh_checkout_makes_the_same_tables(
    bench: Workbench, package: Path, fresh: Workbench
) -> None:
    done = codewatt(fresh, "import", str(package))
    assert done.returncode == 0, done.stderr
    before, after = bench.root / "results" / "small", fresh.root / "results" / "small"
    assert tables(after) == tables(before)
    assert not list(after.glob("*/*/weights"))
    shutil.copyfile(after / "package" / "settings" / "study.yaml", fresh.study_file)

    # Snakemake takes no measurement for stale, and makes the tables again from the records alone.
    assert fresh.would_run("aggregate_all") == set()
    shutil.rmtree(after / "tables")
    made = {("aggregate", ""), ("statistical_tests", "")}
    assert fresh.would_run("aggregate_all") == made
    fresh.snakemake("--cores", "1", "aggregate_all")
    # The table of the A/A test, if another test made it, is of another target.
    of_target = {k: v for k, v in tables(before).items() if k != "aa_test.csv"}
    assert tables(after) == of_target


def test_stale_results_are_not_exported(bench: Workbench) -> None:
    with bench.edited("study.yaml", "repeats: 2", "repeats: 3"):
        done = codewatt(bench, "export", "study.yaml", "stale.zip")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "files are missing or stale" in line
    assert "results/small/cells/" in line
    assert "(params changed)" in line
    assert not (bench.root / "stale.zip").exists()


def test_missing_results_are_not_exported(bench: Workbench) -> None:
    cell = next((bench.root / "results" / "small" / "cells").iterdir())
    shutil.move(cell / "energy.json", bench.root / "energy.json")
    try:
        done = codewatt(bench, "export", "study.yaml", "missing.zip")
    finally:
        shutil.move(bench.root / "energy.json", cell / "energy.json")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{cell.name}/energy.json (missing)" in line


def test_results_of_an_unknown_history_are_not_exported(bench: Workbench, tmp_path: Path) -> None:
    """Where Snakemake did not run, only modification times would tell whether they are stale."""
    copied = bench.copied(tmp_path / "moved")
    shutil.rmtree(copied.root / ".snakemake")
    done = codewatt(copied, "export", "study.yaml", "unknown.zip")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "Snakemake has no record in" in line


def test_a_study_that_never_ran_is_not_exported(fresh: Workbench) -> None:
    fresh.write_study(SMALL)
    done = codewatt(fresh, "export", "study.yaml", "empty.zip")
    assert done.returncode == 1
    assert "files are missing or stale" in done.stderr
