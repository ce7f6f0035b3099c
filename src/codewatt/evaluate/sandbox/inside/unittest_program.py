"""Runs one untrusted program and its unit tests, as BigCodeBench does, and reports the verdict.

`unittest_server` calls `run_program` in a process of its own, which ends with it. Program and
tests run as one module, as in upstream (bigcodebench 0.2.5, `unsafe_execute`). Only failures and
errors of tests count. An exception outside a test, SystemExit included, fails the program.

The tests run in the program's own process, so a program can in principle forge its verdict. What
this file compares before and after the program makes that hard: functions and classes of
`unittest`, built-in functions, the methods of the test class, the results of the tests. A program
that changed them fails. `unittest.mock.patch` restores what it replaced, so tests may use it.

Runs inside the sandbox, with the benchmark's Python (3.10 or later); standard library only.

The report is a text of lines, each a word and fields in hexadecimal (UTF-8):
    NONCE           first and last line: a random word of the judge
    pass | fail     the status
    why TEXT        why the program fails although all its tests passed, or outside a test
    seconds TEXT    time used (s): the larger of CPU time and wall time without waiting for a core
    ran NAME        a test that ran; skipped NAME: a test that was skipped
    failed NAME TEXT   a test that failed, with the last line of its traceback
"""

from __future__ import annotations  # not inherited by programs: see dont_inherit

import builtins
import gc
import importlib
import operator
import os
import random
import resource
import sys
import time
import types
import unittest
import unittest.case
import unittest.loader
import unittest.mock
import unittest.result
import unittest.suite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# Kept here because a program may replace them in their modules.
_write, _exit, _getpid, _clock = os.write, os._exit, os.getpid, time.perf_counter
_open, _read, _close, _getrusage = os.open, os.read, os.close, resource.getrusage
_is_not = operator.is_not
_TestResult, _TestCase = unittest.result.TestResult, unittest.case.TestCase

MODULE = "__test__"
_TEXT_CHARACTERS = 500
_MAX_TESTS = 1000

#: Built-in functions that programs or tests may replace for their own ends.
_FREE_BUILTINS = frozenset({"print", "input", "open", "help", "exit", "quit", "_"})
_WATCHED_MODULES = (unittest, unittest.case, unittest.loader, unittest.suite, unittest.result)
_MOCK_NAMES = ("patch", "_patch", "_patch_object", "_patch_dict", "Mock", "MagicMock")
_CLASSES = tuple(
    dict.fromkeys(
        value
        for module in (*_WATCHED_MODULES, unittest.mock)
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__.startswith("unittest.")
        if module is not unittest.mock or value.__name__.startswith("_patch")
    )
)
_BUILTIN_NAMES = frozenset(vars(builtins))
#: Values of classes of `unittest` that tests may set, or that Python adds.
_FREE_VALUES = frozenset({"maxDiff", "longMessage", "__annotations__"})
_PROCESS_FUNCTIONS = ((sys, "exit"), (os, "_exit"), (sys, "_getframe"), (sys, "exc_info"))
_OWN_NAMES = ("__getattribute__", "__getattr__")


class _Tampered(BaseException):
    """The program changed what decides its verdict; the message names it."""


# ---------------------------------------------------------------- what a program must not change


def _parts(value: Any) -> tuple[Any, ...]:
    """The objects that a function consists of; the object itself first."""
    function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
    if isinstance(function, property):
        return value, function.fget, function.fset
    if isinstance(function, types.FunctionType):
        defaults = function.__defaults__, function.__kwdefaults__
        wrapped = _functions_in(function.__closure__ or ())
        return value, function.__code__, *defaults, function.__closure__, *wrapped
    return (value,)


def _functions_in(closure: tuple[Any, ...]) -> Iterator[Any]:
    """Functions that a decorated function calls (`contextlib.contextmanager`), and their code."""
    for cell in closure:
        try:
            content = cell.cell_contents
        except ValueError:  # empty
            continue
        if isinstance(content, types.FunctionType):
            yield from (content, content.__code__)


def _is_method(value: Any) -> bool:
    return callable(value) or hasattr(type(value), "__get__")


_METHODS = frozenset(
    name
    for name, value in vars(_TestCase).items()
    if _is_method(value) and name not in ("__dict__", "__weakref__")
)


def _watched_names() -> Iterator[tuple[str, Any]]:
    """Built-in functions, functions and classes of `unittest`, and ways to end the process."""
    for name, value in list(vars(builtins).items()):
        if name not in _FREE_BUILTINS:
            yield f"builtins.{name}", value
    yield from _watched_unittest()


def _watched_unittest() -> Iterator[tuple[str, Any]]:
    for module in _WATCHED_MODULES:
        yield f"sys.modules[{module.__name__!r}]", sys.modules.get(module.__name__)
        for name, value in list(vars(module).items()):
            yield f"{module.__name__}.{name}", value
    for name in _MOCK_NAMES:
        yield f"unittest.mock.{name}", getattr(unittest.mock, name, None)
    for owner, name in _PROCESS_FUNCTIONS:
        yield f"{owner.__name__}.{name}", getattr(owner, name, None)


