"""Hostile programs that are judged by unit tests, for the tests in `TESTS`.

The programs of `FORGERIES` answer wrongly and try to get a "pass" all the same. Those of `ATTACKS`
answer correctly only if the attack succeeds. {NAME} stands for a secret outside the sandbox.
"""

TESTS = """
import unittest

class TestCases(unittest.TestCase):
    def test_one(self):
        self.assertEqual(task_func(1), 2)

    def test_two(self):
        self.assertEqual(task_func(2), 3)
"""

RIGHT = "def task_func(x):\n    return x + 1\n"
WRONG = "def task_func(x):\n    return None\n"
_FRAME = "import sys\ndef task_func(x):\n    test = sys._getframe(1).f_locals['self']\n"
_NONCE = (
    "import os, sys, time\nframe = sys._getframe()\nwhile 'nonce' not in frame.f_locals:\n"
    "    frame = frame.f_back\n"
    "nonce, report = frame.f_locals['nonce'], frame.f_locals['descriptor']\n"
)

FORGERIES = {
    "no attack": WRONG,
    "replace an assert method": "import unittest\n"
    "unittest.TestCase.assertEqual = lambda *given, **named: None\n" + WRONG,
    "replace the code of an assert method": "import unittest\n"
    "def equal(self, first, second, msg=None): pass\n"
    "unittest.TestCase.assertEqual.__code__ = equal.__code__\n" + WRONG,
    "replace how a test runs": "import unittest\n"
    "unittest.TestCase.run = lambda self, result=None: result\n" + WRONG,
    "replace how failures are kept": "import unittest\n"
    "unittest.TestResult.addFailure = lambda *given: None\n" + WRONG,
    "replace how failures are kept, later": "import unittest\ndef task_func(x):\n"
    "    unittest.TestResult.addFailure = lambda *given: None\n",
    "replace the loader": "import unittest\n"
    "unittest.TestLoader.loadTestsFromTestCase = lambda *given: unittest.TestSuite()\n" + WRONG,
    "add a method that reads all attributes": "import unittest\n"
    "unittest.TestCase.__getattribute__ = lambda self, name: object.__getattribute__(\n"
    "    self, 'id' if name.startswith('assert') else name)\n" + WRONG,
    "a unittest of its own": "import sys, types\nclass TestCase:\n"
    "    def __init__(self, name): pass\n"
    "sys.modules['unittest'] = types.SimpleNamespace(TestCase=TestCase)\n" + WRONG,
    "replace a built-in function": "import builtins\nbuild = builtins.__build_class__\n"
    "builtins.__build_class__ = lambda body, name, *bases: (\n"
    "    build(lambda: None, name, *bases) if name == 'TestCases' else build(body, name, *bases))\n"
    + WRONG,
    "replace the built-in names": "import builtins\n"
    "__builtins__ = {**vars(builtins), 'AssertionError': KeyError}\n" + WRONG,
    "find no tests": "import unittest\nunittest.TestLoader.testMethodPrefix = 'none'\n" + WRONG,
    "no tests": "import unittest\ndef setUpModule():\n    raise unittest.SkipTest('no')\n" + WRONG,
    "delete the other test": "import sys\ndef task_func(x):\n"
    "    if hasattr(sys.modules['__test__'].TestCases, 'test_two'):\n"
    "        sys.modules['__test__'].TestCases.test_two = lambda self: None\n    return x + 1\n",
    "replace a method of the running test": _FRAME + "    test.assertEqual = lambda *given: None\n",
    "clear the failures": _FRAME + "    test._outcome.result.failures.clear()\n"
    "    return x if x == 1 else x + 1\n",
    "expect all failures": "import unittest\n"
    "unittest.TestCase.__unittest_expecting_failure__ = True\n" + WRONG,
    "expect a failure of the running test": _FRAME + "    test._outcome.expecting_failure = True\n",
    "another result of the running test": _FRAME + "    import unittest\n"
    "    test._outcome.result = unittest.TestResult()\n    test._outcome.errors = []\n",
    "an equality of its own": _FRAME
    + "    test.addTypeEqualityFunc(int, lambda *given, **named: None)\n    return 9\n",
    "replace a module that unittest uses": "import types\nimport unittest.case\n"
    "unittest.case.sys = types.SimpleNamespace(exc_info=lambda: None)\n" + WRONG,
    "hide a built-in function from unittest": "import unittest.case as case\n"
    "case.type = lambda value: tuple\n"
    "case.getattr = lambda owner, name, *other: (\n"
    "    (lambda *given, **named: None) if name == 'assertTupleEqual'\n"
    "    else getattr(owner, name, *other))\n" + WRONG,
    "replace a function in a closure": "import unittest.case\n"
    "def run(self, test_case, *given, **named):\n"
    "    try:\n        yield\n    except BaseException:\n        pass\n"
    "for cell in unittest.case._Outcome.testPartExecutor.__closure__:\n"
    "    cell.cell_contents = run\n" + WRONG,
    "add a descriptor that is not callable": "import unittest\nclass Reader:\n"
    "    def __get__(self, test, kind):\n"
    "        return lambda name: (lambda *given: None) if name == 'assertEqual' else (\n"
    "            object.__getattribute__(test, name))\n"
    "unittest.TestCase.__getattribute__ = Reader()\n" + WRONG,
    "replace how the test class calls tests": "import sys\ndef setUpModule():\n"
    "    sys.modules['__test__'].TestCases._callTestMethod = lambda *given: None\n" + WRONG,
    "another class of the running test": _FRAME
    + "    test.__class__ = type('TestCases', (type(test),), {})\n    return x + 1\n",
    "an empty report": _NONCE + "os.write(report, f'{nonce}\\n{nonce}\\n'.encode())\n"
    "time.sleep(6000)\n",
    "a thousand outcomes before the failure": "import unittest\n"
    + _FRAME
    + "    for number in range(1100):\n        with test.subTest(number):\n"
    "            raise unittest.SkipTest('no')\n",
    "skip the test": "import unittest\ndef task_func(x):\n    raise unittest.SkipTest('no')\n",
    "end the process in a test": "import sys\ndef task_func(x):\n    sys.exit(0)\n",
    "end the process while it loads": "import sys\nsys.exit(0)\n",
    "end the process at once in a test": "import os\ndef task_func(x):\n    os._exit(0)\n",
    "end the process at once while it loads": "import os\nos._exit(0)\n",
    "crash": "import ctypes\ndef task_func(x):\n    ctypes.string_at(0)\n",
    "a function at the end of the process": "import atexit, os\n"
    "atexit.register(lambda: [os.write(n, b'pass\\n') for n in range(3, 99)])\n" + WRONG,
    "write a report": "import os, stat\nfor n in range(0, 999):\n    try:\n"
    "        if stat.S_ISFIFO(os.fstat(n).st_mode):\n"
    "            os.write(n, b'0' * 32 + b'\\npass\\n' + b'0' * 32 + b'\\n')\n"
    "    except OSError:\n        pass\n" + RIGHT,
    "go on in a forked process": "import os\nif os.fork():\n    os._exit(0)\n" + RIGHT,
    "kill all processes": "import ctypes, os\ndef task_func(x):\n"
    "    for pid in (1, -1, os.getpid()):\n        ctypes.CDLL(None).kill(pid, 9)\n"
    "    return x + 1\n",
    "a loop while it loads": "while True:\n    pass\n",
    "a sleep": "import time\ndef task_func(x):\n    time.sleep(6000)\n",
}

