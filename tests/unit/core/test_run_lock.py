"""A killed run's lock goes, a living run's stays, and jobs end with their run."""

import contextlib
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from codewatt.errors import CodewattError
from codewatt.run_lock import forget_killed_run, hold_run
from tests.support.patience import wait_until

HOLD = """
import sys, time
from codewatt.run_lock import hold_run
hold_run(sys.argv[1], sys.argv[1] + "/results")
print("held", flush=True)
time.sleep(6000)
"""
JOB = """
import subprocess, sys, time
from codewatt.run_lock import hold_run
hold_run(sys.argv[1], sys.argv[1] + "/results")
job = "import time; from codewatt.run_lock import end_with_run; end_with_run(); time.sleep(6000)"
print(subprocess.Popen([sys.executable, "-c", job]).pid, flush=True)
time.sleep(6000)
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
            CodewattError, match=rf"another run is active here .*process {process.pid}\)"
        ):
            hold_run(tmp_path, tmp_path / "results")
    finally:
        process.kill()
        process.wait()


def _left_by_another_host(directory):
    """(pid, lock file) of a run that was killed, as if on another host."""
    process, _ = _start(HOLD, directory)
    process.kill()
    process.wait()
    lock = directory / ".snakemake" / "codewatt.lock"
    lock.write_text(lock.read_text().replace(socket.gethostname(), "another-login-node"))
    return process.pid, lock


def test_a_lock_of_another_host_stays(tmp_path):
    """Its file system may not tell whether that run still lives."""
    _left_by_another_host(tmp_path)
    forget_killed_run(tmp_path)
    assert (tmp_path / ".snakemake" / "locks").is_dir()


def test_a_run_of_another_host_is_left_to_the_user(tmp_path):
    """It may live: its jobs, which the next start would cancel, may be its own."""
    pid, lock = _left_by_another_host(tmp_path)
    done = _held_once(tmp_path)
    assert (
        f"a run on host another-login-node (process {pid}) has not recorded its end" in done.stderr
    )
    assert f"if it has ended: rm {lock}" in done.stderr
    lock.unlink()
    assert _held_once(tmp_path).stdout == "held\n"


def test_a_run_that_ended_says_so(tmp_path):
    for directory in (tmp_path / "one", tmp_path / "two"):
        (directory / ".snakemake").mkdir(parents=True)
    assert _held_once(tmp_path / "one", tmp_path / "results").stdout == "held\n"
    assert (tmp_path / "one" / ".snakemake" / "codewatt.lock").read_text() == ""
    assert (tmp_path / "results" / ".codewatt.lock").read_text() == ""
    assert _held_once(tmp_path / "two", tmp_path / "results").stdout == "held\n"


def test_two_copies_that_write_the_same_results(tmp_path):
    process, _ = _start(HOLD, tmp_path)
    (tmp_path / "copy" / ".snakemake").mkdir(parents=True)
    try:
        done = _held_once(tmp_path / "copy", tmp_path / "results")
    finally:
        process.kill()
        process.wait()
    assert done.stdout == ""
    assert f"{tmp_path / 'results'}: another run is active here" in done.stderr
    lock = tmp_path / "copy" / ".snakemake" / "codewatt.lock"
    assert lock.read_text() == "", "what was refused holds nothing, for other hosts too"


@pytest.mark.parametrize("lives", [True, False])
def test_a_file_system_without_locks(tmp_path, monkeypatch, lives):
    """Lustre without its option flock: what the file says must do."""
    process, _ = _start(HOLD, tmp_path)
    if not lives:
        process.kill()
        process.wait()

    def flock(handle, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    try:
        forget_killed_run(tmp_path)
        assert (tmp_path / ".snakemake" / "locks").is_dir() == lives
        if lives:
            with pytest.raises(CodewattError, match="another run is active here"):
                hold_run(tmp_path, tmp_path / "results")
    finally:
        process.kill()
        process.wait()


def test_a_lock_that_fails_is_one_line(tmp_path, monkeypatch):
    (tmp_path / ".snakemake" / "locks").mkdir(parents=True)

    def flock(handle, operation):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(CodewattError, match=r"codewatt\.lock: it cannot be locked: Input/output"):
        forget_killed_run(tmp_path)


def _held_once(directory, results=None):
    """A run that ends at once, by itself."""
    code = "import sys; from codewatt.run_lock import hold_run; hold_run(*sys.argv[1:])"
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}; print('held')",
            directory,
            results or directory / "results",
        ],
        capture_output=True,
        text=True,
    )


def test_jobs_end_with_the_run_that_was_killed(tmp_path):
    process, job = _start(JOB, tmp_path)
    os.kill(int(job), 0)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    try:
        wait_until(lambda: _state(int(job)) in (None, "Z"), "the end of the job")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(job), signal.SIGKILL)


def _state(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None