def _watched_methods() -> Iterator[tuple[str, Any]]:
    """Methods and other values of the classes of `unittest`."""
    for cls in _CLASSES:
        for key, value in list(vars(cls).items()):
            if key not in _FREE_VALUES:
                yield f"{cls.__module__}.{cls.__qualname__}.{key}", value


def _snapshot(values: Iterator[tuple[str, Any]]) -> dict[str, tuple[Any, ...]]:
    return {name: _parts(value) for name, value in values}


def _require_unchanged(
    before: dict[str, tuple[Any, ...]], now: Iterator[tuple[str, Any]], additions: bool = False
) -> None:
    """Compare with a snapshot; replaced and deleted parts are changes, and so are added ones.

    Args:
        before: the snapshot.
        now: names and values now.
        additions: whether names may have been added, because they replace nothing; those of
            built-in functions replace these in their module.
    """
    left = set(before)
    for name, value in now:
        left.discard(name)
        if additions and name not in before and name.split(".")[-1] not in _BUILTIN_NAMES:
            continue
        known, found = before.get(name, ()), _parts(value)
        if len(known) != len(found) or any(map(_is_not, known, found)):
            raise _Tampered(name)
    if left:
        raise _Tampered(min(left))


def _test_class_parts(cls: type) -> Iterator[tuple[str, Any]]:
    """Test methods and overridden methods of `TestCase` along the classes of the tests."""
    for base in type.mro(cls):
        if base is not _TestCase and base is not object:
            for name, value in list(vars(base).items()):
                wanted = name.startswith(("test", "assert")) or _is_own(name)
                if wanted and _is_method(value):
                    yield f"{base.__name__}.{name}", value


# ---------------------------------------------------------------- the tests


def _is_own(name: str) -> bool:
    """Whether an attribute of a test decides how it runs."""
    return name in _METHODS or name in _OWN_NAMES


def _result_class(
    outcomes: list[tuple[str, str, str]],
    expecting: list[Any],
    started: list[Any],
    ended: list[Any],
) -> type[unittest.result.TestResult]:
    """A result that also keeps (kind, name, text) of each test where no attribute leads to it.

    Args:
        outcomes: gets them.
        expecting: the tests whose failure is expected.
        started: gets the tests that started.
        ended: gets the tests that passed, were skipped, or failed or passed as declared.
    """

    class Result(_TestResult):  # type: ignore[misc, valid-type]
        def startTest(self, test: Any) -> None:
            started.append(test)
            outcomes.append(("ran", _test_name(test), ""))
            _TestResult.startTest(self, test)

        def addSkip(self, test: Any, reason: str) -> None:
            ended.append(getattr(test, "test_case", test))  # a subtest has it
            outcomes.append(("skipped", _test_name(test), ""))
            _TestResult.addSkip(self, test, reason)

        def addSuccess(self, test: Any) -> None:
            # A failure that the program declared to be expected while the test ran.
            if test._outcome.expectedFailure is None:
                ended.append(test)
            _TestResult.addSuccess(self, test)

        def addUnexpectedSuccess(self, test: Any) -> None:
            ended.append(test)
            _TestResult.addUnexpectedSuccess(self, test)

        def addExpectedFailure(self, test: Any, err: Any) -> None:
            if any(one is test for one in expecting):
                ended.append(test)
                _TestResult.addExpectedFailure(self, test, err)
            else:  # the program declared it
                self.addFailure(test, err)

        def addError(self, test: Any, err: Any) -> None:
            outcomes.append(("failed", _test_name(test), _last_line(err)))
            _TestResult.addError(self, test, err)

        def addFailure(self, test: Any, err: Any) -> None:
            outcomes.append(("failed", _test_name(test), _last_line(err)))
            _TestResult.addFailure(self, test, err)

        def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
            if err is not None:
                outcomes.append(("failed", _test_name(subtest), _last_line(err)))
            _TestResult.addSubTest(self, test, subtest, err)

    return Result


def _expects_failure(test: Any) -> bool:
    """Whether a test or its class has the decorator `unittest.expectedFailure`."""
    method = getattr(test, test._testMethodName)
    return any(getattr(one, "__unittest_expecting_failure__", False) for one in (test, method))


def _test_name(test: Any) -> str:
    """The name by which upstream reports a test."""
    return str(test.id()).split(".")[-1]


def _last_line(err: Any) -> str:
    """Type and message of an exception: the last line of its traceback."""
    try:
        name, text = "".join([err[0].__name__]), "".join([str(err[1])])
    except BaseException:  # raised by the program's own exception
        return "an exception without a message"
    return f"{name}: {text}" if text else name


