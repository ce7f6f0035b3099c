"""The trusted program inside the sandbox: runs one untrusted program and reports its outputs.

Run as a script by a bare interpreter (`python -P -s -S -B runner.py FD`); it imports nothing but
the standard library. The judge outside sends a request (a JSON file on descriptor FD) and reads
one line a test from a pipe per suite. What the program should have answered never comes in here,
so a program that takes this process over can forge nothing but its own answers.

A process of its own for every suite, forked before the untrusted code is seen, as EvalPlus has.
On the pipe, each line one of:
    ^               the suite starts; the program has not run yet
    JSON            what a call returned, in the tagged encoding of `encode`
    SECONDS JSON    the same, with the call's duration (asked for by "timed")
    !NAME           a call raised; the suite ends
    ?NAME           the program itself raised while it was loaded; the suite ends
    .               every input was called
"""

import builtins
import contextlib
import faulthandler
import gc
import importlib
import io
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time

# `encode` and the loop below use these, and not what the program may have put in their place.
_write, _exit, _clock = os.write, os._exit, time.perf_counter
_setitimer, _signal = signal.setitimer, signal.signal
_get_digits, _set_digits = sys.get_int_max_str_digits, sys.set_int_max_str_digits
_REAL, _ALRM = signal.ITIMER_REAL, signal.SIGALRM
_modules = sys.modules

MAX_DEPTH = 100
"""Containers nested deeper are opaque; no benchmark's expected output comes near."""

MAX_NODES = 4_000_000
MAX_DIGITS = 4300
"""Longer decimal integers are refused by both ends; they travel as hexadecimal."""

# EvalPlus 0.3.1 calls the program's function 28 frames deep. The interpreter's recursion limit
# counts them, so that a recursion which just fits, or just does not, must begin as deep.
FRAMES = 28


class TimeoutException(Exception):
    """A call ran out of its time."""


class Unencodable(Exception):
    """A value that no expected output can be equal to."""


# ---------------------------------------------------------------- outputs as tagged JSON

_ATOMS = frozenset({int, float, str, bool, type(None)})
_mro = type.__dict__["__mro__"].__get__
_vars = type.__dict__["__dict__"].__get__
_NUMPY_KINDS = frozenset("biufcSU")


def _fail(value):
    raise Unencodable(type(value).__name__)


_json = json.encoder.c_make_encoder(
    None, _fail, json.encoder.encode_basestring, None, ":", ",", False, False, True
)


def encode(value):
    """One line of JSON (str) that keeps equality and type, `{"opaque": NAME}` if none can.

    Atoms and lists are themselves; everything else is an object with one key, its type. NaN, and
    integers too long for decimal digits, only have a form in the strict pass.
    """
    digits = _get_digits()
    if digits != MAX_DIGITS:
        _set_digits(MAX_DIGITS)
    try:
        try:
            text = "".join(_json(_tagged(value, [MAX_NODES], 0, False), 0))
            if "NaN" not in text:
                return text
        except ValueError:  # too many digits
            pass
        return "".join(_json(_tagged(value, [MAX_NODES], 0, True), 0))
    except BaseException:
        return '{"opaque":"%s"}' % _name(value)
    finally:
        if digits != MAX_DIGITS:
            _set_digits(digits)


def _name(value):
    """The name of a value's type: ASCII, short, safe inside JSON."""
    try:
        name = type.__dict__["__name__"].__get__(type(value))
        return "".join(c for c in name[:60] if c.isalnum() and c.isascii() or c == "_") or "?"
    except BaseException:
        return "?"


def _tagged(value, budget, depth, strict):
    """The value as JSON-ready data. `budget`: one cell, the nodes that are left."""
    kind = type(value)
    if kind in _ATOMS:
        if strict and kind is int and value.bit_length() > 2000:
            return {"int": hex(value)}
        if strict and kind is float and value != value:
            return {"float": "nan"}
        return value
    if depth > MAX_DEPTH:
        raise Unencodable("depth")
    if kind is list:
        return _items(value, budget, depth, strict)
    pack = _EXACT.get(kind)
    if pack is None:
        pack = _late_exact().get(kind)
    if pack is not None:
        return pack(value, budget, depth, strict)
    numpy_value = _numpy(value, kind)
    if numpy_value is not None:
        return {numpy_value[0]: [*numpy_value[1:-1], _tagged(numpy_value[-1], budget, 0, strict)]}
    return _subclass(value, kind, budget, depth, strict)


def _items(values, budget, depth, strict):
    """A list of encoded items; at the speed of C where all are atoms."""
    budget[0] -= len(values)
    if budget[0] < 0:
        raise Unencodable("size")
    if not strict and set(map(type, values)) <= _ATOMS:
        return values
    return [_tagged(item, budget, depth + 1, strict) for item in values]


