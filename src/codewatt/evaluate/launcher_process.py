"""The launcher: starts sandboxes for one judge, and leaves none behind when the judge has gone.

Run as a script by a bare interpreter (`python -I -S -B launcher_process.py SOCKET JUDGE_PID`); it
imports nothing but the standard library. bubblewrap asks the kernel to be killed with its parent,
but only some time after it was started, and its first process inside asks even later: a judge that
is killed in between would leave that process waiting for ever. So the judge's sandboxes are
children of this process. What loses its parent below it becomes its own child (it is a child
subreaper) and is killed; and when the judge ends, however it ends, everything is.

It has a session of its own, so that signals to the judge's process group do not reach it.

Messages on the socket (SOCK_SEQPACKET), each with descriptors:
    from the judge: {"argv": [...]}, with what becomes descriptors 2, 3, 4, ... of the new process
    to the judge:   {"pid": PID}, with a PID descriptor; or {"error": TEXT}
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
_MOST_DESCRIPTORS = 64
_FIRST = 2  # standard error
_OWN_FROM = 128  # above all numbers that the new process gets


def _become_subreaper() -> None:
    library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
    prctl = _ctypes.dlsym(library, "prctl")
    if _ctypes.call_function(prctl, (_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)):
        raise OSError("PR_SET_CHILD_SUBREAPER failed")


def _expendable() -> None:
    """Have the kernel take sandboxes first if memory runs out, for good where root says so."""
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
    """Until nothing is left below this process, what is still being started included."""
    while True:
        for pid in _children():
            _kill(pid)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _reap(known: set[int]) -> None:
    """Forget the sandboxes that have ended, and kill what they left to this process."""
    with contextlib.suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            known.discard(pid)
    for pid in _children() - known:
        _kill(pid)


def _start(argv: list[str], descriptors: list[int]) -> int:
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        *((os.POSIX_SPAWN_DUP2, own, _FIRST + i) for i, own in enumerate(descriptors)),
    ]
    defaults = [signal.SIGPIPE, signal.SIGXFSZ]  # Python ignores them
    return os.posix_spawn(
        argv[0], argv, {}, file_actions=actions, setsid=True, setsigdef=defaults, setsigmask=[]
    )


def _serve(link: socket.socket, known: set[int]) -> bool:
    """Answer one request; False when the judge has closed its end."""
    message, received, _, _ = socket.recv_fds(link, _MESSAGE_BYTES, _MOST_DESCRIPTORS)
    own = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OWN_FROM) for descriptor in received]
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
    link = socket.socket(fileno=int(sys.argv[1]))
    link.set_inheritable(False)  # no sandbox gets this end
    _become_subreaper()
    _expendable()
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
        # The judge may have ended before it was watched, and its number be somebody else's.
        while os.getppid() == int(sys.argv[2]):
            ready = {descriptor for descriptor, _ in poll.poll()}
            if judge in ready:
                break
            if woken in ready:
                os.read(woken, 4096)
                _reap(known)
            if link.fileno() in ready and not _serve(link, known):
                break
    except OSError:
        pass  # the judge has gone
    finally:
        _kill_all()


if __name__ == "__main__":
    main()
