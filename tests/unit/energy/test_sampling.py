"""Polling: the rate is kept, a failing meter does not end its series, GPUs can be narrowed."""

import threading
import time
from typing import Any

from codewatt.energy.meters.meter import ComponentInfo, Meter, MeterInfo, Reading
from codewatt.energy.sampler_process import Poller, _narrowed
from codewatt.energy.timeline_writer import Recorder
from tests.support.patience import wait_until


class Flaky(Meter):
    """Every third read raises; each takes `slow_s`."""

    def __init__(self, interval_s: float, slow_s: float = 0.0) -> None:
        super().__init__(MeterInfo("flaky", None, interval_s))
        self.slow_s, self.calls = slow_s, 0

    def read(self) -> list[Reading]:
        self.calls += 1
        time.sleep(self.slow_s)
        if self.calls % 3 == 0:
            raise OSError("gone")
        return [Reading(time.monotonic(), "host", "machine", "cpu_load", 0.5)]


def polled(meter: Flaky, reads: int) -> tuple[dict[str, Any], float]:
    """The summary of at least so many reads, and the time (s) that they took."""
    stopping, start_s = threading.Event(), time.monotonic()
    poller = Poller(meter, Recorder(), stopping)
    poller.start()
    wait_until(lambda: meter.calls >= reads, f"{reads} reads", step_s=0.01)
    stopping.set()
    poller.join()
    return poller.summary(), time.monotonic() - start_s


def test_a_failing_read_is_counted_and_polling_goes_on() -> None:
    meter = Flaky(0.02)
    summary, took_s = polled(meter, 20)
    assert summary["reads"] == meter.calls
    assert 20 <= summary["reads"] <= took_s / 0.02 + 2, "the first read and the last are extra"
    assert summary["failures"] == {"OSError: gone": meter.calls // 3}


def test_slow_reads_do_not_bunch_up() -> None:
    summary, took_s = polled(Flaky(0.02, slow_s=0.1), 5)
    assert summary["reads"] <= took_s / 0.1 + 1
    assert summary["max_gap_s"] >= 0.1


def gpu_meter(name: str, **facts: Any) -> MeterInfo:
    parts = {"gpu": ComponentInfo("measured", name), "cpu": ComponentInfo("modelled", name)}
    devices = [{"device": uuid} for uuid in ("GPU-a", "GPU-b")] if name == "nvml" else []
    return MeterInfo(name, None, 1.0, parts, devices, facts)


def test_narrowing_keeps_the_jobs_gpus() -> None:
    info = _narrowed(gpu_meter("nvml", selected_by="all"), {"GPU-b", "GPU-z"})
    assert [device["device"] for device in info.devices] == ["GPU-b"]
    assert info.facts == {"selected_by": "caller", "not_polled": ["GPU-z"]}
    assert info.components["gpu"].status == "measured"


def test_a_job_without_gpu_has_no_gpu_figure() -> None:
    assert _narrowed(gpu_meter("nvml"), set()).components["gpu"].detail == "the job used no GPU"
    codecarbon = _narrowed(gpu_meter("codecarbon", gpus=["GPU-a"]), set())
    assert codecarbon.components["gpu"].status == "unavailable"
    assert codecarbon.components["cpu"].status == "modelled"


def test_codecarbons_sum_counts_for_just_the_gpus_it_summed() -> None:
    info = gpu_meter("codecarbon", gpus=["GPU-a", "GPU-b"])
    assert _narrowed(info, {"GPU-a"}).components["gpu"].status == "unavailable"
    assert _narrowed(info, {"GPU-a", "GPU-b"}) == info