def _sequence(tag, iterate):
    def pack(value, budget, depth, strict):
        return {tag: _items(list(iterate(value)), budget, depth, strict)}

    return pack


def _pairs(tag, items=dict.items):
    def pack(value, budget, depth, strict):
        pairs = list(items(value))
        budget[0] -= len(pairs)
        if budget[0] < 0:
            raise Unencodable("size")
        return {
            tag: [
                [_tagged(key, budget, depth + 1, strict), _tagged(item, budget, depth + 1, strict)]
                for key, item in pairs
            ]
        }

    return pack


def _plain(tag, view):
    def pack(value, budget, depth, strict):
        return {tag: view(value)}

    return pack


def _parts(tag, view):
    def pack(value, budget, depth, strict):
        return {tag: [_tagged(part, budget, depth + 1, strict) for part in view(value)]}

    return pack


_real, _imag = complex.real.__get__, complex.imag.__get__

_EXACT = {
    tuple: _sequence("tuple", tuple.__iter__),
    set: _sequence("set", set.__iter__),
    frozenset: _sequence("frozenset", frozenset.__iter__),
    dict: _pairs("dict"),
    complex: _parts("complex", lambda value: (_real(value), _imag(value))),
    bytes: _plain("bytes", bytes.hex),
    bytearray: _plain("bytearray", bytearray.hex),
    range: _parts("range", lambda value: (value.start, value.stop, value.step)),
    type({}.keys()): _sequence("dict_keys", iter),
    type({}.items()): _pairs("dict_items", iter),
    type(type.__dict__): _pairs("mappingproxy", lambda value: value.items()),
}

_BASES = {
    int: lambda value, *how: _tagged(int.__index__(value), *how),
    float: lambda value, *how: _tagged(float.__float__(value), *how),
    str: lambda value, *how: str.__str__(value),
    list: lambda value, *how: _items(list(list.__iter__(value)), *how),
}


def _late_exact():
    """Types of modules that a program may load, once it has loaded them."""
    known = {}
    collections = _modules.get("collections")
    if collections is not None:
        known[collections.Counter] = _pairs("Counter")
        known[collections.OrderedDict] = _pairs("OrderedDict", collections.OrderedDict.items)
        known[collections.defaultdict] = _pairs("defaultdict")
        known[collections.deque] = _sequence("deque", collections.deque.__iter__)
        known[collections.UserList] = _parts("UserList", lambda value: (value.data,))
        known[collections.UserDict] = _parts("UserDict", lambda value: (value.data,))
        known[collections.UserString] = _parts("UserString", lambda value: (value.data,))
    fractions, decimal = _modules.get("fractions"), _modules.get("decimal")
    if fractions is not None:
        known[fractions.Fraction] = _parts(
            "Fraction", lambda value: (value._numerator, value._denominator)
        )
    if decimal is not None:
        known[decimal.Decimal] = _plain("Decimal", decimal.Decimal.__str__)
    return known


def _numpy(value, kind):
    """(tag, dtype, value) of a NumPy scalar, (tag, dtype, shape, values) of an array, or None."""
    numpy = _modules.get("numpy")
    if numpy is None or not isinstance(getattr(numpy, "generic", None), type):
        return None
    array = kind is numpy.ndarray
    if not array and numpy.generic not in _mro(kind):
        return None
    dtype = value.dtype
    if dtype.kind not in _NUMPY_KINDS or dtype.name in ("longdouble", "clongdouble"):
        return None
    if dtype.itemsize > 16 and dtype.kind in "fc":
        return None
    if array:
        if value.size > MAX_NODES:
            raise Unencodable("size")
        return "ndarray", dtype.str, list(value.shape), value.ravel().tolist()
    return ("numpy", dtype.str, value.item()) if kind is dtype.type else None


def _subclass(value, kind, budget, depth, strict):
    """A subclass that compares as its base does: the base's content, under the class's name."""
    for owner in _mro(kind):
        if "__eq__" in _vars(owner):
            pack = _BASES.get(owner) or _EXACT.get(owner) or _late_exact().get(owner)
            if pack is None or owner is bool:
                break
            base = type.__dict__["__name__"].__get__(owner)
            return {"sub": [base, _name(value), pack(value, budget, depth + 1, strict)]}
    raise Unencodable(_name(value))


# ---------------------------------------------------------------- EvalPlus's surroundings


class WriteOnlyStringIO(io.StringIO):
    """What a program prints goes nowhere, and reading its input fails, as in EvalPlus."""

    def read(self, *args, **kwargs):
        raise OSError

    def readline(self, *args, **kwargs):
        raise OSError

    def readlines(self, *args, **kwargs):
        raise OSError

    def readable(self, *args, **kwargs):
        return False


