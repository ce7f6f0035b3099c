"""The rest before a cell: it ends when devices are cool and steady, or at its limit."""

import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewatt.energy.device_state import DeviceState, is_steady, power_range_w
from codewatt.energy.metered_job import MeteredJob
from codewatt.energy.meters import nvml
from codewatt.energy.meters.meter import Reading
from codewatt.energy.meters.nvml import open_nvml
from codewatt.energy.rest import Rest
from codewatt.energy.timeline_reader import read_timeline
from codewatt.energy.timeline_writer import Recorder
from codewatt.sampler_settings import SamplerSettings
from tests.support.nvml import NOT_SUPPORTED, UUID, Clock, FakeNvml

START_S = 1000.0
CONDITIONS: dict[str, Any] = {"below_c": 45.0, "steady_w": 3.0, "for_s": 30.0, "at_most_s": 300.0}


class RestingGpu:
    """A real NVML meter that reads a GPU of known power and temperature on a clock that is told.

    Times of `watts` and `celsius` count from the begin of the rest. Readings are taken every 20 ms
    for two seconds before it, and whenever the job sleeps.
    """

    def __init__(self, fake: FakeNvml, clock: Clock) -> None:
        self.clock, self.recorder = clock, Recorder()
        self.watts: Callable[[float], float] = lambda t_s: 80.0
        self.celsius: Callable[[float], float] = lambda t_s: 30.0
        self.silent: Callable[[float], bool] = lambda t_s: False
        fake.answers["nvmlDeviceGetFieldValues"] = self._power
        fake.answers["nvmlDeviceGetTemperature"] = lambda *_: round(self.celsius(self.t_s))
        self.clock.now_s = START_S - 2.0

    @property
    def t_s(self) -> float:
        return self.clock.now_s - START_S

    def _power(self, _: Any, fields: list[int]) -> list[Any]:
        return [FakeNvml.field(pynvml.NVML_SUCCESS, round(1000 * self.watts(self.t_s)))]

    def rest(self) -> Rest:
        """A rest that begins now, after two seconds of readings."""
        self.meter = open_nvml(SamplerSettings(), None, os.getpid(), {"CUDA_VISIBLE_DEVICES": "0"})
        self.sleep(2.0)
        return Rest("nvml", None, [UUID], self._since, self.clock.monotonic, self.sleep)

    def sleep(self, seconds: float) -> None:
        end_s = self.clock.now_s + seconds
        for tick in range(1, round(seconds / 0.02) + 1):
            self.clock.now_s = end_s - seconds + tick * 0.02
            if not self.silent(self.t_s):
                self.recorder.add("nvml", self.meter.read())
        self.clock.now_s = end_s

    def _since(self, since_s: float) -> list[Reading]:
        return self.recorder.since("nvml", "gpu", since_s)


@pytest.fixture
def fake() -> FakeNvml:
    return FakeNvml()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, fake: FakeNvml) -> RestingGpu:
    clock = Clock()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(nvml, "time", clock)
    return RestingGpu(fake, clock)


def test_a_cool_and_idle_gpu_is_watched_as_long_as_power_must_be_steady(gpu: RestingGpu) -> None:
    found = gpu.rest().wait(CONDITIONS)
    assert found == {
        "conditions": CONDITIONS,
        "rest_s": pytest.approx(30, abs=2),
        "condition_met": True,
        "reason": None,
        "sensor": "nvml",
        "temperature_c": 30,
        "power_w": pytest.approx(80),
        "initial_temperature_c": 30,
        "initial_power_w": pytest.approx(80),
    }
    assert found["rest_s"] >= 30


def test_the_rest_lasts_until_the_gpu_is_cool(gpu: RestingGpu) -> None:
    """It cools by a degree in two seconds: 44 °C, the first below 45, after 41 s (rounded)."""
    gpu.celsius = lambda t_s: 65 - max(t_s, 0.0) / 2
    found = gpu.rest().wait(CONDITIONS)
    assert found["condition_met"] is True
    assert found["rest_s"] == pytest.approx(41.5, abs=1.6)
    assert (found["initial_temperature_c"], found["temperature_c"]) == (65, 44)


def test_the_rest_lasts_until_power_has_settled(gpu: RestingGpu) -> None:
    """Power falls as 80 W + 60 W exp(-t / 20 s): the first 30 s that change by 3 W, by the formula.

    The mean of a second k is 80 + 60 * 20 (exp(-k/20) - exp(-(k+1)/20)).
    """
    gpu.watts = lambda t_s: 80 + 60 * math.exp(-t_s / 20)
    means = [80 + 1200 * (math.exp(-k / 20) - math.exp(-(k + 1) / 20)) for k in range(200)]
    expected_s = next(k for k in range(30, 200) if means[k - 30] - means[k - 1] <= 3)
    found = gpu.rest().wait({**CONDITIONS, "below_c": None})
    assert found["condition_met"] is True
    assert expected_s > 60
    assert found["rest_s"] == pytest.approx(expected_s, abs=2)
    assert found["power_w"] == pytest.approx(means[expected_s], abs=0.2)


