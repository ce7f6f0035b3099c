"""The launcher process: starts sandboxes for one judge, and kills them all when the judge ends.

Runs as a script in a bare interpreter (`python -I -S -B launcher_process.py SOCKET JUDGE_PID`), so
it imports only the standard library.

Why it is needed: bubblewrap asks the kernel to be killed together with its parent, but only some
time after its start, and its first process inside asks even later. A judge that is killed in
between would leave that process behind. Therefore sandboxes are children of this process. It is a
child subreaper: a process below it that loses its parent becomes its child, and is killed. When
the judge ends, for whatever reason, this process kills all its children.

It runs in its own session, so signals to the judge's process group do not reach it.

Messages on the socket (SOCK_SEQPACKET), each with file descriptors:
    from the judge: {"argv": [...]}, with the descriptors 2, 3, 4, ... of the new process
    to the judge:   {"pid": PID}, with a process descriptor; or {"error": TEXT}
"""

import _ctypes
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys

_PR_SET_CHILD_SUBREAPER = 36
_MESSAGE_BYTES = 1 << 20
_MAX_DESCRIPTORS = 64
_FIRST_DESCRIPTOR = 2  # standard error
_OWN_DESCRIPTORS_FROM = 128  # above all descriptor numbers of the new process


def _become_subreaper() -> None:
    library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
    prctl = _ctypes.dlsym(library, "prctl")
    if _ctypes.call_function(prctl, (_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)):
        raise OSError("PR_SET_CHILD_SUBREAPER failed")


def _prefer_when_out_of_memory() -> None:
    """Let the kernel kill sandboxes first when memory runs out; only root can undo this."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")


def _children() -> set[int]:
    found: set[int] = set()
    with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as stream:
        found.update(map(int, stream.read().split()))
    return found


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _kill_all() -> None:
    """Kill children until none is left, including those that are still being started."""
    while True:
        for pid in _children():
            _kill(pid)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _reap(known: set[int]) -> None:
    """Remove ended sandboxes from `known`, and kill the processes that they left behind."""
    with contextlib.suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            known.discard(pid)
    for pid in _children() - known:
        _kill(pid)


def _start(argv: list[str], descriptors: list[int]) -> int:
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        *((os.POSIX_SPAWN_DUP2, own, _FIRST_DESCRIPTOR + i) for i, own in enumerate(descriptors)),
    ]
    defaults = [signal.SIGPIPE, signal.SIGXFSZ]  # Python ignores them
    return os.posix_spawn(
        argv[0], argv, {}, file_actions=actions, setsid=True, setsigdef=defaults, setsigmask=[]
    )


def _handle_request(link: socket.socket, known: set[int]) -> bool:
    """Answer one request; False if the judge closed the socket."""
    message, received, _, _ = socket.recv_fds(link, _MESSAGE_BYTES, _MAX_DESCRIPTORS)
    own = [
        fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OWN_DESCRIPTORS_FROM)
        for descriptor in received
    ]
    for descriptor in received:
        os.close(descriptor)
    if not message:
        return False
    try:
        pid = _start(json.loads(message)["argv"], own)
    except OSError as error:
        link.send(json.dumps({"error": str(error)}).encode())
        return True
    finally:
        for descriptor in own:
            os.close(descriptor)
    known.add(pid)
    handle = os.pidfd_open(pid)
    socket.send_fds(link, [json.dumps({"pid": pid}).encode()], [handle])
    os.close(handle)
    return True


def main() -> None:
    """Serve requests until the judge ends, then kill all sandboxes."""
    link = socket.socket(fileno=int(sys.argv[1]))
    link.set_inheritable(False)  # sandboxes must not inherit this socket
    _become_subreaper()
    _prefer_when_out_of_memory()
    os.chdir("/")
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    known: set[int] = set()
    try:
        judge = os.pidfd_open(int(sys.argv[2]))
        poll = select.poll()
        for descriptor in (link.fileno(), judge, woken):
            poll.register(descriptor, select.POLLIN)
        # The judge may have ended before pidfd_open, and its process ID may have been reused.
        while os.getppid() == int(sys.argv[2]):
            ready = {descriptor for descriptor, _ in poll.poll()}
            if judge in ready:
                break
            if woken in ready:
                os.read(woken, 4096)
                _reap(known)
            if link.fileno() in ready and not _handle_request(link, known):
                break
    except OSError:
        pass  # the judge has ended
    finally:
        _kill_all()


if __name__ == "__main__":
    main()