_TOOLS = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)

def tried(action):
    try:
        return bool(action())
    except OSError:
        return False

def read(path):
    return tried(lambda: open(path, "rb").read())

def write(path):
    return tried(lambda: open(path, "wb").write(b"x"))

def task_func(x):
    return x + 1 if attack() else None
"""

_ATTACKS = {
    "connect to an address": "def attack():\n"
    "    return tried(lambda: socket.create_connection(('1.1.1.1', 53), 0.2) or True)\n",
    "connect to this machine": "def attack():\n"
    "    return tried(lambda: socket.create_connection(('127.0.0.1', {port}), 0.2) or True)\n",
    "connect to an abstract socket": "def attack():\n    s = socket.socket(socket.AF_UNIX)\n"
    "    return tried(lambda: s.connect('\\0{abstract}') or True)\n",
    "reach the virtual machine's host": "def attack():\n"
    "    return tried(lambda: socket.socket(socket.AF_VSOCK) and True)\n",
    "reach other parts of the kernel": "def attack():\n"
    "    return any(tried(lambda: socket.socket(16, socket.SOCK_RAW, number) and True)\n"
    "               for number in range(1, 32))\n",
    "read the users": "def attack():\n    return read('/etc/shadow') or read('/etc/machine-id')\n",
    "read a file of the user": "def attack(): return read('{secret}')\n",
    "read the checkout": "def attack(): return read('{checkout}/pyproject.toml')\n",
    "read the environment": "def attack():\n"
    "    return 'CODEWATT_SECRET' in os.environ or (\n"
    "        tried(lambda: b'CODEWATT_SECRET' in open('/proc/1/environ', 'rb').read()))\n",
    "see the machine's processes": "def attack():\n"
    "    return sum(name.isdigit() for name in os.listdir('/proc')) > 4\n",
    "write outside": "import sys\ndef attack():\n"
    "    return any([write(folder + '/x') for folder in\n"
    "                ('', '/usr/lib', '/etc', '/dev', '/runner', '/proc/sys', '{folder}')]\n"
    "               + [write(sys.executable), write(os.__file__)])\n",
    "mount something": "def attack():\n"
    "    return libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0\n",
    "uncover what is below /tmp": "def attack():\n    return libc.umount2(b'/tmp', 2) == 0\n",
    "enter namespaces": "def attack():\n"
    "    return libc.unshare(0x10000000) == 0 or libc.unshare(0x20000) == 0\n",
    "become root": "def attack():\n"
    "    return libc.setresuid(0, 0, 0) == 0 or libc.setgid(0) == 0 or os.getuid() == 0\n",
    "keep a privilege": "def attack():\n"
    "    with open('/proc/self/status') as status:\n"
    "        held = dict(line.split(':', 1) for line in status)\n"
    "    sets = ('CapEff', 'CapPrm', 'CapInh', 'CapAmb')\n"
    "    return any(int(held[name], 16) for name in sets) or (\n"
    "        held['NoNewPrivs'].strip() != '1' or held['Seccomp'].strip() != '2')\n",
    "read or write the parent's memory": "def attack():\n"
    "    return libc.ptrace(16, os.getppid(), 0, 0) == 0 or read('/proc/1/maps') or (\n"
    "        write('/proc/1/mem'))\n",
    "be the last that is killed": "def attack():\n    return write('/proc/self/oom_score_adj')\n",
    "hold memory that no limit counts": "def attack():\n"
    "    return libc.memfd_create(b'x', 0) >= 0 or libc.shmget(0, 1 << 20, 0o1600) >= 0\n",
    "see the program before": "def attack():\n"
    "    return [*os.scandir('/dev/shm'), *os.scandir('.')] or (\n"
    "        {*os.listdir('/tmp')} - {'home', 'program', *'{below_tmp}'.split()})\n",
}

ATTACKS = {name: _TOOLS + attack for name, attack in _ATTACKS.items()}

#: They end by a limit, whatever they do.
BOMBS = {
    "processes without end": "import os\nwhile True:\n    try:\n        os.fork()\n"
    "    except OSError:\n        pass\n",
    "memory without end": "kept = []\nwhile True:\n    kept.append(bytearray(1 << 20))\n",
    "memory without end in many processes": "import os\nfor _ in range(4):\n    os.fork()\n"
    "kept = []\nwhile True:\n    kept.append(bytearray(b'x' * (1 << 20)))\n",
    "files without end": "number = 0\nwhile True:\n    number += 1\n"
    "    with open(f'/tmp/{number}', 'wb') as file:\n        file.write(bytes(1 << 20))\n",
    "a process that is left behind": "import os, time\nif os.fork() == 0:\n    os.setpgid(0, 0)\n"
    "    if os.fork() == 0:\n        time.sleep(6000)\n    os._exit(0)\n" + WRONG,
}
