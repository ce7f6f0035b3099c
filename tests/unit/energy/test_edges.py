"""A constant power is told within the stated bound, wherever a window begins and ends.

The true energy is power times time. Each meter reads a machine whose power and clock are known,
and whose reader is held up now and then, as on a busy machine.
"""

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codewatt.energy.energy_sources import Source, choose_sources
from codewatt.energy.meters import codecarbon, nvml, rapl
from codewatt.energy.meters.codecarbon import CodeCarbonMeter
from codewatt.energy.meters.meter import Meter
from codewatt.energy.meters.nvml import NvmlMeter, open_nvml
from codewatt.energy.meters.rapl import open_rapl
from codewatt.energy.timeline_reader import read_timeline
from codewatt.energy.timeline_writer import Recorder
from codewatt.sampler_settings import SamplerSettings
from tests.support.nvml import Clock, FakeNvml

WATTS = 20.0


class Ticking(Clock):
    """A clock that runs on while something is read or slept."""

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def recorded(
    meter: Meter, clock: Clock, waits_s: list[float], folder: Path, component: str
) -> Source:
    """The source of a meter that was read after each wait, through its timeline's file."""
    recorder = Recorder()
    for wait_s in waits_s:
        clock.now_s += wait_s
        recorder.add(meter.info.name, meter.read())
    recorder.write(folder / "timeline.parquet", [meter.info.to_dict()])
    return choose_sources(read_timeline(folder / "timeline.parquet")).figures[component]


def check_windows(source: Source, watts: float, least_s: float, rounding_j: float = 1e-6) -> float:
    """Compare many windows with the truth; the greatest error in joules.

    Edges are drawn anywhere and, as that is where a stale reading shows, on readings.
    """
    (series,) = source.series.values()
    draw, errors = np.random.default_rng(7), []
    for _ in range(2000):
        edges = draw.uniform(series.t_s[0], series.t_s[-1], 2)
        readings = draw.choice(series.t_s, 2)
        start_s, end_s = sorted(np.where(draw.random(2) < 0.4, readings, edges))
        if end_s - start_s < least_s:
            continue
        found = source.energy(start_s, end_s)
        assert found.energy_j is not None, found.reason
        assert found.uncertainty_j is not None
        error_j = abs(found.energy_j - watts * (end_s - start_s))
        assert error_j <= found.uncertainty_j + rounding_j, (start_s, end_s)
        errors.append(error_j)
    assert len(errors) > 500
    return float(max(errors))


class Power(SimpleNamespace):
    """CodeCarbon's unit of power."""


def hardware(name: str, clock: Clock, slow_s: Callable[[], float]) -> Any:
    """One of CodeCarbon's hardware objects that draws WATTS; asking it takes a while."""

    def measure(self: Any, last_duration: float) -> tuple[Any, Any]:
        clock.now_s += slow_s()
        return Power(W=WATTS), SimpleNamespace(kWh=WATTS * last_duration / 3.6e6)

    members = {"measure_power_and_energy": measure, "start": lambda self: None, "_mode": "cpu_load"}
    return type(name, (), {**members, "_tdp": 8.0, "_model": "EPYC"})()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    ticking = Ticking()
    for module in (codecarbon, nvml, rapl):
        monkeypatch.setattr(module, "time", ticking)
    return ticking


@pytest.mark.parametrize("component", ["cpu", "dram"])
def test_codecarbon_is_never_stale_and_leaves_no_time_out(
    tmp_path: Path, clock: Ticking, component: str
) -> None:
    """Reads that come on one another's heels, and some that take a tenth of a second."""
    draw = np.random.default_rng(1)
    detected = {"cpu_model": "EPYC", "cpu_count": 2, "cpu_physical_count": 1}
    tracker = SimpleNamespace(
        _hardware=[
            hardware(name, clock, lambda: 0.1 if draw.random() < 0.1 else 0.001)
            for name in ("RAM", "CPU")
        ],
        get_detected_hardware=lambda: {**detected, "ram_total_size": 24.0},
    )
    meter = CodeCarbonMeter(tracker, 0.1, [])
    waits_s = [0.0, 0.001, *draw.choice([0.1, 0.1, 0.1, 0.02, 0.4], 60), 0.0, 0.003]
    source = recorded(meter, clock, [float(w) for w in waits_s], tmp_path, component)
    assert check_windows(source, WATTS, 0.5) < 1e-6, "power times time, to the last reading"


def test_the_last_reading_of_the_real_codecarbon_is_as_fresh_as_the_others() -> None:
    """Its model of memory is a constant power, so that any two readings must tell it."""
    meter = codecarbon.open_codecarbon(0.1, {})
    watts = meter.info.facts["dram_power_w"]
    readings = [next(r for r in meter.read() if r.component == "dram") for _ in range(4)]
    for before, after in pairwise(readings):
        passed_s = after.t_s - before.t_s
        assert passed_s >= 0.049, "a load over less than this is a few ticks of Linux's clock"
        assert after.value - before.value == pytest.approx(watts * passed_s, rel=1e-9)


