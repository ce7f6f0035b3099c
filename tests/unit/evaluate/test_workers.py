"""How many sandboxes run at a time, if nobody says."""

import os
from pathlib import Path

import pytest

from codewatt.cpu_quota import usable_processors
from codewatt.evaluate.parallel_jobs import MAX_JOBS, check_jobs, default_jobs


@pytest.fixture(autouse=True)
def _no_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)


def cores(monkeypatch: pytest.MonkeyPatch, machine: int, allowed: int) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)))
    monkeypatch.setattr("codewatt.cpu_quota.cpu_quota", lambda mount, own: None)


@pytest.mark.parametrize(
    ("machine", "allowed", "jobs"), [(1, 1, 1), (8, 8, 8), (64, 4, 4), (192, 192, 128), (2, 8, 2)]
)
def test_as_many_as_the_machine_lets_this_process_use(
    machine: int, allowed: int, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores(monkeypatch, machine, allowed)
    assert default_jobs() == jobs
    check_jobs(default_jobs())
    assert jobs <= MAX_JOBS


@pytest.mark.parametrize(
    ("variable", "value", "jobs"),
    [
        ("SLURM_CPUS_PER_TASK", "6", 6),
        ("SLURM_CPUS_ON_NODE", "12", 12),
        ("SLURM_CPUS_ON_NODE", "400", 32),
        ("SLURM_CPUS_PER_TASK", "none", 32),
        ("SLURM_CPUS_PER_TASK", "0", 32),
    ],
)
def test_no_more_than_slurm_gave(
    variable: str, value: str, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores(monkeypatch, 32, 32)
    monkeypatch.setenv(variable, value)
    assert default_jobs() == jobs


def test_no_more_than_the_containers_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 32)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(32)))
    own = tmp_path / "cgroup"
    own.write_text("0::/box\n")
    (tmp_path / "box").mkdir()
    for text, expected in (("350000 100000", 3), ("max 100000", 32), ("50000 100000", 1)):
        (tmp_path / "box" / "cpu.max").write_text(text + "\n")
        assert usable_processors(tmp_path, own) == expected
