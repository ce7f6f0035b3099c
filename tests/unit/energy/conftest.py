"""Timelines with known joules, written by the code that writes real ones."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codewatt.energy.meters.meter import ComponentInfo, MeterInfo, Reading
from codewatt.energy.timeline_writer import Recorder
from tests.support.records import generate_record

Key = tuple[str, str, str, str]
GPU = "GPU-0"
WARMUP = {"batches": 1, "max_cv": 0.02, "window_batches": 5, "max_batches": 50}
#: The bench's repeats last 40 s.
LIMITS = {"min_measured_s": 30.0}


def write_timeline(
    path: Path, series: Mapping[Key, tuple[Any, Any]], meters: Sequence[MeterInfo]
) -> Path:
    """Series by (meter, component, device, quantity) -> (t_s, values)."""
    recorder = Recorder()
    for (meter, component, device, quantity), (t_s, values) in series.items():
        pairs = zip(t_s, values, strict=True)
        recorder.add(meter, (Reading(t, component, device, quantity, v) for t, v in pairs))
    recorder.write(path, [info.to_dict() for info in meters])
    return path


class Bench:
    """A metered job of known power: 100 W for 30 s idle, then 300 W in two repeats, then 100 W.

    GPU by NVML's counter (steps every 0.1 s) and samples; CPU by RAPL at a tenth of the GPU's
    power on each of two packages, DRAM at a hundredth; CodeCarbon says 50 W and 20 W throughout.
    Change `series` and `meters` before `write`.
    """

    start_s, end_s, idle_w, busy_w = 1000.0, 1090.0, 100.0, 300.0

    def __init__(self) -> None:
        self.windows = [
            self.window("idle_unloaded", 1001, 1006),
            self.window("load", 1006, 1008),
            self.window("idle_loaded", 1010, 1029),
            self.window("warmup", 1029, 1030),
            self.window("prefill", 1030, 1035, 0, 0),
            self.window("decode", 1035, 1050, 0, 0),
            self.window("repeat", 1030, 1050, 0),
            self.window("prefill", 1050, 1055, 1, 0),
            self.window("decode", 1055, 1070, 1, 0),
            self.window("repeat", 1050, 1070, 1),
            self.window("idle_after", 1071, 1085),
        ]
        steps, polls, slow = (np.arange(self.start_s, self.end_s, dt) for dt in (0.1, 0.02, 0.5))
        self.series: dict[Key, tuple[Any, Any]] = {
            ("nvml", "gpu", GPU, "energy_j"): (steps, self.joules(steps) + 5e6),
            ("nvml", "gpu", GPU, "power_w"): (polls, self.watts(polls)),
            ("nvml", "gpu", GPU, "power_average_w"): (steps[11:], self.averages(steps[11:])),
            ("nvml", "gpu", GPU, "sm_clock_mhz"): (slow, np.full(len(slow), 1980.0)),
            ("nvml", "gpu", GPU, "throttle_reasons"): (slow, np.zeros(len(slow))),
            ("nvml", "gpu", GPU, "other_processes"): (slow, np.zeros(len(slow))),
            ("rapl", "cpu", "package-0", "energy_j"): (steps, self.joules(steps) / 10),
            ("rapl", "cpu", "package-1", "energy_j"): (steps, self.joules(steps) / 10),
            ("rapl", "dram", "package-0", "energy_j"): (steps, self.joules(steps) / 100),
            ("codecarbon", "cpu", "machine", "energy_j"): (slow, (slow - 1000) * 50),
            ("codecarbon", "dram", "machine", "energy_j"): (slow, (slow - 1000) * 20),
            ("host", "host", "machine", "cpu_load"): (slow, np.full(len(slow), 0.02)),
            ("host", "host", "machine", "busy_s"): (slow, (slow - 1000) * 1.1 + 777),
            ("host", "host", "machine", "stolen_s"): (slow, np.full(len(slow), 3.0)),
            ("host", "host", "machine", "job_busy_s"): (slow, (slow - 1000) * 1.0),
        }
        rapl = {
            "cpu": ComponentInfo("measured", "RAPL, 2 package domains"),
            "dram": ComponentInfo("measured", "RAPL, 1 dram domain"),
        }
        self.meters: dict[str, MeterInfo] = {
            "nvml": MeterInfo(
                "nvml",
                "driver 580",
                0.02,
                {"gpu": ComponentInfo("measured", "NVML total-energy counter")},
                [{"device": GPU, "name": "H200", "power_reading": "instant", "mig_mode": False}],
                {"selected_by": "caller", "not_polled": []},
            ),
            "rapl": MeterInfo(
                "rapl",
                None,
                0.1,
                rapl,
                [
                    {"component": "cpu", "device": "package-0"},
                    {"component": "cpu", "device": "package-1"},
                    {"component": "dram", "device": "package-0"},
                ],
            ),
            "codecarbon": MeterInfo(
                "codecarbon",
                "3.3.2",
                0.5,
                {
                    "cpu": ComponentInfo("modelled", "CodeCarbon 3.3.2, 50 W"),
                    "dram": ComponentInfo("modelled", "CodeCarbon 3.3.2, constant 20 W"),
                    "gpu": ComponentInfo("unavailable", "CodeCarbon 3.3.2", "no GPU"),
                },
            ),
        }
        self.meters["host"] = MeterInfo(
            "host", None, 0.5, facts={"allocation": {"processors": 8, "share": 1.0}}
        )
        self.sampler: dict[str, Any] = {"meters": {}, "cpu_share": 0.1}
        self.device = "cuda"
        self.start = {
            "conditions": {"below_c": 45.0, "steady_w": 3.0, "for_s": 30.0, "at_most_s": 300.0},
            "rest_s": 31.0,
            "condition_met": True,
            "reason": None,
        }
        self.warmup = {"batches": 6, "repeated_batch_s": [1.0] * 6, "cv": 0.0, "steady": True}

    @staticmethod
    def window(
        phase: str, start_s: float, end_s: float, repeat: int | None = None, batch: Any = None
    ) -> dict[str, Any]:
        return {
            "phase": phase,
            "repeat": repeat,
            "batch": batch,
            "start_s": float(start_s),
            "end_s": float(end_s),
        }

    def watts(self, t_s: Any) -> Any:
        return np.where((t_s >= 1030) & (t_s < 1070), self.busy_w, self.idle_w)

    def joules(self, t_s: Any) -> Any:
        """Energy since the start, the integral of `watts`."""
        busy_s = np.clip(t_s - 1030, 0, 40)
        return self.idle_w * (t_s - self.start_s) + (self.busy_w - self.idle_w) * busy_s

    def averages(self, t_s: Any) -> Any:
        """The mean power of a second that ended 0.1 s before."""
        return self.joules(t_s - 0.1) - self.joules(t_s - 1.1)

    def drop(self, *meters: str) -> None:
        """As on a machine without these meters: their series are gone, and they say so.

        Without NVML the job uses no GPU either.
        """
        if "nvml" in meters:
            self.device = "cpu"
        self.series = {key: data for key, data in self.series.items() if key[0] not in meters}
        for name in meters:
            info = self.meters[name]
            gone = {c: ComponentInfo("unavailable", name, f"no {name}") for c in info.components}
            self.meters[name] = MeterInfo(name, components=gone)

    @property
    def manifest(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "cell": {"id": "cell", "prompt": "stripped"},
            "prompt": generate_record()["prompt"],
            "model": {"device": self.device},
            "decoding": {"strategy": "greedy", "warmup": WARMUP},
            "start": self.start,
            "warmup": self.warmup,
            "windows": self.windows,
            "meters": [info.to_dict() for info in self.meters.values()],
            "sampler": self.sampler,
        }

    def write(self, path: Path) -> Path:
        return write_timeline(path, self.series, list(self.meters.values()))


@pytest.fixture
def bench() -> Bench:
    """A metered job with known joules."""
    return Bench()


@pytest.fixture
def measured(bench: Bench, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """measured(**settings): the energy.json of `bench` as it stands."""
    from codewatt.energy.cell_energy import measure_cell

    def measure(**settings: Any) -> dict[str, Any]:
        settings["validity"] = {**LIMITS, **settings.get("validity", {})}
        path = bench.write(tmp_path / "timeline.parquet")
        return measure_cell(bench.manifest, path, None, None, settings).record

    return measure
