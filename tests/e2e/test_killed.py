"""Killed anywhere and started again by the same command, a study ends with the same tables."""

import copy
import os
import signal
import subprocess
import time

import pandas as pd
import pytest

from codewatt.files import read_json, read_jsonl
from tests.support.patience import PATIENCE_S
from tests.support.workbench import SAME, SMALL, Workbench

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def started_again(repository, tmp_path_factory):
    """One model, killed once as a whole and once in a job, and started again each time."""
    bench = Workbench(repository, tmp_path_factory.mktemp("killed"))
    study = copy.deepcopy(SMALL)
    study["models"], study["exclude"] = study["models"][:1], study["exclude"][:1]
    bench.write_study(study)
    _killed_in(bench, "train_nano", lambda run: run.pid)
    _killed_in(bench, "generate", lambda run: run.pid)
    _killed_in(bench, "generate", _script_of)
    _killed_in(bench, "evaluate", lambda run: run.pid)
    bench.snakemake("--cores", "all")
    return bench


def _killed_in(bench, rule, victim):
    """Start the study, kill a process of it with SIGKILL while a rule runs, see all of it end."""
    logs = bench.root / "results/small/logs" / rule
    before = {path: path.stat().st_mtime_ns for path in logs.glob("*.log")}
    run = subprocess.Popen(
        bench.command("--cores", "all", "--quiet", "all"),
        cwd=bench.root,
        env=bench.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE_S
    while {p: p.stat().st_mtime_ns for p in logs.glob("*.log")} == before:
        assert run.poll() is None, f"the study ended before {rule} began"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.0)  # into its work: imports, loading, tokens
    os.kill(victim(run), signal.SIGKILL)
    assert run.wait(timeout=PATIENCE_S) != 0
    deadline = time.monotonic() + PATIENCE_S
    while left := _processes_in(bench):
        assert time.monotonic() < deadline, f"left over: {left}"
        time.sleep(0.2)


def _script_of(run):
    """The script's own process among the run's descendants."""
    import psutil

    for child in psutil.Process(run.pid).children(recursive=True):
        if any(part.endswith(".py") and "scripts" in part for part in child.cmdline()):
            return child.pid
    raise AssertionError("no script is running")


def _processes_in(bench):
    """Command lines of living processes whose working directory is the copy."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(bench.root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def test_nothing_is_left_to_do(started_again):
    assert started_again.would_run() == set()


def test_no_half_written_file_is_left(started_again):
    results = started_again.root / "results"
    assert not [path for path in results.rglob("*") if ".part" in path.name]


@pytest.mark.parametrize("level", SAME)
def test_tables_are_those_of_a_run_that_was_not_killed(started_again, finished_study, level):
    """What is measured differs from run to run; every identity, count and verdict is the same."""
    tables = []
    for bench in (started_again, finished_study):
        table = pd.read_parquet(bench.root / f"results/small/tables/{level}.parquet")
        tables.append(table[table["model"] == "one"].reset_index(drop=True))
    assert len(tables[0]) > 0
    assert list(tables[0].columns) == list(tables[1].columns)
    pd.testing.assert_frame_equal(tables[0][SAME[level]], tables[1][SAME[level]])


def test_every_file_is_the_one_its_manifest_describes(started_again):
    from codewatt.files import check_files

    for manifest in (started_again.root / "results/small/cells").glob("*/generate.json"):
        check_files(manifest.parent, read_json(manifest)["files"])
        assert list(read_jsonl(manifest.parent / "completions.jsonl.gz"))
