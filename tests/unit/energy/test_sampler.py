"""The sampler's process: it writes what it read, and ends with the job whatever happens to it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from codewatt.energy.job_meter import JobMeter
from codewatt.energy.sampler import Sampler
from codewatt.energy.timeline_reader import read_timeline
from codewatt.errors import CodewattError
from tests.support.patience import wait_until

#: Times of a job (s), the longer ones for a machine that is too busy to poll often enough.
LONGER_AND_LONGER = (1.2, 12.0, 120.0)


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def process_of(sampler: Sampler) -> subprocess.Popen[bytes]:
    assert sampler._process is not None
    return sampler._process


def test_a_real_job_gets_a_timeline_a_summary_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With CodeCarbon as installed; its own configuration must neither scale nor write."""
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home, here):
        folder.mkdir()
        (folder / ".codecarbon.config").write_text("[codecarbon]\npue=7\nforce_ram_power=999\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CODECARBON_FORCE_RAM_POWER", "555")
    monkeypatch.chdir(here)
    for job_s in LONGER_AND_LONGER:
        with Sampler("timeline.parquet", {"codecarbon_interval_s": 0.2}) as sampler:
            start_s = time.monotonic()
            time.sleep(job_s)
            end_s = time.monotonic()
        read = sampler.summary["meters"]["codecarbon"]
        if read["reads"] >= 6:
            break
    assert read["reads"] >= 6
    assert capfd.readouterr() == ("", "")
    assert {path.name for path in here.iterdir()} == {".codecarbon.config", "timeline.parquet"}
    assert {path.name for path in home.iterdir()} == {".codecarbon.config"}

    told = {meter["name"]: meter for meter in sampler.meters}
    assert set(told) == {"nvml", "rapl", "host", "codecarbon", "node", "perf"}
    assert told["node"]["components"]["power_w"]["detail"] == (
        "not read: energy.node_context is false"
    )
    assert "perf" not in sampler.summary["meters"]
    facts = told["codecarbon"]["facts"]
    assert facts["mode"] in ("cpu_load", "intel_rapl", "constant")
    if told["rapl"]["components"]["dram"]["status"] == "unavailable":
        meter = JobMeter.read("timeline.parquet")
        expected_j = facts["dram_power_w"] * (end_s - start_s)
        assert meter.energy(start_s, end_s)["dram"] == pytest.approx(expected_j, rel=0.05)
        assert meter.statuses()["dram"] == "modelled"
        assert facts["dram_power_w"] < 500
    assert read["failures"] == {}
    assert sampler.summary["startup_cpu_s"] > 0
    assert 0 <= sampler.summary["cpu_share"] < 1
    json.dumps(sampler.summary, allow_nan=False)


@pytest.mark.usefixtures("without_codecarbon")
def test_the_timeline_describes_its_meters_and_outlives_an_interrupt(tmp_path: Path) -> None:
    """An interrupt from the keyboard reaches the whole process group; it is the job's to handle."""
    path = tmp_path / "deep" / "timeline.parquet"
    for job_s in LONGER_AND_LONGER:
        with Sampler(path, {"host_interval_s": 0.05}, gpu_ids=[]) as sampler:
            process_of(sampler).send_signal(signal.SIGINT)
            time.sleep(job_s)
        timeline = read_timeline(path)
        load = timeline.find("host", "host", "cpu_load")["machine"]
        if len(load.t_s) >= 6:
            break
    assert len(load.t_s) >= 6
    assert timeline.meters == sampler.meters
    assert load.unsound == 0
    assert ((load.values >= 0) & (load.values <= 1)).all()
    codecarbon = timeline.meter("codecarbon")
    assert codecarbon is not None
    assert "not installed" in codecarbon["components"]["cpu"]["detail"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.usefixtures("without_codecarbon")
def test_a_killed_sampler_is_one_line_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "timeline.parquet"

    def job() -> None:
        with Sampler(path) as sampler:
            process_of(sampler).kill()

    with pytest.raises(CodewattError, match=r"sampler ended early \(killed by SIGKILL\)") as caught:
        job()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert not path.exists()


@pytest.mark.usefixtures("without_codecarbon")
def test_a_job_that_fails_leaves_no_timeline_and_its_own_error(tmp_path: Path) -> None:
    path, pids = tmp_path / "timeline.parquet", []

    def job() -> None:
        with Sampler(path) as sampler:
            pids.append(process_of(sampler).pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        job()
    assert gone(pids[0])
    assert not path.exists()


_JOB = """
import os, signal, sys, time
from codewatt.energy.sampler import Sampler
sampler = Sampler(sys.argv[1]).start()
if sys.argv[2] == "forked":
    sampler.wait_ready()
    if os.fork() == 0:   # holds the sampler's pipes open
        time.sleep(6000)
        os._exit(0)
print(sampler._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.usefixtures("without_codecarbon")
@pytest.mark.parametrize("when", ["starting", "forked"])
def test_the_sampler_ends_when_its_job_is_killed(tmp_path: Path, when: str) -> None:
    path = tmp_path / "timeline.parquet"
    job = subprocess.Popen(
        [sys.executable, "-c", _JOB, str(path), when],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert job.stdout is not None
    pid = int(job.stdout.readline())
    try:
        job.wait()
        wait_until(lambda: gone(pid), "the end of the sampler")
        assert not path.exists()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
        job.stdout.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"nvml_interval_s": 0},
            "energy.nvml_interval_s: 0: Input should be greater than or equal to 0.001",
        ),
        ({"nvml_interval_s": "x"}, "energy.nvml_interval_s: 'x': Input should be a valid number"),
        (
            {"codecarbon_interval_s": 0.05},
            "energy.codecarbon_interval_s: 0.05: Input should be",
        ),
    ],
)
def test_bad_settings_fail_before_a_process_starts(settings: Any, message: str) -> None:
    with pytest.raises(CodewattError, match=message):
        Sampler("x.parquet", settings)


def test_a_sampler_that_was_not_started_says_so(tmp_path: Path) -> None:
    with pytest.raises(CodewattError, match="not running"):
        Sampler(tmp_path / "x.parquet").stop()
