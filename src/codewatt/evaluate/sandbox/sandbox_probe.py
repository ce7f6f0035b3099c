"""Tests whether the sandbox works on this machine, by starting one."""

import importlib.util
import subprocess
from functools import lru_cache
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.evaluate.evaluate_record import SandboxRecord
from codewatt.evaluate.sandbox.bubblewrap import find_bubblewrap, is_machine_root
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.sandbox import Sandbox, SandboxRequest, SuiteInputs

# Runs inside the sandbox: checks what a program must and must not find there.
_PROGRAM = """
import io, os, random

def read(path):
    return io.FileIO(path).read().decode().splitlines()

def check(packages):
    for package in packages:
        __import__(package)
    status = dict(line.split(":", 1) for line in read("/proc/self/status"))
    if int(status["CapEff"], 16) or status["Seccomp"].strip() != "2":
        return "a program has privileges"
    if os.geteuid() == 0:
        return "a program runs as root"
    if any(line.split(":")[0].strip() != "lo" for line in read("/proc/net/dev")[2:]):
        return "a program can see the network"
    for folder in ("/", "/usr/lib", "/dev"):
        try:
            io.FileIO(folder + "/codewatt-probe", "w").close()
            return "a program can write to " + folder
        except OSError:
            pass
    return "isolated"
"""


def require_sandbox(limits: Limits | None = None) -> None:
    """Check that the sandbox works on this machine, by starting one (0.1 s, once per process).

    Raises:
        CodewattError: the sandbox cannot be started, or does not isolate programs.
    """
    _probe(limits or Limits())


@lru_cache(maxsize=4)
def _probe(limits: Limits) -> None:
    packages = [name for name in ("numpy",) if importlib.util.find_spec(name) is not None]
    request = SandboxRequest(
        _PROGRAM, "check", [SuiteInputs([[packages]])], preload=tuple(packages)
    )
    report = b""
    with Sandbox(request, limits) as sandbox:
        while chunk := sandbox.read(0, limits.start_s):
            report += chunk
        if not report:
            raise CodewattError(
                f"sandbox: did not start: {sandbox.startup_error()}{_user_namespace_hint()}"
            )
    if report != b'^\n"isolated"\n.\n':
        found = report.decode(errors="replace").split("\n")[1:2]
        raise CodewattError(f"sandbox: does not isolate programs: {''.join(found):.200}")


def _user_namespace_hint() -> str:
    """The usual kernel setting that forbids user namespaces, if it is set so here."""
    if is_machine_root():
        return ""
    for name, allowed in (
        ("kernel/unprivileged_userns_clone", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "0"),
    ):
        setting = Path("/proc/sys", name)
        if setting.is_file() and setting.read_text().strip() != allowed:
            return f"; as root: sysctl {name.replace('/', '.')}={allowed}"
    return ""


def describe_sandbox(limits: Limits, jobs: int, forked: bool = False) -> SandboxRecord:
    """How programs are isolated, for evaluate.json: tool, privileges, start, jobs and limits."""
    version = subprocess.run(
        [find_bubblewrap(), "--version"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "tool": version,
        "privileges": "root, replaced by a separate user ID"
        if is_machine_root()
        else "user namespace",
        "start": "forked from a warm process" if forked else "one sandbox for each program",
        "jobs": jobs,
        "total_memory_bytes": limits.total_memory_limit(jobs),
        "limits": limits.to_dict(),
    }
