"""Takes and dates readings of one GPU: the same for every library that reads GPUs."""

from collections import Counter
from collections.abc import Callable, Mapping

from codewatt.energy.meters.counter_updates import Staircase
from codewatt.energy.meters.meter import Reading

#: Takes one reading; None: the GPU does not tell the value now.
Read = Callable[[], float | None]


def timed_readings(
    uuid: str,
    fields: Mapping[str, Read],
    steps: Staircase,
    time_error_s: float,
    errors: tuple[type[Exception], ...],
    failures: Counter[str],
    monotonic: Callable[[], float],
) -> list[Reading]:
    """Readings of one GPU. Energy is read as steps of its counter, everything else as it is.

    Args:
        fields: quantity -> how to read it.
        steps: of the GPU's energy counter.
        time_error_s: bound on the error of a step's time (s); a step with a larger one has a
            reading `time_error_s`.
        errors: what the library raises for a failed read, which is left out and counted.
        failures: counts failed reads by reason.
        monotonic: the clock (s).
    """
    readings: list[Reading] = []
    for quantity, read in fields.items():
        try:
            before_s = monotonic()
            value = read()
            if value is None:
                continue
            read_s = monotonic() - before_s
        except errors as error:
            failures[f"{quantity}: {error}"] += 1
            continue
        t_s = before_s + read_s / 2
        if quantity == "energy_j":
            step = steps.step(t_s, value, read_s)
            if step is None:
                continue
            t_s, value, error_s = step
            if error_s > time_error_s:
                readings.append(Reading(t_s, "gpu", uuid, "time_error_s", error_s))
        readings.append(Reading(t_s, "gpu", uuid, quantity, value))
    return readings
