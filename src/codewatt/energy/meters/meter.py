"""The interface of meters: description, readings, and meters that are not available.

A meter that is not available on this machine is an `AbsentMeter` with the reason; opening a meter
never raises.
Times are CLOCK_MONOTONIC seconds (time.monotonic()), comparable across processes.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

if TYPE_CHECKING:
    from codewatt.energy.job_energy_record import MeterRecord

Status = Literal["measured", "modelled", "unavailable"]


class Reading(NamedTuple):
    """One value at one time.

    Attributes:
        t_s: CLOCK_MONOTONIC seconds.
        component: "gpu", "cpu", "dram", "host", "node" or "cache".
        device: GPU UUID, "package-0", "machine", "job".
        quantity: "energy_j" (cumulative, never wraps), "power_w", "power_average_w" (of the last
            second), "sm_clock_mhz", "memory_clock_mhz", "temperature_c", "throttle_reasons"
            (NVML's bit mask), "utilisation" and "cpu_load" (0 to 1), "memory_used_bytes",
            "other_processes" (a count), "busy_s", "job_busy_s" and "stolen_s" (CPU seconds,
            cumulative: of the machine, of the job with its sampler, and what a hypervisor took),
            "cpu_clock_mhz", "l1_misses" and "l2_misses" (cumulative),
            "time_error_s" (bound on the error of t_s of the energy_j reading with the same t_s, if
            it is larger than the bound in the meter's facts).
    """

    t_s: float
    component: str
    device: str
    quantity: str
    value: float


@dataclass(frozen=True)
class ComponentInfo:
    """Origin of a meter's energy for one component.

    Attributes:
        status: "measured", "modelled" or "unavailable".
        method: how it is measured or modelled.
        detail: further explanation; if unavailable, the reason and a remedy, on one line.
    """

    status: Status
    method: str
    detail: str | None = None


@dataclass(frozen=True)
class MeterInfo:
    """The description of a meter, as stored in manifests.

    Attributes:
        name: "nvml", "zeus", "rapl", "codecarbon", "host", "node" or "perf".
        version: of the library or driver behind it.
        interval_s: nominal time between readings; None for an absent meter.
        components: component -> origin of its energy.
        devices: facts on each device that is read (GPUs: name, UUID, power limit, ...).
        facts: other facts that are needed to interpret its readings.
    """

    name: str
    version: str | None = None
    interval_s: float | None = None
    components: dict[str, ComponentInfo] = field(default_factory=dict)
    devices: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> "MeterRecord":
        """The fields as a dictionary for JSON."""
        return cast("MeterRecord", asdict(self))


class Meter(ABC):
    """A source of readings; the sampler polls each meter in its own thread.

    Attributes:
        info: its description.
        failures: number of failed reads, by reason.
        settle_s: time (s) to poll before the first and after the last window, so that each window
            has a counter update before and after it.
    """

    settle_s = 0.0

    def __init__(self, info: MeterInfo) -> None:
        self.info = info
        self.failures: Counter[str] = Counter()

    @abstractmethod
    def read(self) -> list[Reading]:
        """Take readings now. A failing quantity is omitted and counted in `failures`."""

    def close(self) -> None:  # noqa: B027 - most meters hold nothing open
        """Release the meter's resources."""


class AbsentMeter(Meter):
    """A meter that is not available: it has no readings, and a reason for each component."""

    def __init__(
        self, name: str, components: Iterable[str], reason: str, facts: dict[str, Any] | None = None
    ) -> None:
        unavailable = ComponentInfo("unavailable", name, reason)
        super().__init__(
            MeterInfo(name, components=dict.fromkeys(components, unavailable), facts=facts or {})
        )

    def read(self) -> list[Reading]:
        """No readings."""
        return []
