"""Fixtures for every test: where the benchmark data is, and nothing of this machine's settings."""

import os
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from tests.support.workbench import SMALL, Workbench

REPOSITORY = Path(__file__).resolve().parent.parent

# A slow or busy machine fails no test.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with HumanEval+ and published completions (CODEWATT_TEST_DATA)."""
    folder = os.environ.get("CODEWATT_TEST_DATA")
    if not folder or not (Path(folder) / "humaneval_plus").is_dir():
        pytest.skip("benchmark data is absent: set CODEWATT_TEST_DATA to a folder that holds it")
    return Path(folder)


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workbench:
    """The small study in a copy of the project, run to its end for real.

    It runs once for all processes of pytest-xdist; each process has a copy of its own.
    """
    if worker_id == "master":
        return _run_small_study(tmp_path_factory.mktemp("study"))
    shared = tmp_path_factory.getbasetemp().parent
    with FileLock(shared / "study.lock"):
        if not (shared / "study").exists():
            (shared / "study.running").mkdir()
            _run_small_study(shared / "study.running")
            (shared / "study.running").rename(shared / "study")
        return Workbench.at(shared / "study").copied(tmp_path_factory.mktemp("study") / "copy")


def _run_small_study(root: Path) -> Workbench:
    bench = Workbench(REPOSITORY, root)
    bench.write_study(SMALL)
    bench.snakemake("--cores", "all")
    return bench
