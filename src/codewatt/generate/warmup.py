"""Warm-up before the first repeat: some batches, or until the time of a batch is steady.

Batches differ in their prompts and in the number of their tokens, so the times of different batches
do not tell whether the machine is steady. Therefore one batch is repeated: it is the same work
each time, as sampled decoding draws with the same seeds.
"""

import statistics
from collections.abc import Callable, Sequence

from codewatt.energy.start_record import WarmupRecord, WarmupSettings


def warm_up(
    complete_batch: Callable[[int], float], batches: int, settings: WarmupSettings
) -> WarmupRecord:
    """Complete the first batches; with `max_cv`, repeat the last of them until steady.

    Args:
        complete_batch: completes the batch of a number; returns how long it took (s).
        batches: number of batches of the benchmark, at least 1.
        settings: the study's `decoding.warmup`.
    """
    max_cv, window = settings["max_cv"], settings["window_batches"]
    first = min(settings["batches"], batches)
    if max_cv is None:
        for number in range(first):
            complete_batch(number)
        return {"batches": first, "repeated_batch_s": [], "cv": None, "steady": None}
    repeated = max(first, 1) - 1
    for number in range(repeated):
        complete_batch(number)
    times_s: list[float] = []
    cv: float | None = None
    while repeated + len(times_s) < settings["max_batches"] and (cv is None or cv > max_cv):
        times_s.append(complete_batch(repeated))
        cv = coefficient_of_variation(times_s[-window:]) if len(times_s) >= window else None
    return {
        "batches": repeated + len(times_s),
        "repeated_batch_s": times_s,
        "cv": cv,
        "steady": cv is not None and cv <= max_cv,
    }


def coefficient_of_variation(values: Sequence[float]) -> float:
    """Sample standard deviation (n - 1) / mean of at least two positive values."""
    return statistics.stdev(values) / statistics.fmean(values)
