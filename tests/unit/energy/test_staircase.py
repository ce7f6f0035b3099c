"""Few reads find every step of a counter, within half a polling interval."""

import pytest

from codewatt.energy.meters.counter_updates import Staircase


@pytest.mark.parametrize("offset_s", [0.0, 0.003, 0.011, 0.0199])
def test_every_step_is_timed_within_half_a_tick_with_few_reads(offset_s: float) -> None:
    stairs, tick_s, period_s = Staircase(0.02), 0.02, 0.1
    steps, reads = [], 0
    for tick in range(500):
        now_s = tick * tick_s
        if stairs.due(now_s):
            reads += 1
            step = stairs.step(now_s, float((now_s - offset_s) // period_s))
            if step is not None:
                steps.append(step)
    assert [value for _, value, _ in steps] == list(range(int(steps[0][1]), int(steps[-1][1]) + 1))
    assert len(steps) >= 98
    for t_s, value, _ in steps:
        assert t_s == pytest.approx(value * period_s + offset_s, abs=tick_s / 2 + 1e-9)
    assert reads <= 3 * len(steps) + 5


def test_a_counter_faster_than_the_polling_is_always_read() -> None:
    stairs = Staircase(0.02)
    assert all(
        stairs.due(tick * 0.02) and (stairs.step(tick * 0.02, tick) is not None) == (tick > 0)
        for tick in range(50)
    )


def test_a_missed_step_is_recovered_from() -> None:
    """A poller that was starved for seconds goes on as before."""
    stairs = Staircase(0.02)
    times = [t * 0.02 for t in range(100)] + [10 + t * 0.02 for t in range(100)]
    steps = [
        step
        for now_s in times
        if stairs.due(now_s) and (step := stairs.step(now_s, now_s // 0.1)) is not None
    ]
    after = [t_s for t_s, _, _ in steps if t_s > 10]
    assert len(after) >= 18


def test_a_counter_that_stands_still_has_no_steps() -> None:
    stairs = Staircase(0.02)
    assert all(stairs.step(t * 0.02, 5.0) is None for t in range(100) if stairs.due(t * 0.02))
