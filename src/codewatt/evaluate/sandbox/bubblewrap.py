"""The bubblewrap command line of a sandbox: visible files, namespaces and user.

When root starts it, the sandbox has no user namespace, because the limit on processes would not
apply to root there; `sandboxed_runner` switches to a user ID that no other process uses. For any
other user the sandbox has a user namespace.
"""

import contextlib
import os
import py_compile
import shutil
import sys
import sysconfig
import tempfile
from functools import lru_cache
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.units import BYTES_PER_MIB

_FIRST_UID = 0x40000000
_FULL_UID_RANGE = ["0", "0", "4294967295"]

# Isolated except for the hash seed below; no site module, no bytecode files.
PYTHON_FLAGS = ("-P", "-s", "-S", "-B")

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    # A program gets the same verdict each time, even if it depends on the order of a set.
    "PYTHONHASHSEED": "0",
    # Threads of numerical libraries would count towards the limit on processes.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


@lru_cache(maxsize=1)
def find_bubblewrap() -> str:
    """Path of the program bwrap.

    Raises:
        CodewattError: bubblewrap is not installed.
    """
    path = shutil.which("bwrap")
    if path is None:
        raise CodewattError(
            "sandbox: bubblewrap is not installed; install it, for example: apt install bubblewrap"
        )
    return path


def is_machine_root() -> bool:
    """Whether this process is root of the machine, not of a user namespace only."""
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map") as stream:
        return stream.read().split() == _FULL_UID_RANGE


def sandbox_uid(slot: int) -> int | None:
    """User ID that no other running sandbox uses; None if this process is not root."""
    own = (os.getpid() << 8) & 0x3FFFFF00
    return _FIRST_UID + own + slot % 256 if is_machine_root() else None


def process_limit_is_per_namespace() -> bool:
    """Whether RLIMIT_NPROC is counted for each user namespace (Linux 5.14 and later)."""
    release = os.uname().release.split(".")
    with contextlib.suppress(ValueError, IndexError):
        return (int(release[0]), int(release[1])) >= (5, 14)
    return False


@lru_cache(maxsize=1)
def package_paths() -> list[str]:
    """Directories of installed packages that a program may import, in the order of sys.path."""
    given = os.environ.get("PYTHONPATH", "").split(":")
    relative = {os.path.realpath(path) for path in given if not os.path.isabs(path)}
    paths = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    paths = [
        path for path in paths if os.path.realpath(path) not in relative and _may_be_mounted(path)
    ]
    paths = [sysconfig.get_path(name) for name in ("purelib", "platlib")] + paths
    return list(dict.fromkeys(os.path.realpath(path) for path in paths if os.path.isdir(path)))


def shared_library_paths() -> list[str]:
    """Directories of LD_LIBRARY_PATH that a program may see, in their order.

    The dynamic linker resolves an empty or relative entry against the working directory, so these
    are left out; so is a directory that contains the working directory or the user's home.
    """
    return [
        path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if _may_be_mounted(path)
    ]


def _may_be_mounted(path: str) -> bool:
    """Whether a directory named in an environment variable may be visible in the sandbox."""
    if not os.path.isabs(path) or not os.path.isdir(path):
        return False
    real = os.path.realpath(path)
    private = [os.path.realpath(folder) for folder in (os.getcwd(), os.path.expanduser("~"))]
    return not any(os.path.commonpath([real, folder]) == real for folder in private)


@lru_cache(maxsize=1)
def python_interpreter() -> str:
    """Real path of the running Python interpreter."""
    return os.path.realpath(sys.executable)


def _readable_paths() -> list[str]:
    """Absolute paths that Python needs, without paths inside another of them."""
    wanted = ["/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/share/zoneinfo", "/etc/ld.so.cache"]
    wanted += [path for path in ("/lib", "/lib64", "/lib32") if not os.path.islink(path)]
    wanted += [python_interpreter(), *package_paths()]
    for name in ("stdlib", "platstdlib"):
        wanted.append(os.path.realpath(sysconfig.get_path(name)))
    wanted += [os.path.join(sys.base_prefix, name) for name in ("lib", "lib64")]
    wanted += shared_library_paths()
    paths: list[str] = []
    for path in sorted({os.path.abspath(path) for path in wanted if os.path.exists(path)}):
        if path != "/" and not any(path.startswith(f"{above}/") for above in paths):
            paths.append(path)
    return paths


@lru_cache(maxsize=8)
def compiled_runner_file(path: str) -> bytes:
    """Bytecode of a Python file, compiled once instead of at every start."""
    with tempfile.TemporaryDirectory(prefix="codewatt-") as folder:
        target = os.path.join(folder, Path(path).stem)
        py_compile.compile(
            path,
            cfile=target,
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        return Path(target).read_bytes()


@lru_cache(maxsize=8)
def bubblewrap_arguments(tmpfs_bytes: int) -> tuple[str, ...]:
    """Arguments of bubblewrap, without the file descriptors of one start.

    Args:
        tmpfs_bytes: size of the private /tmp (bytes).
    """
    arguments = [find_bubblewrap()]
    if is_machine_root():
        arguments += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
        arguments += ["--unshare-cgroup-try", "--cap-drop", "ALL"]
        arguments += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        arguments += ["--unshare-all", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]
    arguments += ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--clearenv"]
    environment = dict(ENVIRONMENT)
    if folders := shared_library_paths():
        environment["LD_LIBRARY_PATH"] = ":".join(folders)
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    for link in ("/lib", "/lib64", "/lib32"):
        if os.path.islink(link):
            arguments += ["--symlink", os.readlink(link), link]
    # Before the readable paths: Python itself may be installed below /tmp.
    arguments += ["--perms", "1777", "--size", str(tmpfs_bytes), "--tmpfs", "/tmp"]
    parents = {str(up) for path in _readable_paths() for up in Path(path).parents} - {"/", "/tmp"}
    for parent in sorted(parents):
        arguments += ["--perms", "0755", "--dir", parent]  # bubblewrap would make them 0700
    for path in _readable_paths():
        arguments += ["--ro-bind", path, path]
    arguments += ["--perms", "0755", "--dir", "/runner"]
    # Not --dev: its tmpfs has no size limit, and the user of a user namespace may write to it.
    arguments += ["--size", str(BYTES_PER_MIB), "--tmpfs", "/dev"]
    for name in ("null", "full", "random", "urandom"):
        arguments += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    # No /dev/zero: memory of a shared mapping of it is not part of any process's resident size.
    # /proc is read-only: a process could protect itself from the kernel's out-of-memory killer
    # (oom_score_adj), or write to the memory of another process.
    arguments += ["--remount-ro", "/dev", "--proc", "/proc", "--remount-ro", "/proc"]
    return (*arguments, "--chdir", "/tmp")
