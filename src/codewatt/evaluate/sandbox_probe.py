"""Whether this machine can set up the sandbox, found out by setting one up."""

import importlib.util
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.evaluate.bubblewrap import bubblewrap, drops_root
from codewatt.evaluate.resource_limits import Limits
from codewatt.evaluate.sandbox import Request, Sandbox, Suite

# Runs inside: what a program must find there, and what it must not.
_PROGRAM = """
import io, os, random

def read(path):
    return io.FileIO(path).read().decode().splitlines()

def check(packages):
    for package in packages:
        __import__(package)
    status = dict(line.split(":", 1) for line in read("/proc/self/status"))
    if int(status["CapEff"], 16) or status["Seccomp"].strip() != "2":
        return "the program has privileges"
    if os.geteuid() == 0:
        return "the program is root"
    if any(line.split(":")[0].strip() != "lo" for line in read("/proc/net/dev")[2:]):
        return "the network is there"
    for folder in ("/", "/usr/lib", "/dev"):
        try:
            io.FileIO(folder + "/codewatt-probe", "w").close()
            return folder + " can be written to"
        except OSError:
            pass
    return "held"
"""


def probe_sandbox(limits: Limits | None = None) -> str | None:
    """What is missing for the sandbox, in one line with the command that helps; None if nothing.

    Sets one up and looks around in it: 0.1 s.
    """
    try:
        _probe(limits or Limits())
    except CodewattError as error:
        return str(error)
    return None


def require_sandbox(limits: Limits | None = None) -> None:
    """Raise what `probe_sandbox` says, if it says anything.

    Raises:
        CodewattError: the sandbox cannot be set up, or does not hold.
    """
    _probe(limits or Limits())


@lru_cache(maxsize=4)
def _probe(limits: Limits) -> None:
    packages = [name for name in ("numpy",) if importlib.util.find_spec(name) is not None]
    request = Request(_PROGRAM, "check", [Suite([[packages]])], preload=tuple(packages))
    said = b""
    with Sandbox(request, limits) as sandbox:
        while chunk := sandbox.read(0, limits.start_s):
            said += chunk
        if not said:
            raise CodewattError(f"sandbox: it did not start: {sandbox.failure()}{_help()}")
    if said != b'^\n"held"\n.\n':
        found = said.decode(errors="replace").split("\n")[1:2]
        raise CodewattError(f"sandbox: it does not hold: {''.join(found):.200}")


def _help() -> str:
    """The setting that most often forbids user namespaces, if it does here."""
    if drops_root():
        return ""
    for name, allowed in (
        ("kernel/unprivileged_userns_clone", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "0"),
    ):
        setting = Path("/proc/sys", name)
        if setting.is_file() and setting.read_text().strip() != allowed:
            return f"; as root: sysctl {name.replace('/', '.')}={allowed}"
    return ""


def describe_sandbox(limits: Limits, jobs: int) -> dict[str, Any]:
    """How programs are contained, for the record."""
    version = subprocess.run(
        [bubblewrap(), "--version"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "tool": version,
        "privileges": "root given up for a user of its own" if drops_root() else "user namespace",
        "jobs": jobs,
        "total_memory_bytes": limits.total_memory(jobs),
        "limits": limits.to_dict(),
    }
