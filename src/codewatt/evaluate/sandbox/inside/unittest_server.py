"""The fork server inside the sandbox: imports the libraries once, then forks for each program.

Runs as a script (`python -s -B unittest_server.py SOCKET CONFIG`) in bubblewrap's view of the
machine, with the benchmark's Python (3.10 or later); it imports only the standard library, the
files beside it and the libraries that it is told to import. It never runs untrusted code: every
program runs in a process of its own, which first isolates itself.

Processes of one program:
    the fork server
      └ the first process of a new PID namespace: isolates itself, gives up all privileges,
        waits for the program and ends, which ends everything that the program started
          └ the program, with a system-call filter

Each program has PID, mount, network and IPC namespaces of its own, a /tmp and /dev/shm of its own,
and a network of one loopback interface. What it shares with other programs is read-only files and
the memory of the fork server as it was before the fork.

The pipe gets "^" when the program is about to start, and then its report; without "^" the text is
the reason why it could not be isolated.

Messages on the socket (SOCK_SEQPACKET):
    from the judge: {"nonce": TEXT, "uid": NUMBER or null, "cpu_s": NUMBER}, with two descriptors:
                    the program (a JSON file {"code": TEXT, "test": TEXT}) and the pipe for the
                    report
    to the judge:   {}, with a process descriptor of the program's first process; or {"error": TEXT}
The server sends {} once before the first message, when all libraries are imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib
import json
import os
import resource
import signal
import socket
import struct
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

# Files beside this one in the sandbox; programs must not be able to import them.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
_guard: Any = importlib.import_module("bigcodebench_guard")
_program: Any = importlib.import_module("unittest_program")
del sys.path[0], sys.modules["bigcodebench_guard"], sys.modules["unittest_program"]

_libc = ctypes.CDLL(None, use_errno=True)

_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWPID, _CLONE_NEWNET = (
    *(0x20000, 0x8000000),
    *(0x20000000, 0x40000000),
)
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND = 1, 2, 4, 8, 4096
_MS_REC, _MS_PRIVATE = 16384, 1 << 18
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 4, 38, 22, 2
_CAPABILITY_VERSION_3 = 0x20080522
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_MESSAGE_BYTES = 1 << 16


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


# ---------------------------------------------------------------- isolation of one program


def _isolate(config: dict[str, Any]) -> None:
    """Give this process namespaces, a /tmp and a loopback interface of its own."""
    _check(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWIPC), "unshare")
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    # The Python environment may be installed below /tmp, which is covered now.
    kept = [(path, os.open(path, os.O_PATH)) for path in config["kept_paths"]]
    options = f"size={config['tmpfs_bytes']},mode=0755"
    _mount("tmpfs", "/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV, options)
    # One file system for both folders, so that one size limit and one count hold for both.
    for name in ("tmp", "shm"):
        os.mkdir(f"/tmp/{name}")
        os.chmod(f"/tmp/{name}", 0o1777)
    _mount("/tmp/shm", "/dev/shm", None, _MS_BIND)
    _mount("/tmp/tmp", "/tmp", None, _MS_BIND)
    for path, folder in kept:
        os.makedirs(path)
        _mount(f"/proc/self/fd/{folder}", path, None, _MS_BIND)  # still read-only
        os.close(folder)
    # Read-only: a process could protect itself from the kernel's out-of-memory killer there.
    _mount("proc", "/proc", "proc", _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        asked = fcntl.ioctl(link, _SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        flags = struct.unpack("16sh22x", asked)[1] | _IFF_UP
        fcntl.ioctl(link, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags))


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    def text(value: str | None) -> bytes | None:
        return None if value is None else value.encode()

    result = _libc.mount(text(source), text(target), text(kind), flags, text(data or None))
    _check(result, f"mount {target}")


def _give_up_privileges(rlimits: dict[str, int], uid: int | None) -> None:
    """Give up root and all capabilities for ever, and limit what all child processes use."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, bytes(24)), "capset")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    _limit_resources(rlimits)
    # No process inside can read this process.
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE")


