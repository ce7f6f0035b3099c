"""Hostile programs (tests/support/hostile_programs.py) are contained, fail and leave nothing.

A program answers correctly only if its attack succeeds, so a pass would be a breach.
"""

import os
import platform
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.verdicts import Verdict
from tests.support.hostile_programs import (
    ATTACKS,
    EITHER,
    ENDED_BY_THE_CALL_LIMIT,
    TIMEOUTS,
    TOOLS,
)
from tests.support.outside_secrets import outside_secrets
from tests.support.patience import wait_until
from tests.unit.evaluate.conftest import PATIENT, QUICK, sandboxed_processes

#: The limit of a call is met before that of the suite, on slow machines too.
CALL_LIMIT_FIRST = Limits(min_time_s=0.5, suite_time_s=60, grace_s=60)


def _results_descriptor(code: str) -> str:
    """Finding one's descriptors takes a readable /proc/self/fd; else guess, as attackers do."""
    return (
        code.replace("FD,", "_fd(),")
        + """
def _fd():
    for number in range(3, 1000):
        try:
            if posix.fstat(number).st_mode & 0o170000 == 0o010000:
                return number
        except OSError:
            pass
"""
    )


@pytest.fixture(scope="module")
def secrets() -> Iterator[dict[str, str]]:
    """Things outside that programs try to reach: they are really there."""
    with outside_secrets("expected.json", "[2, 3, 4]") as found:
        yield {
            **found,
            "package": str(Path(found["checkout"], "src/codewatt/evaluate/judge.py")),
            "pid": str(os.getpid()),
            "io_setup": {"x86_64": "206", "aarch64": "0"}[platform.machine()],
        }


@pytest.fixture(scope="module")
def verdicts(
    secrets: dict[str, str],
    judge_programs: Callable[..., list[Verdict]],
) -> dict[str, Verdict]:
    """All attacks, judged eight at a time: those that may hang with short time limits."""
    before, threads = _children(), threading.active_count()
    codes = {}
    for attack, code in ATTACKS.items():
        for name, value in secrets.items():
            code = code.replace("{" + name + "}", value)
        codes[attack] = _results_descriptor(TOOLS + code)
    found = {}
    for limits, attacks in (
        (QUICK, TIMEOUTS | EITHER),
        (CALL_LIMIT_FIRST, ENDED_BY_THE_CALL_LIMIT),
        (PATIENT, set(ATTACKS) - TIMEOUTS - EITHER - ENDED_BY_THE_CALL_LIMIT),
    ):
        some = replace(limits, total_memory_bytes=512 << 20)
        verdicts = judge_programs([codes[attack] for attack in attacks], some)
        found |= dict(zip(attacks, verdicts, strict=True))
    assert threading.active_count() == threads
    assert _children() == before
    return found


def _children() -> set[int]:
    """The processes below this one, zombies included."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        found.update(map(int, (task / "children").read_text().split()))
    return found


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_fails(attack: str, verdicts: dict[str, Verdict]) -> None:
    verdict = verdicts[attack]
    wanted = {"timeout"} if attack in TIMEOUTS else {"fail"}
    if attack in EITHER:
        wanted = {"fail", "timeout"}
    assert {verdict.base.status, verdict.plus.status} <= wanted, verdict.why


# An attack that breaks on a mistake of its own would show nothing.
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_was_really_tried(attack: str, verdicts: dict[str, Verdict]) -> None:
    why = verdicts[attack].why or ""
    for mistake in ("NameError", "SyntaxError", "TypeError", "ImportError", "AttributeError"):
        assert mistake not in why


def test_the_same_harness_passes_a_right_program(
    judge_programs: Callable[..., list[Verdict]],
) -> None:
    code = _results_descriptor(TOOLS + "def attack(): return write('/tmp/mine')\n")
    (verdict,) = judge_programs([code])
    assert (verdict.base.status, verdict.plus.status) == ("pass", "pass"), verdict.why


def test_nothing_is_left_in_the_machine(verdicts: dict[str, Verdict]) -> None:
    """No process of an attack lives on under another parent, and no file stays in /tmp."""
    left = sandboxed_processes()
    # Other tests may judge at the same time: their programs end, daemons do not.
    wait_until(lambda: not left & sandboxed_processes(), f"the end of processes {left}")
    assert [path for path in Path(tempfile.gettempdir()).iterdir() if path.name == "mine"] == []
