"""The records of what precedes the repeats of a cell: the rest before it, and its warm-up."""

from typing import Literal

from typing_extensions import TypedDict

#: The meter whose readings describe the devices of a job.
Sensor = Literal["nvml", "zeus", "rapl"]


class StartConditions(TypedDict):
    """The study's `energy.start`: what a job waits for before it measures a cell.

    below_c: every GPU of the job must be cooler (°C); None: at any temperature.
    steady_w, for_s: the power of every device, as means of one second, must stay within `steady_w`
        watts for `for_s` seconds.
    at_most_s: the job waits no longer (s).
    """

    below_c: float | None
    steady_w: float
    for_s: float
    at_most_s: float


class StartRecord(TypedDict):
    """The state of a job's GPUs, or of its CPU packages without a GPU, when measuring began.

    conditions: that were asked for; None: the job did not rest.
    rest_s: duration of the window `rest` (s); 0 without rest.
    condition_met: None if nothing was asked for, or if it could not be read.
    reason: why the condition was not met or could not be read; else None.
    sensor: what was read; None if there is neither a GPU nor a readable CPU counter.
    temperature_c: of the hottest device, at the end of the rest; None if it could not be read.
    power_w: of all devices together, over the last second of the rest; None likewise.
    initial_temperature_c, initial_power_w: the same before the rest.
    """

    conditions: StartConditions | None
    rest_s: float
    condition_met: bool | None
    reason: str | None
    sensor: Sensor | None
    temperature_c: float | None
    power_w: float | None
    initial_temperature_c: float | None
    initial_power_w: float | None


class WarmupSettings(TypedDict):
    """The study's `decoding.warmup`. max_cv: None for a fixed number of batches."""

    batches: int
    max_cv: float | None
    window_batches: int
    max_batches: int


class WarmupRecord(TypedDict):
    """What the warm-up did.

    batches: that were completed. repeated_batch_s: how long the batch that was repeated took each
        time (s); empty for a fixed number of batches.
    cv: coefficient of variation of the last `window_batches` of these times; None without so many.
    steady: whether cv is at most max_cv; None for a fixed number of batches.
    """

    batches: int
    repeated_batch_s: list[float]
    cv: float | None
    steady: bool | None