def _run_tests(code: str, test: str) -> list[tuple[str, str, str]]:
    """Load program and tests as one module and run the tests; (kind, name, text) of each."""
    module = types.ModuleType(MODULE)
    module.__dict__.update(
        {
            "__builtins__": builtins,
            "__file__": f"{MODULE}.py",
            "__package__": None,
            "__doc__": None,
            "sys": sys,
            "os": os,
            "environ": os.environ,
        }
    )
    names, methods = _snapshot(_watched_names()), _snapshot(_watched_methods())
    machinery = _snapshot(_watched_unittest())
    source = code + "\n" + test
    exec(compile(source, f"{MODULE}.py", "exec", dont_inherit=True), module.__dict__)
    _require_unchanged(names, _watched_names(), additions=True)
    _require_unchanged(methods, _watched_methods())
    if module.__dict__.get("__builtins__") is not builtins:
        raise _Tampered("__builtins__")
    sys.modules[MODULE] = module
    cases = module.TestCases
    if not (isinstance(cases, type) and _TestCase in type.mro(cases)):
        raise _Tampered("TestCases")
    suite = unittest.TestLoader().loadTestsFromTestCase(cases)
    own = _snapshot(_test_class_parts(cases))
    tests = list(suite)
    equal = [dict(vars(one)["_type_equality_funcs"]) for one in tests]
    outcomes: list[tuple[str, str, str]] = []
    expecting = [one for one in tests if _expects_failure(one)]
    started: list[Any] = []
    ended: list[Any] = []
    result = _result_class(outcomes, expecting, started, ended)()
    suite.run(result)
    # Not the built-in functions: tests may leave a patch of them behind.
    _require_unchanged(machinery, _watched_unittest(), additions=True)
    _require_unchanged(methods, _watched_methods())
    _require_unchanged(own, _test_class_parts(cases))
    for one, known in zip(tests, equal, strict=True):
        if type(one) is not cases or vars(one)["_type_equality_funcs"] != known:
            raise _Tampered("a test")
        for name in list(one.__dict__):
            if name.startswith("assert") or _is_own(name):
                raise _Tampered(f"self.{name}")
    failed = sum(kind == "failed" for kind, _, _ in outcomes)
    if failed != len(result.failures) + len(result.errors):
        raise _Tampered("the result of the tests")
    if not failed and {*map(id, started)} - {*map(id, ended)}:
        raise _Tampered("the result of the tests")
    return outcomes


# ---------------------------------------------------------------- the process


def run_program(code: str, test: str, nonce: str, descriptor: int) -> None:
    """Run a program and its tests, write the report, end the process.

    Args:
        code: source code of the program.
        test: source code of the tests.
        nonce: the first and last line of the report.
        descriptor: where the report is written.
    """
    own = _getpid()
    _reset_state()
    start_s, waited_s = _clock(), _core_wait_s()
    outcomes: list[tuple[str, str, str]] = []
    why = None
    try:
        outcomes = _run_tests(code, test)
    except _Tampered as change:
        why = f"the program changed {change}"
    except BaseException as error:
        why = _last_line((type(error), error))
    if _getpid() != own:  # a process that the program forked came back here
        _exit(0)
    seconds = max(_cpu_s(), _clock() - start_s - (_core_wait_s() - waited_s))
    _send(descriptor, nonce, _report(outcomes, why, seconds))
    _exit(0)  # functions of atexit, other threads and other processes do not run on


def _report(
    outcomes: list[tuple[str, str, str]], why: str | None, seconds: float
) -> list[tuple[str, ...]]:
    failed = any(kind == "failed" for kind, _, _ in outcomes)
    lines: list[tuple[str, ...]] = [("fail" if failed or why is not None else "pass",)]
    if why is not None:
        lines.append(("why", why))
    lines.append(("seconds", f"{seconds:.3f}"))
    # Failures first: a report of a failure without a failed test would name no reason.
    for kind, name, text in sorted(outcomes, key=lambda one: one[0] != "failed")[:_MAX_TESTS]:
        lines.append((kind, name, text) if kind == "failed" else (kind, name))
    return lines


def _send(descriptor: int, nonce: str, lines: list[tuple[str, ...]]) -> None:
    """Write the report; fields are in hexadecimal, so that no text can end a line."""
    text = [nonce]
    for word, *fields in lines:
        text.append(" ".join([word, *(_hexadecimal(field) for field in fields)]))
    data = "\n".join([*text, nonce, ""]).encode()
    while data:
        data = data[_write(descriptor, data) :]


def _hexadecimal(text: str) -> str:
    return str.encode(text[:_TEXT_CHARACTERS], "utf-8", "backslashreplace").hex() or "-"


def _reset_state() -> None:
    """Undo what a forked process shares with others: random generators and open figures."""
    random.seed(0)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(0)
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")


def _cpu_s() -> float:
    """CPU time of this process and of the children that it has waited for (s)."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = _getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


def _core_wait_s() -> float:
    """Time for which this process was ready to run but had no core (s); 0 if not counted."""
    try:
        descriptor = _open("/proc/self/schedstat", os.O_RDONLY)
    except OSError:
        return 0.0
    try:
        return int(_read(descriptor, 64).split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
    finally:
        _close(descriptor)


def preload(modules: list[str]) -> None:
    """Import modules before any program runs; those that are not installed are left out."""
    for name in modules:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit):
            continue
    gc.collect()
    gc.freeze()
