"""Settings of the measurement stage: what a valid measurement needs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from codewatt.energy.boundaries import BOUNDARIES
from codewatt.errors import CodewattError


@dataclass(frozen=True)
class JudgingSettings:
    """Limits of the validity expectations, whose electricity it was, and what a figure takes in.

    Attributes:
        country: ISO 3166 alpha-3.
        boundary: "node", "job" or "gpu": what the study's own figures are (boundaries.py).
        min_window_s: a repeat shorter than this is too short to trust.
        min_readings: readings (steps of NVML's counter) within a repeat.
        counter_tolerance: |counter - power| / power, with NVML's one-second averages integrated.
            On an H100 both agree within 1 % over 10 s and more (docs/measurements.md).
        samples_tolerance: the same with instantaneous samples, which miss what happens between
            two of the driver's readings, 100 ms apart.
        codecarbon_tolerance: |RAPL here - RAPL through CodeCarbon| / the latter.
        max_edge_share: the bound on what a repeat's edges can be wrong by, over its energy.
        below_idle: by which share of itself a repeat's energy may lie below the idle power's.
        stolen_share: processor time that a hypervisor took, of all processors' time.
        others_processors: processors that others than the job keep busy, or a hypervisor takes,
            on average over a repeat. Daemons of a quiet cluster node take less than this.
        others_share: the same as a share of the machine's processors; the lesser limit counts.
            At 0.05 a job that uses all of them loses at most 5 % of its time to others. A quiet
            machine of two processors shows up to 0.03 processors, with Linux's ticks of 10 ms.
        repeat_spread: (most - least) / least of the repeats' energies, beyond what their edges
            can be wrong by. Sound repeats of the same work have differed by up to 0.21 (a first
            repeat on an H100, docs/measuring.md), and by a few hundredths on a quiet CPU.
        max_phase_edge_share: what is not known of a phase: time without a figure, and edges.
        max_unresolved_share: of a phase's time, in windows shorter than the meter's resolution.
        max_outside_phases: of a repeat's time, outside prefill and decode.
        clock_spread: (95th - 5th percentile) / median of the SM clock within a repeat.
        idle_drift: |after - before| / before of a component's idle power.
        idle_host_load: mean CPU load, 0 to 1, of the machine in an idle window.
        max_gap_s: longest time without a reading; slower meters may take ten intervals.
    """

    country: str = "NLD"
    min_window_s: float = 10.0
    min_readings: int = 10
    boundary: str = "node"
    counter_tolerance: float = 0.02
    samples_tolerance: float = 0.03
    codecarbon_tolerance: float = 0.05
    max_edge_share: float = 0.05
    below_idle: float = 0.05
    stolen_share: float = 0.01
    others_processors: float = 0.5
    others_share: float = 0.05
    repeat_spread: float = 0.25
    max_phase_edge_share: float = 0.1
    max_unresolved_share: float = 0.01
    max_outside_phases: float = 0.05
    clock_spread: float = 0.1
    idle_drift: float = 0.1
    idle_host_load: float = 0.2
    max_gap_s: float = 2.0

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Pick this stage's keys out of the study's energy settings; defaults for the rest.

        Raises:
            CodewattError: a limit is not a number from 0 up, the country not a string, or the
                boundary none that there is.
        """
        known = {field.name for field in fields(cls)}
        picked = {name: value for name, value in settings.items() if name in known}
        for name, value in picked.items():
            if name == "country":
                if not isinstance(value, str):
                    raise CodewattError(f"energy.country: {value!r} is not an ISO alpha-3 code")
            elif name == "boundary":
                if value not in BOUNDARIES:
                    allowed = ", ".join(BOUNDARIES)
                    raise CodewattError(f"energy.boundary: {value!r} is none of {allowed}")
            elif isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise CodewattError(f"energy.{name}: {value!r} is not a number from 0 up")
        return cls(**picked)
