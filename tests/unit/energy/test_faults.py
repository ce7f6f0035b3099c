"""Faults from end to end: NVML and powercap misbehave, and no wrong joule passes silently.

The real meters read a simulated machine through functions with NVML's own signatures and through
files like powercap's; the recorder writes a timeline, and the measuring stage judges it. The same
is done to a recording of a real job.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pynvml
import pytest

from codewatt.energy.cell_energy import measure_cell
from codewatt.energy.meters import nvml, rapl
from codewatt.energy.meters.nvml import open_nvml
from codewatt.energy.meters.rapl import open_rapl
from codewatt.energy.timeline_reader import read_timeline
from codewatt.energy.timeline_writer import Recorder
from codewatt.sampler_settings import SamplerSettings
from tests.support.nvml import NOT_SUPPORTED, Clock, FakeNvml

DATA = Path(__file__).resolve().parents[2] / "fixtures" / "energy"
Cell = dict[str, Any]
JOB = os.getpid()

#: Idle, two repeats of 10.5 s at 300 W, idle; 100 W otherwise. Seconds after the start.
PHASES = (
    ("idle_loaded", 2.0, 5.0, None),
    ("repeat", 6.0, 16.5, 0),
    ("repeat", 17.0, 27.5, 1),
    ("idle_after", 29.0, 31.0, None),
)
END_S, FAULT_S = 32.0, 20.0


class Machine:
    """A GPU whose power is known, seen through a fake NVML; `now_s` counts from the start."""

    def __init__(self, gpu: FakeNvml, clock: Clock) -> None:
        self.gpu, self.clock, self.start_s = gpu, clock, clock.now_s
        self.set("TotalEnergyConsumption", lambda _: int(1e9 + 1000 * self.joules(self.step_s)))
        self.set("FieldValues", self.power)
        self.set("CurrentClocksThrottleReasons", 0)
        self.set("ComputeRunningProcesses", [SimpleNamespace(pid=JOB)])

    @property
    def now_s(self) -> float:
        return self.clock.now_s - self.start_s

    @property
    def step_s(self) -> float:
        """When the counter last moved: it does so every 0.1 s."""
        return int(self.now_s * 10 + 1e-6) / 10

    def power(self, _: Any, fields: list[int]) -> list[Any]:
        """Instantaneous power, or the average of a second that ended 0.1 s ago."""
        if fields == [pynvml.NVML_FI_DEV_POWER_AVERAGE]:
            watts = self.joules(self.now_s - 0.1) - self.joules(self.now_s - 1.1)
        else:
            watts = self.watts(self.now_s)
        return [self.gpu.field(pynvml.NVML_SUCCESS, int(1000 * watts))]

    def watts(self, t_s: float) -> float:
        busy = any(a <= t_s < b for phase, a, b, _ in PHASES if phase == "repeat")
        return 300.0 if busy else 100.0

    def joules(self, t_s: float) -> float:
        busy_s = sum(max(min(t_s, b) - a, 0) for p, a, b, _ in PHASES if p == "repeat")
        return 100 * t_s + 200 * busy_s

    def set(self, name: str, answer: Any) -> None:
        """What nvmlDeviceGet<name> answers."""
        self.gpu.answers[f"nvmlDeviceGet{name}"] = answer

    def from_fault(self, name: str, faulty: Any) -> None:
        """From FAULT_S on, answer something else."""
        sound = self.gpu.answers[f"nvmlDeviceGet{name}"]

        def answer(*arguments: Any) -> Any:
            value = faulty if self.now_s >= FAULT_S else sound
            return value(*arguments) if callable(value) else value

        self.set(name, answer)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    fake, clock = FakeNvml(), Clock()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(nvml, "time", clock)
    return Machine(fake, clock)


def metered(
    machine: Machine, folder: Path, skip: Callable[[float], bool] = lambda t: False
) -> Cell:
    """energy.json of a job on the machine; `skip` says when the sampler does not get to read."""
    meter, recorder = (
        open_nvml(SamplerSettings(), None, JOB, {"CUDA_VISIBLE_DEVICES": "0"}),
        Recorder(),
    )
    for tick in range(int(END_S / 0.02)):
        machine.clock.now_s = machine.start_s + tick * 0.02
        if not skip(machine.now_s) and meter.info.interval_s is not None:
            recorder.add("nvml", meter.read())
    infos = [meter.info.to_dict()]
    recorder.write(folder / "timeline.parquet", infos)
    manifest = {
        "cell": {},
        "model": {"device": "cuda"},
        "meters": infos,
        "sampler": {"meters": {"nvml": {"failures": dict(meter.failures)}}},
        "windows": [
            {
                "phase": phase,
                "repeat": repeat,
                "batch": None,
                "start_s": machine.start_s + start_s,
                "end_s": machine.start_s + end_s,
            }
            for phase, start_s, end_s, repeat in PHASES
        ],
    }
    path = folder / "timeline.parquet"
    return measure_cell(manifest, path, None, None, {"boundary": "gpu"}).record


def failed(cell: Cell, severity: str | None = None) -> set[str]:
    return {
        e["name"]
        for e in cell["checks"]
        if e["passed"] is False and severity in (None, e["severity"])
    }


def joules(cell: Cell) -> list[float | None]:
    return [run["energy_j"]["gpu"] for run in cell["runs"]]


def test_a_sound_machine_has_its_joules_and_no_complaint(machine: Machine, tmp_path: Path) -> None:
    cell = metered(machine, tmp_path)
    assert joules(cell) == [pytest.approx(3150, rel=2e-3)] * 2
    assert cell["baseline"]["idle_w"]["gpu"] == pytest.approx(100, rel=5e-3)
    assert failed(cell) == {"measured_window_long_enough"}, "two repeats of 10 s"
    assert cell["valid"] is True


def restart_counter(m: Machine) -> None:
    m.from_fault("TotalEnergyConsumption", lambda *_: int(1000 * (m.joules(m.step_s) - 1000)))


def no_counter(m: Machine) -> None:
    m.set("TotalEnergyConsumption", NOT_SUPPORTED)


def zero_counter(m: Machine) -> None:
    m.set("TotalEnergyConsumption", 0)


def stuck_counter(m: Machine) -> None:
    m.from_fault("TotalEnergyConsumption", int(1e9 + 1000 * m.joules(FAULT_S)))


def counter_lost(m: Machine) -> None:
    m.from_fault("TotalEnergyConsumption", pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST))


def jumping_counter(m: Machine) -> None:
    sound = m.gpu.answers["nvmlDeviceGetTotalEnergyConsumption"]
    m.from_fault("TotalEnergyConsumption", lambda handle: sound(handle) + 2**32)


def not_a_number(m: Machine) -> None:
    m.from_fault("TotalEnergyConsumption", float("nan"))


def slow_counter(m: Machine) -> None:
    """The counter counts a tenth less than the card draws."""
    m.set("TotalEnergyConsumption", lambda *_: int(1e9 + 900 * m.joules(m.step_s)))


def shared(m: Machine) -> None:
    stranger = SimpleNamespace(pid=2**22 + 1)  # above Linux's largest process id: unknown here
    m.from_fault("ComputeRunningProcesses", [SimpleNamespace(pid=JOB), stranger])


def mig(m: Machine) -> None:
    m.set("MigMode", [1, 1])


def hot(m: Machine) -> None:
    m.from_fault("CurrentClocksThrottleReasons", 0x40)


def capped(m: Machine) -> None:
    m.from_fault("CurrentClocksThrottleReasons", 0x4)


def drifting(m: Machine) -> None:
    m.from_fault("ClockInfo", lambda *_: int(1980 - 60 * (m.now_s - FAULT_S)))


#: Fault -> a check that it fails, its severity, and whether the joules are still right.
FAULTS: dict[str, tuple[Callable[[Machine], None], str, str, bool]] = {
    "counter reset": (restart_counter, "energy_known", "error", False),
    "counter absent": (no_counter, "gpu_counter_used", "warning", True),
    "counter zero": (zero_counter, "gpu_counter_used", "warning", True),
    "counter stuck": (stuck_counter, "energy_known", "error", False),
    "counter lost": (counter_lost, "energy_known", "error", False),
    "counter jumps": (jumping_counter, "gpu_power_plausible", "error", False),
    "not a number": (not_a_number, "energy_known", "error", False),
    "counter and power disagree": (slow_counter, "counter_agrees", "error", False),
    "card shared": (shared, "gpu_not_shared", "error", True),
    "MIG": (mig, "no_mig", "error", True),
    "throttled": (hot, "no_slowdown", "error", True),
    "power cap": (capped, "no_power_cap", "warning", True),
    "clocks drift": (drifting, "clocks_steady", "warning", True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_card_never_passes_silently(
    machine: Machine, tmp_path: Path, fault: str
) -> None:
    cause, name, severity, right = FAULTS[fault]
    cause(machine)
    cell = metered(machine, tmp_path)
    assert name in failed(cell, severity)
    assert cell["valid"] is (severity == "warning")
    assert joules(cell)[0] == pytest.approx(3150, rel=2e-3) or not cell["valid"]
    if right:
        assert joules(cell) == [pytest.approx(3150, rel=5e-3)] * 2


def test_a_starved_sampler_leaves_a_gap_that_is_told(machine: Machine, tmp_path: Path) -> None:
    cell = metered(machine, tmp_path, skip=lambda t: FAULT_S < t < FAULT_S + 3)
    assert "no_gaps" in failed(cell, "error")
    # The counter goes on counting while nobody looks.
    assert joules(cell)[1] == pytest.approx(3150, rel=2e-3)


def test_a_card_that_goes_away_before_it_is_opened_has_no_figure(
    machine: Machine, tmp_path: Path
) -> None:
    machine.gpu.answers["nvmlInit"] = pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    cell = metered(machine, tmp_path)
    assert joules(cell) == [None, None]
    assert "energy_known" in failed(cell, "error")


RANGE_UJ = 262_143_328_850


class Packages:
    """Two packages at the same power whose counters start just below the wrap."""

    def __init__(self, root: Path, watts: float) -> None:
        self.root, self.watts = root, watts
        for number in (0, 1):
            zone = root / f"intel-rapl:{number}"
            zone.mkdir(parents=True)
            (zone / "name").write_text(f"package-{number}\n")
            (zone / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        self.at(0.0)

    def at(self, t_s: float) -> None:
        """Set the counters to what they show after so many seconds."""
        raw_uj = int(RANGE_UJ - 5e6 + 1e6 * self.watts * t_s) % RANGE_UJ
        for number in (0, 1):
            (self.root / f"intel-rapl:{number}" / "energy_uj").write_text(f"{raw_uj}\n")


@pytest.mark.parametrize("wraps", [0, 1, 2, 7])
@pytest.mark.parametrize("late", [False, True])
def test_wraps_are_undone_or_the_cell_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wraps: int, late: bool
) -> None:
    """900 W a package, read every 60 s, or not at all from 60 s to the end."""
    watts, clock = 900.0, Clock()
    monkeypatch.setattr(rapl, "time", clock)
    end_s = max(wraps * RANGE_UJ / 1e6 / watts + 60.0, 240.0)
    packages = Packages(tmp_path / "powercap", 0.0 if wraps == 0 else watts)
    packages.watts = watts if wraps else 0.0001
    start_s = clock.now_s
    meter, recorder = open_rapl(60.0, tmp_path / "powercap", tmp_path / "none"), Recorder()
    times = np.arange(0.0, end_s + 60.0, 60.0)
    for t_s in times if not late else [0.0, 30.0, 60.0, float(times[-1])]:
        packages.at(t_s)
        clock.now_s = start_s + t_s
        recorder.add("rapl", meter.read())
    infos = [meter.info.to_dict()]
    recorder.write(tmp_path / "timeline.parquet", infos)
    window = {"phase": "repeat", "repeat": 0, "batch": None}
    manifest = {
        "cell": {},
        "model": {"device": "cpu"},
        "meters": infos,
        "sampler": {"meters": {"rapl": {"failures": dict(meter.failures)}}},
        "windows": [{**window, "start_s": start_s, "end_s": start_s + float(times[-1])}],
    }
    settings = {"validity": {"min_readings": 1, "max_gap_s": 1e6}}
    cell = measure_cell(manifest, tmp_path / "timeline.parquet", None, None, settings).record
    told = cell["runs"][0]["energy_j"]["cpu"]
    true_j = 2 * packages.watts * float(times[-1])
    if "no_wrap_unseen" not in failed(cell, "error"):
        assert told == pytest.approx(true_j, rel=1e-3, abs=1.0)
    unseen = late and float(times[-1]) - 60 > RANGE_UJ / 1e9
    assert ("no_wrap_unseen" in failed(cell, "error")) is unseen


@pytest.fixture
def recording(tmp_path: Path) -> Callable[..., Cell]:
    """recording(change): a real job's energy.json after a change of its series, by quantity."""

    def replay(change: Callable[[str, Any, Any], tuple[Any, Any]]) -> Cell:
        manifest = json.loads((DATA / "h100_decode_nf4.json").read_text())
        timeline, recorder = read_timeline(DATA / "h100_decode_nf4.parquet"), Recorder()
        middle_s = manifest["windows"][-2]["end_s"] - 20
        for (meter, component, device, quantity), data in timeline.series.items():
            t_s, values = change(quantity, data.t_s - middle_s, data.values.copy())
            recorder.add(
                meter,
                (
                    (t + middle_s, component, device, quantity, value)  # type: ignore[misc]
                    for t, value in zip(t_s, values, strict=True)
                ),
            )
        recorder.write(tmp_path / "timeline.parquet", timeline.meters)
        path = tmp_path / "timeline.parquet"
        return measure_cell(manifest, path, None, None, {"boundary": "gpu"}).record

    return replay