def _limit_resources(rlimits: dict[str, int]) -> None:
    for name, value in rlimits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _filter_system_calls(config: dict[str, Any]) -> None:
    """Install the filter; the program may read its own /proc entries, unlike its parent's."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "PR_SET_DUMPABLE")
    text = bytes.fromhex(config["seccomp"])
    instructions = ctypes.create_string_buffer(text, len(text))
    program = struct.pack("HxxxxxxP", len(text) // 8, ctypes.addressof(instructions))
    buffer = ctypes.create_string_buffer(program, len(program))
    result = _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(buffer), 0, 0)
    _check(result, "PR_SET_SECCOMP")


def _become_first_process(
    config: dict[str, Any], order: dict[str, Any], program: int, report: int
) -> NoReturn:
    """Run one program and end; all its processes end with this one."""
    try:
        # The first process of a PID namespace gets only the signals that it handles.
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        with open(program, "rb") as stream:
            request = json.load(stream)
        if config["isolates"]:
            _isolate(config)
        rlimits = {**config["rlimits"], "RLIMIT_CPU": order["cpu_s"]}
        # Not of this process: if programs share a user ID, it could not start its child while
        # another program has as many processes as it can.
        processes = {name: rlimits.pop(name) for name in {"RLIMIT_NPROC"} & set(rlimits)}
        _give_up_privileges(rlimits, order["uid"])
        os.write(report, b"^")
        child = os.fork()
        if child == 0:
            _limit_resources(processes)
            _run_program(config, request, order["nonce"], report)
        os.close(report)
        while os.waitpid(-1, 0)[0] != child:
            pass
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(report, f"!{error}".encode())
    os._exit(0)


def _run_program(
    config: dict[str, Any], request: dict[str, str], nonce: str, report: int
) -> NoReturn:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for folder in (config["home"], config["folder"]):
        os.makedirs(folder, exist_ok=True)
    os.chdir(config["folder"])
    # What a program sees as `__main__`, and a child process of it would run again.
    kept = sys.modules["__main__"]  # noqa: F841
    sys.modules["__main__"] = types.ModuleType("__main__")
    _filter_system_calls(config)
    _guard.install_guard()
    try:
        _program.run_program(request["code"], request["test"], nonce, report)
    finally:
        os._exit(1)


# ---------------------------------------------------------------- the server


def _serve(link: socket.socket, config: dict[str, Any]) -> None:
    """Fork for each message until the judge closes the socket."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    while True:
        text, received, _, _ = socket.recv_fds(link, _MESSAGE_BYTES, 2)
        if not text:
            return
        program, report = received
        try:
            first = _fork(link, own, config, json.loads(text), program, report)
        except OSError as error:
            link.send(json.dumps({"error": str(error)}).encode())
            continue
        finally:
            os.close(program)
            os.close(report)
        socket.send_fds(link, [b"{}"], [first])
        os.close(first)
        if not config["isolates"]:
            # The sandbox ends with this process, and everything in it belongs to the program.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, 0)
            return


def _fork(
    link: socket.socket,
    own: int,
    config: dict[str, Any],
    order: dict[str, Any],
    program: int,
    report: int,
) -> int:
    """Start the first process of a program; returns its process descriptor."""
    if config["isolates"]:
        _check(_libc.setns(own, _CLONE_NEWPID), "setns")
        _check(_libc.unshare(_CLONE_NEWPID), "unshare")
    go, start = os.pipe()
    pid = os.fork()
    if pid == 0:
        link.close()
        for descriptor in (own, start):
            os.close(descriptor)
        os.dup2(1, 2)
        os.read(go, 1)  # an ended process has no descriptor that could be opened
        os.close(go)
        _become_first_process(config, order, program, report)
    first = os.pidfd_open(pid)
    os.close(go)
    os.close(start)
    return first


def main() -> None:
    """Import the libraries, report that, serve."""
    link = socket.socket(fileno=int(sys.argv[1]))
    link.set_inheritable(False)
    with open(int(sys.argv[2]), encoding="utf-8") as stream:
        config = json.load(stream)
    os.makedirs(config["home"], exist_ok=True)
    sys.argv[:] = ["judge"]
    # Warnings of libraries would fill the pipe, which is for the reason why this process ended.
    errors = os.dup(2)
    os.dup2(1, 2)
    _program.preload(config["preload"])
    os.dup2(errors, 2)
    os.close(errors)
    # Ended programs are reaped by the kernel.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if (count := len(os.listdir("/proc/self/task"))) > 1:
        raise SystemExit(f"the libraries started {count - 1} threads; forks would lack them")
    link.send(b"{}")
    _serve(link, config)


if __name__ == "__main__":
    main()
