"""What making something cost, as manifests keep it; joules are computed from it afterwards."""

from pathlib import Path
from typing import Any

from codewatt.energy.sampler import Sampler


def describe_making(
    phase: str, start_s: float, end_s: float, timeline: Path, sampler: Sampler
) -> dict[str, Any]:
    """When it ran and what was recorded, of a sampler that has stopped."""
    return {
        "windows": [{"phase": phase, "start_s": start_s, "end_s": end_s}],
        "duration_s": end_s - start_s,
        "timeline": str(timeline),
        "meters": sampler.meters,
        "sampler": sampler.summary,
    }
