"""Dry runs of Snakemake without the seconds in which each start imports it.

A server process imports Snakemake once and forks a child for each dry run. The child does what the
command line does. It has imported nothing of codewatt, so that it runs the copy in its directory.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.support.dry_runs", "snakemake.cli"])


def dry_run(
    arguments: list[str], directory: Path, environment: dict[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `snakemake` with these arguments, among them `-n`; its output is in .stdout."""
    assert "-n" in arguments
    with tempfile.NamedTemporaryFile("r", suffix=".log") as output:
        child = _SERVER.Process(
            target=_snakemake, args=(arguments, directory, environment, output.name)
        )
        child.start()
        child.join(timeout_s)
        if child.exitcode is None:
            child.kill()
            raise subprocess.TimeoutExpired(arguments, timeout_s, output.read())
        return subprocess.CompletedProcess(arguments, child.exitcode, output.read())


def _snakemake(
    arguments: list[str], directory: Path, environment: dict[str, str], output: str
) -> None:
    """Become Snakemake's command line in a directory."""
    from snakemake.cli import main

    assert not [name for name in sys.modules if name.split(".")[0] == "codewatt"]
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    stream = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(stream, sys.stdout.fileno())
    os.dup2(stream, sys.stderr.fileno())
    sys.argv = ["snakemake", *arguments]
    main(arguments)