def test_noise_of_single_readings_does_not_keep_a_gpu_awake(gpu: RestingGpu) -> None:
    """Readings alternate by 8 W, means of a second are equal."""
    gpu.watts = lambda t_s: 80 + (4 if round(t_s / 0.02) % 2 else -4)
    assert gpu.rest().wait(CONDITIONS)["condition_met"] is True


def test_a_gpu_that_stays_warm_is_measured_at_the_limit_with_the_reason(gpu: RestingGpu) -> None:
    gpu.celsius = lambda t_s: 58.0
    found = gpu.rest().wait({**CONDITIONS, "at_most_s": 90.0})
    assert found["rest_s"] == pytest.approx(90)
    assert found["condition_met"] is False
    assert found["reason"] == "the temperature is 58 °C, not below 45 °C"


def test_a_gpu_that_others_use_is_measured_at_the_limit_with_the_reason(gpu: RestingGpu) -> None:
    """40 W more for a second in ten."""
    gpu.watts = lambda t_s: 120.0 if t_s % 10 < 1 else 80.0
    found = gpu.rest().wait({**CONDITIONS, "at_most_s": 90.0})
    assert (found["rest_s"], found["condition_met"]) == (pytest.approx(90), False)
    assert found["reason"] == f"the power of {UUID} changed by 40 W in 30 s, not at most 3 W"


def test_seconds_without_a_reading_are_not_steady(gpu: RestingGpu) -> None:
    """The sampler is held up from 20 to 26 s, so 30 s of readings are known at 56 s."""
    gpu.silent = lambda t_s: 20 <= t_s < 26
    found = gpu.rest().wait(CONDITIONS)
    assert found["condition_met"] is True
    assert found["rest_s"] == pytest.approx(56, abs=2)


def test_a_temperature_that_cannot_be_read_is_unknown_and_not_waited_for(
    gpu: RestingGpu, fake: FakeNvml
) -> None:
    fake.answers["nvmlDeviceGetTemperature"] = NOT_SUPPORTED
    found = gpu.rest().wait(CONDITIONS)
    assert found["rest_s"] == pytest.approx(30, abs=2)
    assert found["condition_met"] is None
    assert found["reason"] == "no temperature was read"
    assert found["temperature_c"] is None
    assert gpu.rest().wait({**CONDITIONS, "below_c": None})["condition_met"] is True


def test_a_gpu_that_tells_nothing_is_unknown_after_two_seconds(gpu: RestingGpu) -> None:
    gpu.silent = lambda t_s: True
    rest = gpu.rest()
    gpu.recorder = Recorder()
    found = rest.wait(CONDITIONS)
    assert found["rest_s"] == pytest.approx(2, abs=1)
    assert found["condition_met"] is None
    assert found["reason"] == "no temperature was read; no power was read"


def test_without_a_rest_the_state_is_described_at_once(gpu: RestingGpu) -> None:
    gpu.celsius, gpu.watts = lambda t_s: 51.0, lambda t_s: 95.0
    rest, before_s = gpu.rest(), gpu.clock.now_s
    found = rest.describe()
    assert gpu.clock.now_s == before_s
    assert (found["conditions"], found["rest_s"], found["condition_met"]) == (None, 0.0, None)
    assert (found["temperature_c"], found["power_w"]) == (51, pytest.approx(95))


def counter(device: str, joules: Callable[[float], float], t_s: Sequence[float]) -> list[Reading]:
    return [Reading(t, "cpu", device, "energy_j", joules(t)) for t in t_s]


def test_packages_are_read_from_their_counters_and_each_must_be_steady() -> None:
    """Package 0 draws 20 W; package 1 draws 50 W, and 10 W from 12 s on: 30 s alike at 42 s."""
    clock = Clock()
    clock.now_s = START_S

    def since(since_s: float) -> list[Reading]:
        t_s = [n / 8 for n in range(round((START_S - 3) * 8), round(clock.now_s * 8) + 1)]
        falls_s = START_S + 12
        return [
            *counter("package-0", lambda t: 20 * t, t_s),
            *counter("package-1", lambda t: 50 * min(t, falls_s) + 10 * max(t - falls_s, 0), t_s),
        ]

    def sleep(seconds: float) -> None:
        clock.now_s += seconds

    rest = Rest("rapl", None, None, since, clock.monotonic, sleep)
    found = rest.wait({**CONDITIONS, "below_c": None})
    assert (found["condition_met"], found["rest_s"]) == (True, 42.0)
    assert (found["initial_power_w"], found["power_w"]) == (pytest.approx(70), pytest.approx(30))
    assert found["temperature_c"] is None


def test_the_state_of_several_gpus_is_that_of_the_hottest_and_of_all_together() -> None:
    state = DeviceState(["a", "b"])
    state.add(Reading(t / 8, "gpu", "a", "power_w", 60.0) for t in range(17))
    state.add([Reading(2.0, "gpu", "a", "temperature_c", 41.0)])
    assert (state.power_w(2.0), state.temperature_c(2.0)) == (None, None), "b is unknown"
    state.add(Reading(t / 8, "gpu", "b", "power_w", 70.0) for t in range(17))
    state.add([Reading(2.0, "gpu", "b", "temperature_c", 44.0)])
    state.add([Reading(2.0, "gpu", "another job's", "temperature_c", 90.0)])
    assert (state.power_w(2.0), state.temperature_c(2.0)) == (130.0, 44.0)
    assert (state.power_w(9.0), state.temperature_c(9.0)) == (None, None), "too old"


