"""What every meter is: where its readings come from, what they are worth, and how to take them.

A meter that cannot read here is an `AbsentMeter` that says why; opening one never raises.
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
        component: "gpu", "cpu", "dram" or "host".
        device: GPU UUID, "package-0", "machine".
        quantity: "energy_j" (cumulative, never wraps), "power_w", "power_average_w" (of the last
            second), "sm_clock_mhz", "memory_clock_mhz", "temperature_c", "throttle_reasons"
            (NVML's bit mask), "utilisation" and "cpu_load" (0 to 1), "memory_used_bytes",
            "other_processes" (a count), "busy_s", "job_busy_s" and "stolen_s" (CPU seconds,
            cumulative: of the machine, of the job with its sampler, and what a hypervisor took),
            "time_error_s" (by how much t_s of the energy_j of that time can be wrong, where that
            is more than the meter's facts say of all its readings).
    """

    t_s: float
    component: str
    device: str
    quantity: str
    value: float


@dataclass(frozen=True)
class ComponentInfo:
    """What a meter's figure for one component is worth.

    `detail` says what the number means, or, if unavailable, why and the one-line remedy.
    """

    status: Status
    method: str
    detail: str | None = None


@dataclass(frozen=True)
class MeterInfo:
    """What a meter is, as manifests keep it.

    Attributes:
        name: "nvml", "rapl", "codecarbon" or "host".
        version: of the library or driver behind it.
        interval_s: nominal time between readings; None for an absent meter.
        components: what it says about each component.
        devices: facts on each device that is read (GPUs: name, UUID, power limit, ...).
        facts: what else decides the meaning of its numbers.
    """

    name: str
    version: str | None = None
    interval_s: float | None = None
    components: dict[str, ComponentInfo] = field(default_factory=dict)
    devices: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> "MeterRecord":
        """Plain JSON values."""
        return cast("MeterRecord", asdict(self))


class Meter(ABC):
    """A source of readings, polled by the sampler from one thread of its own.

    Attributes:
        info: what it is.
        failures: reads that failed while sampling, counted by what failed.
        settle_s: how long to poll before and after the job's windows, so that an update of the
            counter stands on either side of each.
    """

    settle_s = 0.0

    def __init__(self, info: MeterInfo) -> None:
        self.info = info
        self.failures: Counter[str] = Counter()

    @abstractmethod
    def read(self) -> list[Reading]:
        """Take readings now. A quantity that cannot be read is left out and counted."""

    def close(self) -> None:  # noqa: B027 - most meters hold nothing open
        """Give back what the meter holds."""


class AbsentMeter(Meter):
    """A meter that is not there: no readings, and the reason for each component."""

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
