"""The energy of any window of a metered job: its timeline, sources and boundaries together."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from codewatt.energy.boundaries import PARTS, Boundaries, boundaries_of, uses_gpu
from codewatt.energy.energy_record import PhaseEnergy
from codewatt.energy.energy_sources import Sources, choose_sources
from codewatt.energy.job_energy_record import ComponentRecord, Joules, MeterRecord, PhaseWindow
from codewatt.energy.meters.meter import Status
from codewatt.energy.timeline_reader import Timeline, read_timeline
from codewatt.files import FileRecord, check_files

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class JobMeter:
    """The energy of any window of a job.

    >>> meter = JobMeter.read("timeline.parquet", device="cuda")
    >>> meter.energy(start_s=12.5, end_s=20.0)["node"]
    2711.4
    """

    timeline: Timeline
    sources: Sources
    boundaries: Boundaries

    @classmethod
    def read(
        cls,
        timeline_path: Path,
        device: str | None = None,
        meters: list[MeterRecord] | None = None,
    ) -> Self:
        """Read a timeline.

        Args:
            device: "cuda" or "cpu", what the job computed on; None: by what was metered.
            meters: descriptions of the meters, for a file that does not hold its own.

        Raises:
            CodewattError: the timeline is missing or unreadable.
        """
        timeline = read_timeline(timeline_path, meters)
        sources = choose_sources(timeline)
        return cls(timeline, sources, boundaries_of(timeline, uses_gpu(sources, device)))

    def window(self, start_s: float, end_s: float) -> tuple[Joules, Joules]:
        """Joules by part between two times (s), and the bound on the error from the edges.

        The bound of a sum is the sum of the bounds of its parts.
        """
        found = {n: source.energy(start_s, end_s) for n, source in self.sources.figures.items()}
        return (
            self.boundaries.add({name: part.energy_j for name, part in found.items()}),
            self.boundaries.add({name: part.uncertainty_j for name, part in found.items()}),
        )

    def energy(self, start_s: float, end_s: float) -> Joules:
        """Joules by part between two times (s)."""
        return self.window(start_s, end_s)[0]

    def phase_total(self, windows: Sequence[PhaseWindow], phase: str) -> PhaseEnergy | None:
        """Duration (s) and energy (J by part) of all windows of a phase; None without any."""
        edges = [(w["start_s"], w["end_s"]) for w in windows if w["phase"] == phase]
        if not edges:
            return None
        each = [self.energy(*edge) for edge in edges]
        return {
            "duration_s": math.fsum(end_s - start_s for start_s, end_s in edges),
            "energy_j": {name: sum_known(energy[name] for energy in each) for name in PARTS},
        }

    def components(self) -> dict[str, ComponentRecord]:
        """Status, method and detail of each part."""
        return self.boundaries.status(self.sources.describe())

    def statuses(self) -> dict[str, Status]:
        """Status of each part: "measured", "modelled" or "unavailable"."""
        return {part: found["status"] for part, found in self.components().items()}


def check_timeline(files: Mapping[str, FileRecord], path: Path) -> None:
    """Check that a timeline file is the one that the manifest describes.

    Args:
        files: the manifest's "files"; a file that it does not name is let through.

    Raises:
        CodewattError: its size or SHA-256 differs from the manifest's.
    """
    name = os.path.basename(path)
    described = {n: d for n, d in files.items() if n == name}
    check_files(os.path.dirname(path), described)


def sum_known(values: Iterable[float | None]) -> float | None:
    """The sum; None if `values` is empty or contains None."""
    known = list(values)
    present = [value for value in known if value is not None]
    return math.fsum(present) if present and len(present) == len(known) else None