watts = st.floats(0, 1000, allow_nan=False)


@given(st.lists(st.one_of(st.none(), watts), max_size=40), st.integers(1, 40), st.floats(0, 50))
def test_power_is_steady_if_every_two_of_its_last_seconds_are_alike(
    means_w: list[float | None], seconds: int, within_w: float
) -> None:
    """Against the definition: no two of the last means are further apart, and none is unknown."""
    last = means_w[len(means_w) - seconds :] if seconds <= len(means_w) else [None]
    alike = all(
        a is not None and b is not None and abs(a - b) <= within_w for a in last for b in last
    )
    assert is_steady(means_w, seconds, within_w) is alike


@given(st.lists(watts, min_size=1, max_size=40), watts, st.floats(0, 50), st.integers(1, 40))
def test_a_constant_and_what_came_before_do_not_matter(
    means_w: list[float], more_w: float, within_w: float, seconds: int
) -> None:
    range_w = power_range_w(means_w, seconds)
    assert power_range_w([more_w, *means_w], seconds) == range_w or len(means_w) < seconds
    if range_w is not None:
        assert is_steady(means_w, seconds, range_w)
        shifted = power_range_w([value + more_w for value in means_w], seconds)
        assert shifted == pytest.approx(range_w, abs=1e-9)


@settings(max_examples=60)
@given(st.lists(st.integers(80, 90), min_size=12, max_size=30), st.integers(1, 8))
def test_the_rest_ends_at_the_first_steady_seconds_of_any_history(
    levels: list[int], for_s: int
) -> None:
    """Power is one level in each second; the end is found by trying all seconds."""
    clock = Clock()
    clock.now_s = START_S

    def since(since_s: float) -> list[Reading]:
        first, last = math.ceil((since_s - START_S) * 8), round((clock.now_s - START_S) * 8)
        return [
            Reading(START_S + n / 8, "gpu", UUID, "power_w", float(levels[max(n // 8, 0)]))
            for n in range(first, last + 1)
        ]

    def sleep(seconds: float) -> None:
        clock.now_s += seconds

    conditions = {"below_c": None, "steady_w": 3.0, "for_s": float(for_s)}
    at_most_s = float(len(levels) - 1)
    rest = Rest("nvml", None, [UUID], since, clock.monotonic, sleep)
    found = rest.wait({**conditions, "at_most_s": at_most_s})
    ends = [
        end
        for end in range(for_s, len(levels))
        if max(levels[end - for_s : end]) - min(levels[end - for_s : end]) <= 3
    ]
    assert found["condition_met"] is bool(ends)
    assert found["rest_s"] == (ends[0] if ends else at_most_s)


@pytest.mark.usefixtures("without_codecarbon")
def test_a_job_without_readable_sensors_says_so_and_goes_on(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is a window of its own, and the timeline covers it."""
    with MeteredJob(tmp_path / "t.parquet", {"codecarbon_interval_s": 0.1}, gpu_ids=[]) as job:
        gone = {"status": "unavailable", "method": "rapl", "detail": "no RAPL here"}
        rapl = next(meter for meter in job._sampler.meters if meter["name"] == "rapl")
        monkeypatch.setitem(rapl["components"], "cpu", gone)
        found = job.rest(CONDITIONS)
        with job.window("load"):
            pass
    rest, load = job.record()["windows"]
    assert (found["condition_met"], found["reason"]) == (None, "no RAPL here")
    assert (found["sensor"], found["power_w"], found["temperature_c"]) == (None, None, None)
    assert rest["phase"] == "rest"
    assert found["rest_s"] == rest["end_s"] - rest["start_s"] < CONDITIONS["for_s"]
    assert rest["end_s"] <= load["start_s"]


@pytest.mark.usefixtures("without_codecarbon")
def test_a_job_asks_its_sampler_for_readings_and_gets_those_of_the_timeline(tmp_path: Any) -> None:
    with MeteredJob(tmp_path / "t.parquet", {"host_interval_s": 0.02}, gpu_ids=[]) as job:
        assert job.rest(None)["conditions"] is None
        told = job._sampler.readings("host", "host", 0.0)
        since_s = told[-1].t_s
        later = job._sampler.readings("host", "host", since_s)
    assert job.record()["windows"] == [], "without a rest there is no window"
    written = read_timeline(tmp_path / "t.parquet").find("host", "host", "busy_s")["machine"]
    busy = [(r.t_s, r.value) for r in told if r.quantity == "busy_s"]
    assert busy
    assert (
        busy == list(zip(written.t_s.tolist(), written.values.tolist(), strict=True))[: len(busy)]
    )
    assert all(reading.t_s >= since_s for reading in later)