def on(wanted: str, change: Callable[[Any, Any], tuple[Any, Any]]) -> Any:
    """A change of one quantity."""
    return lambda quantity, t_s, v: change(t_s, v) if quantity == wanted else (t_s, v)


def reset(t_s: Any, joules: Any) -> tuple[Any, Any]:
    return t_s, np.where(t_s > 0, joules - joules[0], joules)


def missing(t_s: Any, joules: Any) -> tuple[Any, Any]:
    return t_s[abs(t_s) > 2], joules[abs(t_s) > 2]


def ended(t_s: Any, joules: Any) -> tuple[Any, Any]:
    return t_s[t_s < 0], joules[t_s < 0]


def no_numbers(t_s: Any, joules: Any) -> tuple[Any, Any]:
    return t_s, np.where(abs(t_s) < 0.2, np.nan, joules)


def back(t_s: Any, joules: Any) -> tuple[Any, Any]:
    return np.where(abs(t_s) < 0.2, t_s - 9, t_s), joules


#: Fault -> the quantity that it changes, how, and the check that must fail. Times count
#: from a moment within the recording's last repeats.
RECORDED: dict[str, tuple[str, Any, str]] = {
    "counter reset": ("energy_j", reset, "energy_known"),
    "readings missing": ("energy_j", missing, "no_gaps"),
    "sampler died": ("energy_j", ended, "energy_known"),
    "not a number": ("energy_j", no_numbers, "readings_sound"),
    "time runs back": ("energy_j", back, "readings_sound"),
    "a tenth too little": ("energy_j", lambda t, v: (t, v * 0.9), "counter_agrees"),
    "a stranger": ("other_processes", lambda t, v: (t, v + 1), "gpu_not_shared"),
    "too hot": ("throttle_reasons", lambda t, v: (t, v + 0x20), "no_slowdown"),
}


def test_the_recording_itself_is_sound(recording: Callable[..., Cell]) -> None:
    assert recording(lambda quantity, t_s, values: (t_s, values))["valid"] is True


@pytest.mark.parametrize("fault", RECORDED)
def test_a_fault_in_a_real_recording_is_found(recording: Callable[..., Cell], fault: str) -> None:
    quantity, change, name = RECORDED[fault]
    cell = recording(on(quantity, change))
    assert name in failed(cell, "error")
    assert cell["valid"] is False
