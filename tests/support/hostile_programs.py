"""Hostile programs: each answers correctly only if its attack succeeds.

Many first undo EvalPlus's guard (`posix`, `ctypes`), so that it is the sandbox that must contain
them. FD stands for the descriptor of results, {NAME} for a secret outside the sandbox.
"""

# What the attacks share: the functions that the guard took away, from where it does not look.
TOOLS = """
import ctypes, io, posix, signal, sys, time
libc = ctypes.CDLL(None, use_errno=True)

def tried(action):
    try:
        return bool(action())
    except OSError:
        return False

def read(path):
    return tried(lambda: io.FileIO(path).read())

def write(path):
    return tried(lambda: io.FileIO(path, "w").write(b"x"))

def answer(x):
    return x + 1 if attack() else None
"""

CONNECT = "import socket\ndef attack():\n"

ATTACKS = {
    "connect to an address": CONNECT
    + "    return tried(lambda: socket.create_connection(('1.1.1.1', 53), 0.2) or True)\n",
    "connect to this machine": CONNECT
    + "    return tried(lambda: socket.create_connection(('127.0.0.1', {port}), 0.2) or True)\n",
    "ask for a name": CONNECT + "    return tried(lambda: socket.getaddrinfo('example.com', 80))\n",
    "connect to an abstract socket": CONNECT
    + "    s = socket.socket(socket.AF_UNIX)\n"
    + "    return tried(lambda: s.connect('\\0{abstract}') or True)\n",
    "reach the virtual machine's host": CONNECT
    + "    return tried(lambda: socket.socket(socket.AF_VSOCK) and True)\n",
    "talk to the kernel's netlink": CONNECT
    + "    return tried(lambda: socket.socket(socket.AF_NETLINK) and True)\n",
    "read the users": "def attack(): return read('/etc/passwd') or read('/etc/shadow')\n",
    "read a file of the user": "def attack(): return read('{secret}')\n",
    "read the checkout": "def attack(): return read('{checkout}/pyproject.toml')\n",
    "read the benchmark's package": "def attack(): return read('{package}')\n",
    "read the first process's environment": "def attack():\n"
    "    return tried(lambda: b'CODEWATT_SECRET' in io.FileIO('/proc/1/environ').read())\n",
    "read the environment": "import os\n"
    "def attack(): return 'CODEWATT_SECRET' in str([*os.environ, *posix.environ])\n",
    "see the machine's processes": "def attack():\n"
    "    return sum(name.isdigit() for name in posix.listdir('/proc')) > 8\n",
    "write outside": "def attack():\n"
    "    return any([write(folder + '/x') for folder in\n"
    "                ('', '/usr/lib', '/etc', '/dev', '/runner', '/proc/sys', '{folder}')])\n",
    "write to the interpreter": "def attack():\n"
    "    return write(sys.executable) or write(io.__file__)\n",
    "mount something": "def attack():\n"
    "    return libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0\n",
    "enter a namespace of its own": "def attack():\n    return libc.unshare(0x10000000) == 0\n",
    "become root": "def attack():\n"
    "    return libc.setresuid(0, 0, 0) == 0 or libc.setgid(0) == 0\n",
    "trace the parent": "def attack():\n    return libc.ptrace(16, posix.getppid(), 0, 0) == 0\n",
    "hold memory that no limit counts": "def attack():\n"
    "    return libc.memfd_create(b'x', 0) >= 0 or libc.shmget(0, 1 << 20, 0o1600) >= 0\n",
    "a shared mapping of no file": "import mmap\ndef attack():\n"
    "    return tried(lambda: len(mmap.mmap(-1, 1 << 20)))\n",
    "a shared mapping of zeros": "import mmap\ndef attack():\n"
    "    return tried(lambda: mmap.mmap(posix.open('/dev/zero', posix.O_RDWR), 1 << 20))\n",
    "pages of a huge page pool": "import mmap\ndef attack():\n"
    "    return tried(lambda: mmap.mmap(-1, 2 << 20, flags=0x40000 | mmap.MAP_PRIVATE | 0x20))\n",
    "pin pages in a pipe": "def attack():\n"
    "    _, end = posix.pipe()\n"
    "    page = ctypes.create_string_buffer(4096)\n"
    "    vector = (ctypes.c_size_t * 2)(ctypes.addressof(page), 4096)\n"
    "    return libc.vmsplice(end, vector, 1, 0) > 0\n",
    "larger pipes": "import fcntl\ndef attack():\n"
    "    return tried(lambda: fcntl.fcntl(posix.pipe()[0], 1031, 1 << 18))\n",
    "the machine's aio requests": "def attack():\n"
    "    context = ctypes.c_ulong(0)\n"
    "    return libc.syscall({io_setup}, 64, ctypes.byref(context)) == 0\n",
    "the user's file watches": "def attack(): return libc.inotify_init1(0) >= 0\n",
    "be the last that is killed": "def attack():\n"
    "    libc.prctl(4, 1, 0, 0, 0)\n"
    "    return tried(lambda: io.FileIO('/proc/self/oom_score_adj', 'w').write(b'-1000')) or (\n"
    "        tried(lambda: io.FileIO('/proc/self/oom_score_adj', 'w').write(b'0')))\n",
    "be dumpable again": "def attack(): return libc.prctl(4, 1, 0, 0, 0) == 0\n",
    "write to the parent's memory": "def attack():\n"
    "    return write('/proc/%d/mem' % posix.getppid()) or write('/proc/self/mem')\n",
    "limit the parent": "def attack():\n"
    "    return libc.prlimit(posix.getppid(), 7, (ctypes.c_ulong * 2)(9, 9), None) == 0\n",
    "slow the parent down": "def attack():\n"
    "    if libc.setpriority(0, posix.getppid(), 9) == 0 or libc.setpriority(2, 0, 9) == 0:\n"
    "        return True\n"
    "    return (tried(lambda: posix.sched_setaffinity(posix.getppid(), {0}) or True))\n",
    "a session of its own": "def attack():\n"
    "    return posix.getsid(0) == posix.getpid() or tried(lambda: posix.setsid() or True)\n",
    "a share of a core for itself": "def attack(): return libc.prctl(62, 1, 0, 0, 0) == 0\n",
    "see what is in the page cache": "def attack():\n"
    "    file = posix.open(sys.executable, posix.O_RDONLY)\n"
    "    return tried(lambda: posix.preadv(file, [bytearray(9)], 0, posix.RWF_NOWAIT)) or (\n"
    "        tried(lambda: posix.posix_fadvise(file, 0, 0, posix.POSIX_FADV_DONTNEED) or True))\n",
    "see which pages are resident": "import mmap\ndef attack():\n"
    "    file = posix.open(sys.executable, posix.O_RDONLY)\n"
    "    libc.mmap.restype = ctypes.c_void_p\n"
    "    place = ctypes.c_void_p(libc.mmap(None, 4096, 1, 2, file, 0))\n"
    "    return libc.mincore(place, 4096, ctypes.create_string_buffer(1)) == 0\n",
    "leave a lock on a shared file": "import fcntl\ndef attack():\n"
    "    file = posix.open(sys.executable, posix.O_RDONLY)\n"
    "    return tried(lambda: fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB) or True)\n",
    "leave an access time": "def attack():\n"
    "    return tried(lambda: posix.utime(sys.executable) or True)\n",
    "a stream that trickles": "def attack():\n"
    "    signal.setitimer(signal.ITIMER_REAL, 0)\n"
    "    while True:\n"
    "        posix.write(FD, b'2')\n"
    "        time.sleep(0.1)\n",
    "a long sleep without its timer": "def attack():\n"
    "    signal.setitimer(signal.ITIMER_REAL, 0)\n"
    "    time.sleep(60)\n",
    "work in processes that nobody waits for": "def attack():\n"
    "    signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    "    signal.setitimer(signal.ITIMER_REAL, 0)\n"
    "    while True:\n"
    "        if posix.fork() == 0:\n"
    "            end = time.process_time() + 0.1\n"
    "            while time.process_time() < end: pass\n"
    "            posix._exit(0)\n"
    "        time.sleep(0.1)\n",
    "sixty busy processes": "def attack():\n"
    "    for _ in range(50):\n"
    "        if posix.fork() == 0:\n"
    "            signal.setitimer(signal.ITIMER_REAL, 0)\n"
    "            while True: pass\n"
    "    return time.sleep(60)\n",
    "inodes without end": "def attack():\n"
    "    signal.setitimer(signal.ITIMER_REAL, 0)\n"
    "    number = 0\n"
    "    while True:\n"
    "        posix.mkdir('/tmp/m%d' % number)\n"
    "        number += 1\n",
    "sockets without end": "import socket\ndef attack():\n"
    "    for _ in range(40):\n"
    "        if posix.fork() == 0: break\n"
    "    held = []\n"
    "    while tried(lambda: held.extend(socket.socketpair()) or True):\n"
    "        held[-1].setblocking(False)\n"
    "        while tried(lambda: held[-1].send(bytes(65536))): pass\n"
    "    time.sleep(60)\n",
    "kill outside": "def attack():\n    return tried(lambda: posix.kill({pid}, 9) or True)\n",
    "address space": "def attack():\n"
    "    try:\n"
    "        return bytearray(5 << 30)\n"
    "    except MemoryError:\n"
    "        return False\n",
    "fill /tmp": "def attack():\n"
    "    stream = io.FileIO('/tmp/a', 'w')\n"
    "    more = io.FileIO('/tmp/b', 'w')\n"
    "    for _ in range(90):\n"
    "        if not tried(lambda: stream.write(bytes(1 << 20)) + more.write(bytes(1 << 20))):\n"
    "            return False\n"
    "    return True\n",
    "fork bomb": "import time\ndef attack():\n"
    "    while True:\n"
    "        try:\n"
    "            posix.fork()\n"
    "        except OSError:\n"
    "            pass\n",
    "threads without end": "import threading\ndef attack():\n"
    "    while True:\n"
    "        try:\n"
    "            threading.Thread(target=time.sleep, args=(9,)).start()\n"
    "        except RuntimeError:\n"
    "            time.sleep(0.01)\n",
    "memory of many processes": "def attack():\n"
    "    for _ in range(8):\n"
    "        if posix.fork() == 0:\n"
    "            break\n"
    "    held = bytearray(200 << 20)\n"
    "    for i in range(0, len(held), 4096): held[i] = 1\n"
    "    time.sleep(30)\n",
    "a loop": "def attack():\n    while True: pass\n",
    "a loop while it is loaded": "while True: pass\n",
    "a loop that swallows": "def attack():\n"
    "    while True:\n"
    "        try:\n"
    "            n = 0\n"
    "            while True: n += 1\n"
    "        except BaseException: pass\n",
    "a loop that ignores signals": "def attack():\n"
    "    for number in range(1, 65):\n"
    "        try: signal.signal(number, signal.SIG_IGN)\n"
    "        except (OSError, ValueError): pass\n"
    "    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
    "    while True: pass\n",
    "a loop without its timer": "def attack():\n"
    "    signal.setitimer(signal.ITIMER_REAL, 0)\n"
    "    while True: pass\n",
    "printing without end": "def attack():\n    while True: print('x' * 100000)\n",
    "raw output without end": "def attack():\n"
    "    while True: posix.write(1, b'x' * 100000), posix.write(2, b'x' * 100000)\n",
    "results without end": "def attack():\n    while True: posix.write(FD, b'2')\n",
    "empty results without end": "def attack():\n    while True: posix.write(FD, b'\\n' * 4096)\n",
    "forged results": "def attack():\n"
    "    posix.write(FD, b'true\\n2\\n3\\n4\\n.\\n')\n    posix._exit(0)\n",
    "forged end": "def attack():\n    posix.write(FD, b'.\\n')\n    posix._exit(0)\n",
    "forged digests": "def attack():\n    posix.write(FD, b'#' + b'0' * 64 + b' 1\\n' * 5)\n",
    "a result of brackets": "def attack():\n    posix.write(FD, b'[' * 60000 + b'\\n')\n",
    "results that are not text": "def attack():\n    posix.write(FD, bytes(range(256)) + b'\\n')\n",
    "a result that unrolls": "def attack():\n"
    '    posix.write(FD, b\'{"tuple":{"range":[0,1000000000000,1]}}\\n\')\n',
    "an array that unrolls": "def attack():\n"
    '    posix.write(FD, b\'{"ndarray":["<i8",[9],[{"range":[0,1000000000000,1]}]]}\\n\')\n',
    "kill the parent": "def attack():\n    posix.kill(posix.getppid(), 9)\n    time.sleep(9)\n",
    "stop the parent": "def attack():\n    posix.kill(posix.getppid(), 19)\n    time.sleep(9)\n",
    "kill the first process": "def attack():\n    posix.kill(1, 9)\n    return False\n",
    "kill everybody": "def attack():\n    posix.kill(-1, 9)\n    posix.kill(0, 9)\n",
    "os._exit(0)": "def attack(): posix._exit(0)\n",
    "os._exit while it is loaded": "posix._exit(0)\n",
    "sys.exit": "def attack(): sys.exit(0)\n",
    "raise SystemExit while it is loaded": "raise SystemExit(0)\n",
    "raise KeyboardInterrupt": "def attack(): raise KeyboardInterrupt\n",
    "abort": "def attack(): libc.abort()\n",
    "equal to everything": "class Yes:\n"
    "    __eq__ = lambda self, other: True\n"
    "    __hash__ = None\n"
    "def answer(x): return Yes()\n",
    "a number equal to everything": "class Yes(int):\n"
    "    def __eq__(self, other): return True\n"
    "    __ne__ = __lt__ = __gt__ = __eq__\n"
    "def answer(x): return Yes(-1)\n",
    "a class that lies": "class Meta(type):\n"
    "    def __eq__(self, other): return True\n"
    "    def __hash__(self): return hash(int)\n"
    "    def __instancecheck__(self, other): return True\n"
    "class Yes(metaclass=Meta):\n"
    "    __class__ = int\n"
    "    def __eq__(self, other): return True\n"
    "    def __getattr__(self, name): return lambda *a, **k: 2\n"
    "def answer(x): return Yes()\n",
    "patch through the stack": "def attack():\n"
    "    frame = sys._getframe()\n"
    "    while frame:\n"
    "        for space in (frame.f_globals, frame.f_locals):\n"
    "            for name in ('_encode', '_send', '_output_line'):\n"
    "                if callable(space.get(name)): space[name] = lambda *a: b'true'\n"
    "        frame = frame.f_back\n",
    "patch through gc": "import gc, types\n"
    "def attack():\n"
    "    for thing in gc.get_objects():\n"
    "        names = ('_output_line', 'encode')\n"
    "        if isinstance(thing, types.FunctionType) and thing.__name__ in names:\n"
    "            thing.__code__ = (lambda *a: b'true').__code__\n",
    "patch the modules": "import builtins, json, struct\n"
    "def attack():\n"
    "    for module in (json, json.encoder, struct, time, builtins):\n"
    "        for name in ('dumps', 'pack', 'perf_counter', 'len', 'type', 'set', 'map'):\n"
    "            if hasattr(module, name): setattr(module, name, lambda *a, **k: 2)\n",
    "write what is expected": "import os\n"
    "def attack():\n"
    "    found = [os.path.join(folder, name) for top in ('/tmp', '/runner', '/dev')\n"
    "             for folder, _, names in os.walk(top) for name in names]\n"
    "    return any([write(path) for path in found if 'expected' in path])\n",
    "daemons": "def attack():\n"
    "    if posix.fork() == 0:\n"
    "        posix.setsid()\n"
    "        if posix.fork() == 0:\n"
    "            for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n"
    "            time.sleep(6000)\n"
    "        posix._exit(0)\n",
    "a daemon that holds the results": "def attack():\n"
    "    if posix.fork() == 0:\n"
    "        time.sleep(6000)\n"
    "    posix._exit(0)\n",
    "deep recursion": "def attack():\n"
    "    sys.setrecursionlimit(10**9)\n"
    "    def down(n): return down(n + 1) + 1\n"
    "    return down(0)\n",
    "deep recursion in C": "def attack():\n"
    "    sys.setrecursionlimit(10**9)\n"
    "    thing = []\n"
    "    for _ in range(10**6): thing = [thing]\n"
    "    return repr(thing)\n",
    "a deep answer": "def answer(x):\n"
    "    thing = []\n"
    "    for _ in range(10**5): thing = [thing]\n"
    "    return thing\n",
    "an answer that holds itself": "def answer(x):\n"
    "    thing = []\n    thing.append(thing)\n    return thing\n",
    "an answer that doubles": "def answer(x):\n"
    "    thing = []\n    for _ in range(60): thing = [thing, thing]\n    return thing\n",
    "a huge number": "def answer(x): return 7 ** 3000000\n",
    "a huge text": "def answer(x): return 'x' * (1 << 28)\n",
    "close everything": "def attack():\n    posix.closerange(0, 1000)\n",
    "reopen the other results": "def attack():\n"
    "    for fd in range(3, 100):\n"
    "        try:\n"
    "            path = '/proc/%d/fd/%d' % (posix.getppid(), fd)\n"
    "            io.FileIO(path, 'w').write(b'11\\n21\\n.\\n')\n"
    "        except OSError: pass\n",
}

# By EvalPlus's words. What is in neither list ends as "fail" on both suites; what is in the second
# ends as one or the other, by which of two limits it meets first.
TIMEOUTS = {
    *("a loop while it is loaded", "a loop that swallows", "a loop that ignores signals"),
    *("a loop without its timer", "kill the parent", "kill everybody", "os._exit(0)"),
    *("os._exit while it is loaded", "abort", "a daemon that holds the results"),
    *("close everything", "a stream that trickles", "a long sleep without its timer"),
}
#: Of those that end as "fail": these would run for ever.
ENDED_BY_THE_CALL_LIMIT = {"a loop"}
EITHER = {
    *("fork bomb", "threads without end", "memory of many processes", "deep recursion"),
    *("deep recursion in C", "patch through the stack", "stop the parent"),
    *("raw output without end", "a huge number", "an answer that doubles", "a huge text"),
    *("work in processes that nobody waits for", "sixty busy processes", "inodes without end"),
    "sockets without end",
}
