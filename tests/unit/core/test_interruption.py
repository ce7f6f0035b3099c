"""A killed run's lock goes, a living run's stays, and jobs end with their run."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from codewatt.errors import CodewattError
from codewatt.interruption import forget_killed_run, hold_run

HOLD = """
import sys, time
from codewatt.interruption import hold_run
hold_run(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""
JOB = """
import subprocess, sys, time
from codewatt.interruption import hold_run
hold_run(sys.argv[1])
job = "import time; from codewatt.interruption import end_with_run; end_with_run(); time.sleep(60)"
print(subprocess.Popen([sys.executable, "-c", job]).pid, flush=True)
time.sleep(60)
"""


def _start(script, directory):
    (directory / ".snakemake" / "locks").mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(directory)], stdout=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().strip()


def test_a_living_runs_lock_stays_and_a_killed_ones_goes(tmp_path):
    process, _ = _start(HOLD, tmp_path)
    try:
        forget_killed_run(tmp_path)
        assert (tmp_path / ".snakemake" / "locks").is_dir()
    finally:
        process.kill()
        process.wait()
    forget_killed_run(tmp_path)
    assert not (tmp_path / ".snakemake" / "locks").exists()


def test_two_runs_of_one_directory(tmp_path):
    process, _ = _start(HOLD, tmp_path)
    try:
        with pytest.raises(
            CodewattError, match=rf"a run is at work here .*process {process.pid}\)"
        ):
            hold_run(tmp_path)
    finally:
        process.kill()
        process.wait()


def test_a_lock_of_another_host_stays(tmp_path):
    """Its file system may not tell whether that run still lives."""
    process, _ = _start(HOLD, tmp_path)
    process.kill()
    process.wait()
    lock = tmp_path / ".snakemake" / "codewatt.lock"
    lock.write_text(lock.read_text().replace(socket.gethostname(), "another-login-node"))
    forget_killed_run(tmp_path)
    assert (tmp_path / ".snakemake" / "locks").is_dir()


def test_jobs_end_with_the_run_that_was_killed(tmp_path):
    process, job = _start(JOB, tmp_path)
    os.kill(int(job), 0)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = _state(int(job))
        if status in (None, "Z"):
            return
        time.sleep(0.1)
    os.kill(int(job), signal.SIGKILL)
    raise AssertionError("the job outlived its run by 10 s")


def _state(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None