def test_memory_that_codecarbon_cannot_size_for_once_loses_no_joule(
    tmp_path: Path, clock: Ticking
) -> None:
    """It then tells 0 W, which is no power of a machine that is switched on."""
    memory = hardware("RAM", clock, lambda: 0.001)
    processor = hardware("CPU", clock, lambda: 0.001)
    detected = {"cpu_model": "EPYC", "cpu_count": 2, "cpu_physical_count": 1}
    tracker = SimpleNamespace(
        _hardware=[memory, processor],
        get_detected_hardware=lambda: {**detected, "ram_total_size": 24.0},
    )
    meter = CodeCarbonMeter(tracker, 0.1, [])
    sound, recorder = type(memory).measure_power_and_energy, Recorder()
    nothing = (Power(W=0.0), SimpleNamespace(kWh=0.0))
    for tick in range(40):
        broken = tick in (10, 11, 25)
        type(memory).measure_power_and_energy = (lambda *_: nothing) if broken else sound
        clock.now_s += 0.1
        recorder.add("codecarbon", meter.read())
    assert meter.failures == {"dram": 3}
    recorder.write(tmp_path / "timeline.parquet", [meter.info.to_dict()])
    source = choose_sources(read_timeline(tmp_path / "timeline.parquet")).figures["dram"]
    assert check_windows(source, WATTS, 0.5) < 1e-6


@pytest.mark.parametrize("held_up_s", [0.0, 0.05])
def test_rapl_read_by_a_process_that_is_held_up(
    tmp_path: Path, clock: Ticking, monkeypatch: pytest.MonkeyPatch, held_up_s: float
) -> None:
    """Updated every millisecond; something else may run before and after the file is read."""
    draw = np.random.default_rng(2)
    zone = tmp_path / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, text in (("name", "package-0"), ("max_energy_range_uj", "262143328850")):
        (zone / name).write_text(text)
    (zone / "energy_uj").write_text("0")

    def read_text(path: Path, **_: Any) -> str:
        if path.name != "energy_uj":
            return sound(path)
        clock.now_s += held_up_s * draw.random() * (draw.random() < 0.5)
        told = str(int(1e6 * WATTS * int(clock.now_s * 1000) / 1000))
        clock.now_s += held_up_s * draw.random() * (draw.random() < 0.5)
        return told

    sound = Path.read_text
    monkeypatch.setattr(Path, "read_text", read_text)
    meter = open_rapl(0.1, tmp_path / "powercap", tmp_path / "none")
    source = recorded(meter, clock, [0.1] * 200, tmp_path, "cpu")
    greatest_j = check_windows(source, WATTS, 0.3)
    assert greatest_j > 1e-3 * WATTS / 2, "the update shows"
    jitter_s = next(iter(source.series.values())).jitter_s
    assert bool(jitter_s.max() > 0.01) is (held_up_s > 0)
    assert np.median(jitter_s) <= 0.01


@pytest.mark.parametrize("late", [0.0, 0.05])
def test_steps_of_nvmls_counter_found_late(
    tmp_path: Path, clock: Ticking, monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    """The counter moves every 0.1 s and takes 4 ms to read; polls come every 20 ms, or later."""
    draw, fake = np.random.default_rng(3), FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)

    def millijoules(_: Any) -> int:
        clock.now_s += 0.002
        told = int(1000 * WATTS * int(clock.now_s * 10 + 1e-6) / 10)
        clock.now_s += 0.002
        return told

    fake.answers["nvmlDeviceGetTotalEnergyConsumption"] = millijoules
    fake.answers["nvmlDeviceGetFieldValues"] = [fake.field(0, int(1000 * WATTS))]
    meter = open_nvml(SamplerSettings(), None, 1, {"CUDA_VISIBLE_DEVICES": "0"})
    assert isinstance(meter, NvmlMeter)
    waits_s = 0.02 + 0.003 * draw.random(1500) + 0.2 * (draw.random(1500) < late)
    source = recorded(meter, clock, [float(w) for w in waits_s], tmp_path, "gpu")
    assert source.name == "gpu_counter_j"
    check_windows(source, WATTS, 0.5, rounding_j=0.002)
    (series,) = source.series.values()
    assert np.median(series.jitter_s) == pytest.approx(0.015), "most are found in time"
    found_late = int((series.jitter_s > 0.05).sum())  # the first ones, until the period is known
    assert found_late <= 3 if late == 0 else found_late > 10


@pytest.mark.parametrize("quantity", ["power_w", "power_average_w"])
def test_power_that_is_shown_late_is_bounded_where_it_changes(
    bench: Any, measured: Callable[..., Any], quantity: str
) -> None:
    """Without a counter: values of up to 0.1 s ago, or means of the last second."""
    kept = ("nvml", "gpu", "GPU-0", quantity)
    for other in ("energy_j", "power_w", "power_average_w"):
        if other != quantity:
            del bench.series["nvml", "gpu", "GPU-0", other]
    t_s, _ = bench.series[kept]
    if quantity == "power_w":
        bench.series[kept] = (t_s, bench.watts(np.floor(t_s * 10 + 1e-6) / 10 - 1e-9))
    for window in bench.windows:  # not on readings
        window["start_s"] += 0.007
        window["end_s"] += 0.007
    for run, true_j in zip(measured()["runs"], (6000 + 0.0, 6000 - 0.007 * 200), strict=True):
        told_j, bound_j = run["energy_j"]["gpu"], run["uncertainty_j"]["gpu"]
        assert abs(told_j - true_j) <= bound_j
        assert bound_j < 0.05 * told_j
