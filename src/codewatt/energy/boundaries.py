"""Energy boundaries: which components an energy value includes.

- node: the job's GPUs, and all CPU packages and memory of the machine;
- job: the job's GPUs, and the job's CPU share of the energy of CPU and memory;
- gpu: the job's GPUs only; no value if the job uses no GPU.

A boundary has no value if one of its components has none, because a sum over the others would be
too low.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from codewatt.energy.energy_sources import COMPONENTS, Sources
from codewatt.energy.job_energy_record import ComponentRecord, CpuShareRecord, Joules
from codewatt.energy.meters.meter import Status
from codewatt.energy.timeline_reader import Timeline

#: In the order of the tables. "gpu" is both a component and a boundary.
BOUNDARIES = ("node", "job", "gpu")
#: Keys of a dictionary of energies.
PARTS = (*COMPONENTS, "node", "job")
_HOST = ("cpu", "dram")
_WORST_FIRST: tuple[Status, ...] = ("unavailable", "modelled", "measured")


@dataclass(frozen=True)
class Boundaries:
    """Computes the energies of a job's boundaries from those of its components.

    Attributes:
        uses_gpu: whether the job uses GPUs.
        share: CPU share of the job, 0 to 1; None if unknown.
    """

    uses_gpu: bool
    share: float | None

    def add(self, parts: Mapping[str, float | None]) -> Joules:
        """Energies (J) of all PARTS from those of the components; None where unknown."""
        return {
            **{name: parts.get(name) for name in COMPONENTS},
            "node": self._sum(parts, 1.0),
            "job": self._sum(parts, self.share),
        }

    def status(self, components: Mapping[str, ComponentRecord]) -> dict[str, ComponentRecord]:
        """Status, method and detail of every part.

        Args:
            components: the same of each component (Sources.describe).
        """
        needed = [*(["gpu"] if self.uses_gpu else []), *_HOST]
        statuses = {components[name]["status"] for name in needed}
        worst = next(status for status in _WORST_FIRST if status in statuses)
        missing = [name for name in needed if components[name]["status"] == "unavailable"]
        detail = (
            f"no value, because the energy of {', '.join(missing)} is unavailable"
            if missing
            else None
        )
        share_known = self.share is not None
        return {
            **{name: components[name].copy() for name in COMPONENTS},
            "node": {"status": worst, "method": " + ".join(needed), "detail": detail},
            "job": {
                "status": worst if share_known else "unavailable",
                "method": f"{' + '.join(needed)}, CPU share of the job applied to cpu and dram",
                "detail": detail if share_known else "the CPU share of the job is unknown",
            },
        }

    def _sum(self, parts: Mapping[str, float | None], share: float | None) -> float | None:
        host = [parts.get(name) for name in _HOST]
        gpu = parts.get("gpu") if self.uses_gpu else 0.0
        if share is None or gpu is None or None in host:
            return None
        return gpu + share * math.fsum(value for value in host if value is not None)


def boundaries_of(timeline: Timeline, uses_gpu: bool) -> Boundaries:
    """The boundaries of a timeline; the CPU share is unknown if the timeline does not record it."""
    return Boundaries(uses_gpu, allocation_of(timeline).get("share"))


def allocation_of(timeline: Timeline) -> CpuShareRecord:
    """The CPUs that the job held (`cpu_share.job_cpu_share`); empty if not recorded."""
    host = timeline.meter("host")
    recorded: CpuShareRecord | None = None
    if host is not None:
        recorded = host.get("facts", {}).get("allocation")
    return recorded or {}


def uses_gpu(sources: Sources, device: str | None) -> bool:
    """Whether the job used a GPU: by its device if known, else by whether a GPU was metered."""
    return device == "cuda" if device is not None else "gpu" in sources.figures
