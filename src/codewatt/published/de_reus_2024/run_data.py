"""Reads the runs of de Reus et al. 2024 (energy.csv; README.md describes the columns)."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any

from codewatt.errors import CodewattError
from codewatt.units import J_PER_WH

#: Values of ear_match: the run's own step in EAR's log; the same on a node whose power EAR divided
#: between two jobs; the mean over the steps of the configuration; no log of the configuration.
OWN_STEP, SHARED_STEP, GROUP_MEAN, UNLOGGED = "step", "shared step", "group mean", ""

#: Power of a GPU before its run while the model is loaded (W): 49 to 58 W in steps of EAR's log
#: that only loaded a model.
GPU_LOADING_W = 55.0


@dataclass(frozen=True)
class Run:
    """One run: the published figures, and those of EAR, the cluster's energy monitor.

    A `PublishedRun`. README.md describes the columns. Powers are means (W).

    Attributes:
        ear_time_s: duration of the whole job step, including model loading (s).
        ear_packages_w: power of both CPU packages of the node.
    """

    paper: str
    table: str
    source: str
    model: str
    token_limit: int
    precision: str
    layers_pruned: int
    run: int
    dram_wh: float
    gpu_wh: float
    cpu_wh: float
    total_wh: float
    co2_g: float
    runtime_s: float
    ear_file: str
    ear_step: int | None
    ear_time_s: float | None
    ear_packages_w: float | None
    ear_dram_w: float | None
    ear_gpu_w: float | None
    ear_node_w: float | None
    ear_match: str

    @property
    def cpu_w(self) -> float:
        """Published mean CPU power (W)."""
        return self._watts(self.cpu_wh)

    @property
    def dram_w(self) -> float:
        """Published mean DRAM power (W)."""
        return self._watts(self.dram_wh)

    @property
    def packages_w(self) -> float | None:
        """EAR's power of both packages (W): of the run's own step, or the configuration's mean.

        None for a shared step, because EAR divided the node's power between two jobs.
        """
        return self.ear_packages_w if self.ear_match in (OWN_STEP, GROUP_MEAN) else None

    @property
    def own_packages_w(self) -> float | None:
        """EAR's power of both packages during this run (W)."""
        return self.ear_packages_w if self.ear_match == OWN_STEP else None

    @property
    def own_dram_w(self) -> float | None:
        """EAR's power of the node's DRAM during this run (W)."""
        return self.ear_dram_w if self.ear_match == OWN_STEP else None

    @property
    def own_gpu_j(self) -> float | None:
        """EAR's GPU energy during this run (J): that of the step minus model loading.

        EAR assigns each job the power of its own GPU, also on a shared node.
        """
        if self.ear_match not in (OWN_STEP, SHARED_STEP):
            return None
        if self.ear_gpu_w is None or self.ear_time_s is None:
            return None
        loading_s = self.ear_time_s - self.runtime_s
        return self.ear_gpu_w * self.ear_time_s - GPU_LOADING_W * loading_s

    @property
    def parts_wh(self) -> dict[str, float]:
        """See `PublishedRun.parts_wh`."""
        return {"dram": self.dram_wh, "gpu": self.gpu_wh, "cpu": self.cpu_wh}

    @property
    def reference_j(self) -> dict[str, float | None]:
        """See `PublishedRun.reference_j`."""
        cpu_w, dram_w = self.own_packages_w, self.own_dram_w
        return {
            "cpu": None if cpu_w is None else cpu_w * self.runtime_s,
            "gpu": self.own_gpu_j,
            "dram": None if dram_w is None else dram_w * self.runtime_s,
        }

    @property
    def reference_cpu_w(self) -> float | None:
        """See `PublishedRun.reference_cpu_w`."""
        return self.packages_w

    @property
    def reference_source(self) -> str:
        """See `PublishedRun.reference_source`."""
        return self.ear_match

    def _watts(self, energy_wh: float) -> float:
        return energy_wh * J_PER_WH / self.runtime_s


def read_runs(path: str | Path) -> list[Run]:
    """Read the runs, in the order of the file.

    Raises:
        CodewattError: the file is missing or wrong; the message names line and column.
    """
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            runs = list(_rows(Path(path), csv.DictReader(stream)))
    except FileNotFoundError:
        raise CodewattError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CodewattError(f"{path}: not readable as CSV: {error}") from None
    if not runs:
        raise CodewattError(f"{path}: contains no runs")
    return runs


def _rows(path: Path, reader: "csv.DictReader[str]") -> Iterator[Run]:
    missing = [f.name for f in fields(Run) if f.name not in (reader.fieldnames or ())]
    if missing:
        raise CodewattError(f"{path}: missing column: {', '.join(missing)}")
    for row in reader:
        try:
            yield _run(row)
        except ValueError as error:
            raise CodewattError(f"{path}:{reader.line_num}: {error}") from None


def _run(row: dict[str, str | None]) -> Run:
    values: dict[str, Any] = {f.name: _value(f.name, f.type, row[f.name]) for f in fields(Run)}
    run = Run(**values)
    for name in ("runtime_s", "total_wh", "dram_wh", "gpu_wh", "cpu_wh"):
        if values[name] <= 0:
            raise ValueError(f"{name}: expected a number above 0, found {row[name]!r}")
    allowed = (OWN_STEP, SHARED_STEP, GROUP_MEAN, UNLOGGED)
    if run.ear_match not in allowed:
        raise ValueError(f"ear_match: expected one of {allowed}, found {run.ear_match!r}")
    if run.ear_match != UNLOGGED and not (run.ear_packages_w and run.ear_packages_w > 0):
        raise ValueError(f"ear_packages_w: expected watts for ear_match {run.ear_match!r}")
    return run


def _value(name: str, kind: Any, text: str | None) -> str | int | float | None:
    """Convert a cell to the type of its column; empty is None if the column allows it.

    Raises:
        ValueError: it has another type; the message names column and content.
    """
    if text is None:
        raise ValueError(f"{name}: the line ends before this column")
    if kind is str:
        return text
    if isinstance(kind, UnionType) and not text:
        return None
    whole = kind in (int, int | None)
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        expected = "a whole number" if whole else "a number"
        raise ValueError(f"{name}: expected {expected}, found {text!r}")
    return number