_GUARDED_OS = (
    "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames "
    "truncate replace unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir"
).split()


def reliability_guard(memory_bytes):
    """EvalPlus's list of functions that a program does not find.

    This makes verdicts equal (a program that calls `open` or `exit` fails there, so it fails
    here). It is no barrier, and is not meant as one: the sandbox around this process is.
    """
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_STACK):
        resource.setrlimit(kind, (memory_bytes, memory_bytes))
    faulthandler.disable()
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in ("exit", "quit", "open", "help"):
        setattr(builtins, name, None)
    for name in _GUARDED_OS:
        setattr(os, name, None)
    shutil.rmtree = shutil.move = shutil.chown = None
    subprocess.Popen = None
    for name in ("ipdb", "joblib", "resource", "psutil", "tkinter"):
        sys.modules[name] = None


def _on_alarm(signum, frame):
    raise TimeoutException("Timed out!")


def _send(descriptor, text):
    """Write a line whole; a program that closed the pipe has ended its own run."""
    line = (text + "\n").encode("utf-8", "surrogatepass")
    try:
        while line:
            line = line[_write(descriptor, line) :]
    except OSError:
        _exit(1)


def _swallow():
    sys.stdout = sys.stderr = sys.stdin = WriteOnlyStringIO()


def run_suite(request, suite):
    """Load the program and call it with each input of the suite, to the first that raises."""
    descriptor, limits, timed = suite["fd"], suite["limits_s"], request["timed"]
    inputs = suite["inputs"]
    streams = sys.stdout, sys.stderr, sys.stdin
    _send(descriptor, "^")
    reliability_guard(request["memory_bytes"])
    space = {}
    try:
        _swallow()
        exec(compile(request["code"], "<string>", "exec", dont_inherit=True), space)
        function = space[request["entry_point"]]
    except BaseException as error:
        _send(descriptor, "?" + _name(error))
        return
    finally:
        sys.stdout, sys.stderr, sys.stdin = streams
    for index, arguments in enumerate(inputs):
        start = _clock()
        try:
            if limits is not None:
                _setitimer(_REAL, limits[index])
                _signal(_ALRM, _on_alarm)
            try:
                _swallow()
                try:
                    output = function(*arguments)
                finally:
                    sys.stdout, sys.stderr, sys.stdin = streams
            finally:
                _setitimer(_REAL, 0)
        except BaseException as error:
            _send(descriptor, "!" + _name(error))
            return
        taken = _clock() - start
        text = encode(output)
        _send(descriptor, f"{taken:.9f} {text}" if timed else text)
    _send(descriptor, ".")


def _at_depth(frames, function, *arguments):
    """Call a function so that it runs `frames` frames below this one."""
    if frames <= 1:
        return function(*arguments)
    return _at_depth(frames - 1, function, *arguments)


def _depth():
    frame, depth = sys._getframe(), 0
    while frame:
        frame, depth = frame.f_back, depth + 1
    return depth


# ---------------------------------------------------------------- the process that stays trusted


def _become_harmless(request):
    """Give up root (where the sandbox has no user namespace) and set limits for all below."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # if memory runs out, the kernel takes this and not the judge
    if request["uid"] is not None:
        os.setgroups([])
        os.setresgid(request["uid"], request["uid"], request["uid"])
        os.setresuid(request["uid"], request["uid"], request["uid"])
    for name, value in request["rlimits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)


def _wait(child, control, index):
    """Until the suite's process ends, or the judge has seen enough of it."""
    watched = os.pidfd_open(child)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(control, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if watched in ready:
            break
        order = os.read(control, 1)
        if not order or order[0] == index:
            break
    os.close(watched)


def _end_all():
    """Kill and reap everything in this PID namespace but its init and this process."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def main():
    with open(int(sys.argv[1]), encoding="utf-8") as stream:
        request = json.load(stream)
    _become_harmless(request)
    sys.path.extend(request["paths"])
    for name in request["preload"]:  # before the guard, which breaks some modules' import
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()
    suites = request["suites"]
    for index, suite in enumerate(suites):
        child = os.fork()
        if child == 0:
            for other in (request["control_fd"], *(s["fd"] for s in suites[index + 1 :])):
                os.close(other)
            os.mkdir(f"/tmp/{index}")
            os.chdir(f"/tmp/{index}")
            _at_depth(FRAMES - 2 - _depth(), run_suite, request, suite)
            _exit(0)
        os.close(suite["fd"])
        _wait(child, request["control_fd"], index)
        _end_all()


if __name__ == "__main__":
    main()
