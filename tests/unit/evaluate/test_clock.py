"""Time limits, on made-up readings: what a program has used is what the machine gave it."""

from collections.abc import Iterable

import pytest

from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.resource_usage import Usage
from codewatt.evaluate.sandbox.time_limits import CALL_TIMED_OUT, SUITE_TIMED_OUT, SuiteClock

LIMITS = Limits(min_time_s=1.0, suite_time_s=10.0, grace_s=2.0, wall_factor=10.0)


def run(
    calls: int, readings: Iterable[tuple[float, float, float, int]]
) -> tuple[float, str] | None:
    """When (wall seconds) and why a suite ends; readings are of (wall, CPU, waited, answered)."""
    clock = SuiteClock([1.0] * calls, LIMITS, 0.0)
    for wall_s, cpu_s, core_wait_s, done in readings:
        why = clock.exceeded(wall_s, Usage(cpu_s, core_wait_s, 0, 3), done, True)
        if why is not None:
            return wall_s, why
    return None


def steps(end_s: float, step_s: float = 0.05) -> list[float]:
    return [step_s * number for number in range(int(end_s / step_s) + 1)]


# A call has 1 s, and from outside 1.25 times that and half a second more.
@pytest.mark.parametrize(
    ("cpu_share", "waited_share", "ends_s"),
    [
        (1.0, 0.0, 1.75),  # a loop on an idle machine
        (0.0, 0.0, 1.75),  # a sleep
        (0.5, 0.5, 3.5),  # a loop that gets half a core
        (0.1, 0.9, 17.5),  # a loop that gets a tenth of a core
        (4.0, 0.0, 0.4375),  # four processes on four cores
        (2.0, 58.0, 0.875),  # sixty processes on two cores
        (0.2, 0.0, 1.75),  # it sleeps most of the time
    ],
)
def test_a_call_ends_when_the_machine_gave_it_its_time(
    cpu_share: float, waited_share: float, ends_s: float
) -> None:
    readings = [(wall, cpu_share * wall, waited_share * wall, 0) for wall in steps(40)]
    ended = run(20, readings)
    assert ended is not None
    assert ended[1] == CALL_TIMED_OUT
    assert ended[0] == pytest.approx(ends_s, abs=0.06)


def test_a_suite_of_calls_that_each_fit_ends_at_its_own_limit() -> None:
    """12 s of CPU time, at a quarter of a core 48 s on the wall."""
    for share in (1.0, 0.25):
        readings = [
            (wall, share * wall, (1 - share) * wall, int(share * wall / 0.9)) for wall in steps(90)
        ]
        ended = run(50, readings)
        assert ended is not None
        assert ended[1] == SUITE_TIMED_OUT
        assert ended[0] == pytest.approx(12 / share, abs=0.2)


def test_a_program_that_never_gets_a_core_ends_too() -> None:
    ended = run(5, [(wall, 0.0, wall, 0) for wall in steps(400, 0.25)])
    assert ended is not None
    assert ended[1] == SUITE_TIMED_OUT
    assert ended[0] == pytest.approx(7 * 10, abs=1)


def looks(
    clock: SuiteClock, wall_s: list[float], usage: Usage, late_s: float = 0.0
) -> list[str | None]:
    return [clock.exceeded(wall + late_s, usage, 0, True) for wall in wall_s]


def test_time_for_which_the_judge_itself_was_busy_is_not_the_programs() -> None:
    clock, usage = SuiteClock([1.0], LIMITS, 0.0), Usage(0.1, 0.0, 0, 3)
    assert clock.exceeded(0.0, usage, 0, True) is None
    clock.exclude_time(20.0)
    assert not any(looks(clock, steps(1.5), usage, 20.0))
    assert looks(clock, steps(1.0), usage, 21.5)[-1] == CALL_TIMED_OUT


def test_a_program_that_keeps_the_judge_busy_ends_too() -> None:
    clock, usage = SuiteClock([1.0], LIMITS, 0.0), Usage(0.1, 0.0, 0, 3)
    ended = []
    for wall in steps(40):
        ended += [wall] if clock.exceeded(wall, usage, 0, True) else []
        clock.exclude_time(0.049)
    assert ended[0] == pytest.approx(30, abs=0.1)


def test_time_for_which_the_judge_was_stopped_is_not_the_programs() -> None:
    """Ctrl-Z, a suspended job, a machine without a free core."""
    clock, usage = SuiteClock([1.0], LIMITS, 0.0), Usage(0.1, 0.0, 0, 3)
    assert not any(looks(clock, steps(1.0), usage))
    assert not any(looks(clock, steps(0.5), usage, 3600.0))
    assert looks(clock, steps(1.2), usage, 3600.5)[-1] == CALL_TIMED_OUT


def test_answers_that_are_not_yet_read_are_held_against_nobody() -> None:
    clock = SuiteClock([1.0] * 9, LIMITS, 0.0)
    for wall in steps(2.5):
        assert clock.exceeded(wall, Usage(wall, 0.0, 0, 3), 0, False) is None  # a full pipe
    for wall in steps(1.7):  # four answers were in it
        assert clock.exceeded(2.5 + wall, Usage(2.5 + wall, 0.0, 0, 3), 4, True) is None
    assert clock.exceeded(4.4, Usage(4.4, 0.0, 0, 3), 4, True) == CALL_TIMED_OUT


def test_without_readings_the_wall_decides_late() -> None:
    clock = SuiteClock([1.0], LIMITS, 0.0)
    ended = [wall for wall in steps(40) if clock.exceeded(wall, None, 0, True) == SUITE_TIMED_OUT]
    assert ended[0] == pytest.approx(30, abs=0.1)
