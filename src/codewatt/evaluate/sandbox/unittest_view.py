"""The bubblewrap command line of a fork server: what programs that are judged by tests may see.

Other than HumanEval's programs they use files of the system: commands (`ls`, `bash`), fonts,
certificates, time zones. So /usr is visible as a whole, read-only, with a few files of /etc. The
environment is the benchmark's own, not codewatt's.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.evaluate.sandbox.bubblewrap import (
    find_bubblewrap,
    is_machine_root,
    shared_library_paths,
)
from codewatt.units import BYTES_PER_MIB

HOME, FOLDER = "/tmp/home", "/tmp/program"
"""Home and working directory of a program, both in its own /tmp."""

_SERVER_TMPFS_BYTES = 256 * BYTES_PER_MIB
_SYSTEM_FILES = (
    *("/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/magic", "/etc/mime.types"),
    *("/etc/protocols", "/etc/services", "/etc/ssl/certs", "/etc/ssl/openssl.cnf"),
)
_MERGED_FOLDERS = ("/bin", "/sbin", "/lib", "/lib64", "/lib32")

#: Files of /etc that name the machine and its users; the sandbox has its own.
_OWN_FILES = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}

_ENVIRONMENT = {
    "HOME": HOME,
    "USER": "nobody",
    "LANG": "C.UTF-8",
    # A program gets the same verdict each time, even if it depends on the order of a set.
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "Agg",
    **{f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "MKL", "NUMEXPR", "NUMBA")},
    # Set by upstream (bigcodebench 0.2.5, eval/utils.py, reliability_guard).
    "OMP_NUM_THREADS": "1",
    "TZ": "UTC",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}

_DESCRIPTION = (
    "import json, sys, sysconfig; "
    "print(json.dumps([sys.version, sys.base_prefix, sysconfig.get_config_var('LIBDIR')]))"
)


@dataclass(frozen=True)
class Interpreter:
    """A Python environment in which programs run.

    Attributes:
        executable: path of its python, as given (a virtual environment's is a link).
        version: of Python, such as "3.10.13".
        folders: what it consists of: the environment, and the installation below it.
    """

    executable: Path
    version: str
    folders: tuple[str, ...]


@lru_cache(maxsize=4)
def find_interpreter(executable: Path) -> Interpreter:
    """Describe a Python environment, by starting its Python.

    Raises:
        CodewattError: it cannot be started.
    """
    command = [str(executable), "-I", "-S", "-c", _DESCRIPTION]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        version, base, libraries = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise CodewattError(f"{executable}: cannot be started as Python: {error}") from None
    path = Path(os.path.abspath(executable))
    # -S leaves sys.prefix at the base; pyvenv.cfg tells where a virtual environment is.
    own = path.parent.parent
    folders = [str(own)] if (own / "pyvenv.cfg").is_file() else []
    folders += [os.path.realpath(base), base]
    if libraries and libraries.startswith("/"):  # of libpython, if that is a shared library
        folders.append(libraries)
    return Interpreter(path, version.split()[0], tuple(folders))


def fork_server_arguments(interpreter: Interpreter, isolates: bool) -> tuple[str, ...]:
    """Arguments of bubblewrap, without file descriptors and command.

    Args:
        interpreter: the environment of the programs.
        isolates: whether the server gives each program namespaces of its own, which takes
            privileges within this sandbox; else it runs one program, in this sandbox.
    """
    arguments = [find_bubblewrap()]
    capabilities = ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"] if isolates else []
    if is_machine_root():
        arguments += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
        arguments += ["--unshare-cgroup-try"]
        capabilities += ["CAP_SETUID", "CAP_SETGID"]
    else:
        arguments += ["--unshare-all", "--uid", "65534", "--gid", "65534"]
    arguments += ["--cap-drop", "ALL"]
    for name in capabilities:
        arguments += ["--cap-add", name]
    arguments += ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--clearenv"]
    path = f"{interpreter.executable.parent}:/usr/local/bin:/usr/bin:/bin"
    environment = {**_ENVIRONMENT, "PATH": path}
    if libraries := shared_library_paths():
        environment["LD_LIBRARY_PATH"] = ":".join(libraries)
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    # Before the folders below: an environment may be installed below /tmp.
    arguments += ["--perms", "1777", "--size", str(_SERVER_TMPFS_BYTES), "--tmpfs", "/tmp"]
    folders = _visible_paths(interpreter)
    parents = {str(up) for path in folders for up in Path(path).parents} - {"/", "/tmp"}
    for parent in sorted(parents):
        arguments += ["--perms", "0755", "--dir", parent]  # bubblewrap would make them 0700
    for path in folders:
        arguments += ["--ro-bind", path, path]
    for link in _MERGED_FOLDERS:
        if os.path.islink(link):
            arguments += ["--symlink", os.readlink(link), link]
    arguments += ["--perms", "0755", "--dir", "/runner"]
    arguments += ["--size", str(BYTES_PER_MIB), "--tmpfs", "/dev"]
    for name in ("null", "full", "random", "urandom"):
        arguments += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        arguments += ["--symlink", f"/proc/self/fd{target}", f"/dev/{name}"]
    shared = ["--dir", "/dev/shm"]
    if not isolates:
        shared = ["--size", str(_SERVER_TMPFS_BYTES), "--tmpfs", "/dev/shm"]
    arguments += ["--perms", "1777", *shared, "--remount-ro", "/dev"]
    return (*arguments, "--proc", "/proc", "--remount-ro", "/proc", "--chdir", "/tmp")


def own_files() -> dict[str, bytes]:
    """Content of the files of /etc that the sandbox does not share with the machine."""
    return {path: text.encode() for path, text in _OWN_FILES.items()}


def paths_below_tmp(interpreter: Interpreter) -> list[str]:
    """Visible paths below /tmp, where each program has a file system of its own."""
    return [path for path in _visible_paths(interpreter) if path.startswith("/tmp/")]


def _visible_paths(interpreter: Interpreter) -> list[str]:
    """Absolute paths that are visible, without paths inside another of them."""
    wanted = ["/usr", *_SYSTEM_FILES, *interpreter.folders, *shared_library_paths()]
    wanted += [path for path in _MERGED_FOLDERS if not os.path.islink(path)]
    paths: list[str] = []
    for path in sorted({os.path.abspath(path) for path in wanted if os.path.exists(path)}):
        if path != "/" and not any(path.startswith(f"{above}/") for above in paths):
            paths.append(path)
    return paths
