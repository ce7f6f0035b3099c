"""The sampler's settings: how often each meter is read."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from codewatt.errors import CodewattError
from codewatt.setting_ranges import CODECARBON_INTERVAL_S, INTERVAL_S


@dataclass(frozen=True)
class SamplerSettings:
    """Seconds between readings.

    Attributes:
        nvml_interval_s: GPU power, and the wait for the next step of the energy counter.
        nvml_state_interval_s: GPU clock, temperature, throttle reasons, processes.
        rapl_interval_s: CPU and DRAM counters; less where a counter could wrap unseen.
        codecarbon_interval_s: CodeCarbon's energies.
        host_interval_s: CPU load and memory of the machine.
    """

    nvml_interval_s: float = 0.02
    nvml_state_interval_s: float = 0.5
    rapl_interval_s: float = 0.1
    codecarbon_interval_s: float = 0.5
    host_interval_s: float = 0.5

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Pick the sampler's keys out of the study's energy settings; defaults for the rest.

        The study file is checked against the same ranges (`setting_ranges`) when it is read.

        Raises:
            CodewattError: an interval is not a number of its range.
        """
        known = {field.name for field in fields(cls)}
        picked = {name: value for name, value in settings.items() if name in known}
        for name, value in picked.items():
            allowed = CODECARBON_INTERVAL_S if name == "codecarbon_interval_s" else INTERVAL_S
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise CodewattError(f"energy.{name}: {value!r} is not a number of seconds")
            if not allowed.holds(value):
                raise CodewattError(
                    f"energy.{name}: {value} s is not between {allowed.least} s and "
                    f"{allowed.most} s"
                )
        return cls(**picked)
