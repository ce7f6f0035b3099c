"""The command line of one sandbox: what bubblewrap shows to a program, and as whom it runs.

As root there is no user namespace (limits on the number of processes do not bind root's own user
there); the runner gives up root for a user that nothing else has. For anybody else the sandbox
has a user namespace.
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

_FIRST_UID = 0x40000000
_EVERY_UID = ["0", "0", "4294967295"]

# Isolated, but for the hash seed below; no site, no bytecode.
PYTHON_FLAGS = ("-P", "-s", "-S", "-B")

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    # The same program gets the same verdict, even if it depends on the order of a set.
    "PYTHONHASHSEED": "0",
    # Threads of numerical libraries would count against the limit on processes.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


@lru_cache(maxsize=1)
def bubblewrap() -> str:
    """The path of bwrap; CodewattError, with the command that helps, if it is not installed."""
    path = shutil.which("bwrap")
    if path is None:
        raise CodewattError(
            "sandbox: bubblewrap is not installed; install it, for instance: apt install bubblewrap"
        )
    return path


def drops_root() -> bool:
    """Whether this process is the machine's root, whom no user namespace is needed for."""
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map") as stream:
        return stream.read().split() == _EVERY_UID


def uid_of(slot: int) -> int | None:
    """A user that no other sandbox of this machine has while it runs; None: nothing to drop."""
    own = (os.getpid() << 8) & 0x3FFFFF00
    return _FIRST_UID + own + slot % 256 if drops_root() else None


def counts_processes_by_namespace() -> bool:
    """Whether RLIMIT_NPROC counts within a user namespace (Linux 5.14 and later)."""
    release = os.uname().release.split(".")
    with contextlib.suppress(ValueError, IndexError):
        return (int(release[0]), int(release[1])) >= (5, 14)
    return False


@lru_cache(maxsize=1)
def python_paths() -> list[str]:
    """Directories with installed packages, which a program may import, in their order."""
    given = os.environ.get("PYTHONPATH", "").split(":")
    relative = {os.path.realpath(path) for path in given if not os.path.isabs(path)}
    paths = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    paths = [path for path in paths if os.path.realpath(path) not in relative and _is_shown(path)]
    paths = [sysconfig.get_path(name) for name in ("purelib", "platlib")] + paths
    return list(dict.fromkeys(os.path.realpath(path) for path in paths if os.path.isdir(path)))


def library_path() -> list[str]:
    """The folders of LD_LIBRARY_PATH that a program may see, in their order.

    An empty or a relative entry means the working directory to the dynamic linker, wherever that
    is; a folder that holds the working directory or the user's home is no folder of libraries.
    """
    return [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if _is_shown(path)]


def _is_shown(path: str) -> bool:
    """Whether a folder that an environment variable names may be shown to a program."""
    if not os.path.isabs(path) or not os.path.isdir(path):
        return False
    real = os.path.realpath(path)
    private = [os.path.realpath(folder) for folder in (os.getcwd(), os.path.expanduser("~"))]
    return not any(os.path.commonpath([real, folder]) == real for folder in private)


@lru_cache(maxsize=1)
def interpreter() -> str:
    return os.path.realpath(sys.executable)


def _readable() -> list[str]:
    """What Python needs, as absolute paths without those that lie in another of them."""
    wanted = ["/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/share/zoneinfo", "/etc/ld.so.cache"]
    wanted += [path for path in ("/lib", "/lib64", "/lib32") if not os.path.islink(path)]
    wanted += [interpreter(), *python_paths()]
    for name in ("stdlib", "platstdlib"):
        wanted.append(os.path.realpath(sysconfig.get_path(name)))
    wanted += [os.path.join(sys.base_prefix, name) for name in ("lib", "lib64")]
    wanted += library_path()
    paths: list[str] = []
    for path in sorted({os.path.abspath(path) for path in wanted if os.path.exists(path)}):
        if path != "/" and not any(path.startswith(f"{above}/") for above in paths):
            paths.append(path)
    return paths


@lru_cache(maxsize=4)
def compiled(name: str) -> bytes:
    """A file of the runner, compiled once instead of at every start."""
    with tempfile.TemporaryDirectory(prefix="codewatt-") as folder:
        target = os.path.join(folder, name)
        py_compile.compile(
            str(Path(__file__).with_name(f"{name}.py")),
            cfile=target,
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        return Path(target).read_bytes()


@lru_cache(maxsize=8)
def arguments_of(tmpfs_bytes: int) -> tuple[str, ...]:
    """bubblewrap's arguments, but for the descriptors of one start."""
    arguments = [bubblewrap()]
    if drops_root():
        arguments += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
        arguments += ["--unshare-cgroup-try", "--cap-drop", "ALL"]
        arguments += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        arguments += ["--unshare-all", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]
    arguments += ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--clearenv"]
    environment = dict(ENVIRONMENT)
    if folders := library_path():
        environment["LD_LIBRARY_PATH"] = ":".join(folders)
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    for link in ("/lib", "/lib64", "/lib32"):
        if os.path.islink(link):
            arguments += ["--symlink", os.readlink(link), link]
    # Before what is readable: Python itself may be installed somewhere below /tmp.
    arguments += ["--perms", "1777", "--size", str(tmpfs_bytes), "--tmpfs", "/tmp"]
    parents = {str(up) for path in _readable() for up in Path(path).parents} - {"/", "/tmp"}
    for parent in sorted(parents):
        arguments += ["--perms", "0755", "--dir", parent]  # bubblewrap would make them 0700
    for path in _readable():
        arguments += ["--ro-bind", path, path]
    arguments += ["--perms", "0755", "--dir", "/runner"]
    # Not --dev: its tmpfs has no size, and the user of a user namespace may write to it.
    arguments += ["--size", str(1 << 20), "--tmpfs", "/dev"]
    for name in ("null", "full", "random", "urandom"):
        arguments += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    # No /dev/zero: a shared mapping of it is memory that is in no process's resident size.
    # Nobody writes to /proc: a process could make itself the last that the kernel takes when
    # memory runs out (oom_score_adj), or write to the memory of another one.
    arguments += ["--remount-ro", "/dev", "--proc", "/proc", "--remount-ro", "/proc"]
    return (*arguments, "--chdir", "/tmp")
