"""What a figure takes in: the node, the job's share of it, or the GPU alone. Never mixed.

- node: the job's GPUs, and all packages and memory of the machine;
- job: the job's GPUs, and of CPU and memory the job's share by processors held;
- gpu: the job's GPUs alone; no figure where the job uses none.

A boundary has no figure where a part of it has none: a sum over what happens to be known would
look like a thrifty machine.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from codewatt.energy.energy_sources import COMPONENTS, Sources
from codewatt.energy.job_energy_record import ComponentRecord, CpuShareRecord, Joules
from codewatt.energy.meters.meter import Status
from codewatt.energy.timeline_reader import Timeline

#: In the order of the tables; the GPU's own figure is both a component and a boundary.
BOUNDARIES = ("node", "job", "gpu")
#: What a dict of joules holds.
PARTS = (*COMPONENTS, "node", "job")
_HOST = ("cpu", "dram")
_WORST_FIRST: tuple[Status, ...] = ("unavailable", "modelled", "measured")


@dataclass(frozen=True)
class Boundaries:
    """How a job's boundaries are made of its components.

    Attributes:
        uses_gpu: whether GPUs belong to the job.
        share: of the machine's processors that the job holds, 0 to 1; None if unknown.
    """

    uses_gpu: bool
    share: float | None

    def add(self, parts: Mapping[str, float | None]) -> Joules:
        """Components' joules (absent: None), with those of node and job."""
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
        detail = f"without {', '.join(missing)} there is no figure" if missing else None
        share_known = self.share is not None
        return {
            **{name: components[name].copy() for name in COMPONENTS},
            "node": {"status": worst, "method": " + ".join(needed), "detail": detail},
            "job": {
                "status": worst if share_known else "unavailable",
                "method": f"{' + '.join(needed)}, of cpu and dram the job's share by processors",
                "detail": detail if share_known else "the machine's processors cannot be counted",
            },
        }

    def _sum(self, parts: Mapping[str, float | None], share: float | None) -> float | None:
        host = [parts.get(name) for name in _HOST]
        gpu = parts.get("gpu") if self.uses_gpu else 0.0
        if share is None or gpu is None or None in host:
            return None
        return gpu + share * math.fsum(value for value in host if value is not None)


def boundaries_of(timeline: Timeline, uses_gpu: bool) -> Boundaries:
    """A timeline's boundaries; telemetry that does not tell the allocation has no job share."""
    return Boundaries(uses_gpu, allocation_of(timeline).get("share"))


def allocation_of(timeline: Timeline) -> CpuShareRecord:
    """What the job held of the machine (cpu_share.job_cpu_share); empty if not recorded."""
    host = timeline.meter("host")
    recorded: CpuShareRecord | None = None
    if host is not None:
        recorded = host.get("facts", {}).get("allocation")
    return recorded or {}


def uses_gpu(sources: Sources, device: str | None) -> bool:
    """Whether the job computed on a GPU: by its manifest, else by whether one was metered."""
    return device == "cuda" if device is not None else "gpu" in sources.figures
