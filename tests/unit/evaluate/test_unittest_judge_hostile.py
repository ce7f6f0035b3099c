"""Hostile programs that are judged by unit tests do not pass, are contained and leave nothing."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from codewatt.evaluate.reference_runs import ReferenceRun
from codewatt.evaluate.sandbox import unittest_view
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.unittest_judge import judge_unittests
from codewatt.evaluate.unittest_run import UNITTEST_LIMITS
from codewatt.evaluate.verdicts import Program, Verdict
from tests.support.hostile_unittests import ATTACKS, BOMBS, FORGERIES, RIGHT, TESTS
from tests.support.outside_secrets import outside_secrets
from tests.support.patience import wait_until
from tests.support.unittest_tasks import TASK_ID, task
from tests.unit.evaluate.conftest import sandboxed_processes

LIMITS = replace(
    UNITTEST_LIMITS,
    min_time_s=2.0,
    grace_s=0.5,
    memory_bytes=2 << 30,
    total_memory_bytes=384 << 20,
    processes=32,
    tmpfs_bytes=64 << 20,
)
#: For programs that must pass, on slow machines too.
PATIENT = replace(LIMITS, min_time_s=60)
PASSED = ReferenceRun("pass", 0.01, None, ("test_one", "test_two"), ())
PROGRAMS = {**FORGERIES, **ATTACKS, **BOMBS}
INTERPRETER = Path(sys.executable)


def judged(codes: list[str], limits: Limits = LIMITS) -> list[Verdict]:
    return judge_unittests(
        [task(TESTS)],
        [Program(TASK_ID, code) for code in codes],
        interpreter=INTERPRETER,
        references={TASK_ID: PASSED},
        jobs=4,
        limits=limits,
    )


@pytest.fixture(scope="module")
def secrets() -> Iterator[dict[str, str]]:
    """Things outside that programs try to reach: they are really there."""
    interpreter = unittest_view.find_interpreter(INTERPRETER)
    below = {path.split("/")[2] for path in unittest_view.paths_below_tmp(interpreter)}
    with outside_secrets("secret", "outside") as found:
        yield {**found, "below_tmp": " ".join(below)}


@pytest.fixture(scope="module")
def verdicts(secrets: dict[str, str]) -> dict[str, Verdict]:
    """All of them, judged in one go, four at a time."""
    codes = []
    for code in PROGRAMS.values():
        for name, value in secrets.items():
            code = code.replace("{" + name + "}", value)
        codes.append(code)
    return dict(zip(PROGRAMS, judged(codes), strict=True))


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_does_not_pass(name: str, verdicts: dict[str, Verdict]) -> None:
    assert verdicts[name].status("base") in ("fail", "timeout")


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_fails_by_its_answer(name: str, verdicts: dict[str, Verdict]) -> None:
    """An attack that breaks on a mistake of its own would show nothing."""
    assert verdicts[name].why == "base: test_one: AssertionError: None != 2"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no attack", "test_one: AssertionError: None != 2"),
        ("replace an assert method", "changed unittest.case.TestCase.assertEqual"),
        ("replace the code of an assert method", "changed unittest.case.TestCase.assertEqual"),
        ("replace how failures are kept, later", "changed unittest.result.TestResult.addFailure"),
        ("a unittest of its own", "changed sys.modules['unittest']"),
        ("replace a built-in function", "changed builtins.__build_class__"),
        ("replace the built-in names", "changed __builtins__"),
        ("no tests", "0 tests ran, not the 2 of the reference"),
        ("delete the other test", "changed TestCases.test_two"),
        ("replace a method of the running test", "changed self.assertEqual"),
        ("clear the failures", "changed the result of the tests"),
        ("expect all failures", "changed unittest.case.TestCase.__unittest_expecting_failure__"),
        ("an equality of its own", "changed a test"),
        ("replace a module that unittest uses", "changed unittest.case.sys"),
        ("hide a built-in function from unittest", "changed unittest.case."),
        ("replace a function in a closure", "changed unittest.case._Outcome.testPartExecutor"),
        (
            "add a descriptor that is not callable",
            "changed unittest.case.TestCase.__getattribute__",
        ),
        ("replace how the test class calls tests", "changed TestCases._callTestMethod"),
        ("another class of the running test", "changed a test"),
        ("an empty report", "the program wrote to the pipe of reports"),
        ("a thousand outcomes before the failure", "test_one: AssertionError: None != 2"),
        ("skip the test", "test_one: skipped, although it ran with the reference program"),
        ("end the process in a test", "test_one: SystemExit: 0"),
        ("end the process while it loads", "SystemExit: 0"),
        ("end the process at once in a test", "ended without reporting a result"),
        ("crash", "ended without reporting a result"),
        ("write a report", "the program wrote to the pipe of reports"),
        ("go on in a forked process", "ended without reporting a result"),
        ("a loop while it loads", "exceeded its time limit"),
        ("a sleep", "exceeded its time limit"),
    ],
)
def test_the_reason_names_the_forgery(name: str, why: str, verdicts: dict[str, Verdict]) -> None:
    assert why in (verdicts[name].why or "")


def test_a_right_program_passes_among_them() -> None:
    (verdict,) = judged([RIGHT], PATIENT)
    assert verdict.status("base") == "pass", verdict.why


def test_a_value_that_equals_everything_passes() -> None:
    """Tests in the program's own process cannot tell; upstream passes it as well."""
    code = "class Any:\n    def __eq__(self, other): return True\n"
    (verdict,) = judged([code + "def task_func(x):\n    return Any()\n"], PATIENT)
    assert verdict.status("base") == "pass"


def test_nothing_is_left_in_the_machine(verdicts: dict[str, Verdict]) -> None:
    left = sandboxed_processes()
    # Other tests may judge at the same time: their programs end, daemons do not.
    wait_until(lambda: not left & sandboxed_processes(), f"the end of processes {left}")


@pytest.mark.skipif(os.geteuid() == 0, reason="programs that root judges have own user IDs")
def test_too_many_processes_of_one_program_leave_some_for_the_others() -> None:
    """Where all programs have one user ID, the kernel counts their processes together."""
    bomb = "import ctypes\nlibc = ctypes.CDLL(None)\nwhile True:\n    if libc.fork() == 0:\n"
    bomb += "        libc.pause()\n"
    right = (
        "import subprocess, threading\ndef task_func(x):\n    for _ in range(30):\n"
        "        thread = threading.Thread(target=int)\n        thread.start()\n"
        "        thread.join()\n        subprocess.run(['true'])\n    return x + 1\n"
    )
    codes = [f"{code}#{number}\n" for number in range(4) for code in (bomb, right)]
    limits = replace(PATIENT, total_memory_bytes=None)
    found = [verdict.status("base") for verdict in judged(codes, limits)]
    assert found == ["timeout", "pass"] * 4
