"""NVML through functions with the real binding's signatures: units, gaps and absence."""

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from codewatt.energy.meters import nvml
from codewatt.energy.meters.meter import Meter
from codewatt.energy.meters.nvml import count_other_processes, open_nvml
from codewatt.sampler_settings import SamplerSettings
from tests.support.nvml import NOT_SUPPORTED, UUID, Clock, FakeNvml


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(nvml, "time", clock)
    return clock


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def opened(gpu_ids: list[str] | None = None, environment: dict[str, str] | None = None) -> Meter:
    return open_nvml(SamplerSettings(), gpu_ids, os.getpid(), environment or {})


def latest(meter: Meter) -> dict[str, float]:
    return {reading.quantity: reading.value for reading in meter.read()}


def test_units_and_facts(gpu: FakeNvml, clock: Clock) -> None:
    gpu.answers["nvmlDeviceGetComputeRunningProcesses"] = [SimpleNamespace(pid=os.getpid())]
    meter = opened()
    clock.now_s += 1
    gpu.answers["nvmlDeviceGetTotalEnergyConsumption"] = 5_012_500
    assert latest(meter) == {
        "energy_j": pytest.approx(5012.5),
        "time_error_s": pytest.approx(0.99),  # the counter moved within the last second
        "power_w": pytest.approx(123.456),
        "power_average_w": pytest.approx(123.456),
        "sm_clock_mhz": 1980,
        "memory_clock_mhz": 1980,
        "temperature_c": 40,
        "throttle_reasons": 4,
        "utilisation": 0.5,
        "memory_used_bytes": 1 << 30,
        "other_processes": 0,
    }
    device = meter.info.devices[0]
    assert device["power_reading"] == "instant"
    assert device["power_limit_w"] == 700.0
    assert device["ecc_uncorrected_errors"] == 0
    assert device["power_fields"] == {
        "power_w": "NVML_FI_DEV_POWER_INSTANT",
        "power_average_w": "NVML_FI_DEV_POWER_AVERAGE",
    }
    assert device["mig_mode"] is False
    assert meter.info.components["gpu"].status == "measured"
    assert meter.info.version == "driver 580.1"


@pytest.mark.parametrize(
    ("name", "architecture", "kind"),
    [
        ("NVIDIA H200", pynvml.NVML_DEVICE_ARCH_HOPPER, "average"),
        ("NVIDIA A100-SXM4-80GB", pynvml.NVML_DEVICE_ARCH_AMPERE, "instant"),
        ("NVIDIA A10", pynvml.NVML_DEVICE_ARCH_AMPERE, "average"),
        ("Tesla V100", pynvml.NVML_DEVICE_ARCH_VOLTA, "instant"),
        ("NVIDIA X", NOT_SUPPORTED, "average"),
    ],
)
def test_power_usage_is_an_average_since_ampere_but_for_ga100(
    gpu: FakeNvml, clock: Clock, name: str, architecture: Any, kind: str
) -> None:
    gpu.answers["nvmlDeviceGetFieldValues"] = [gpu.field(pynvml.NVML_ERROR_NOT_SUPPORTED, 0)]
    gpu.answers["nvmlDeviceGetName"] = name
    gpu.answers["nvmlDeviceGetArchitecture"] = architecture
    meter = opened()
    device = meter.info.devices[0]
    assert (device["power_reading"], device["power_fields"]) == (
        kind,
        {"power_w": "nvmlDeviceGetPowerUsage"},
    )
    read = latest(meter)
    assert read["power_w"] == pytest.approx(81.0)
    assert "power_average_w" not in read


def test_a_field_that_is_not_supported_is_absent_and_named(gpu: FakeNvml, clock: Clock) -> None:
    for name in ("Temperature", "UtilizationRates", "MigMode", "TotalEnergyConsumption"):
        gpu.answers[f"nvmlDeviceGet{name}"] = NOT_SUPPORTED
    meter = opened()
    clock.now_s += 1
    assert not {"temperature_c", "utilisation", "energy_j"} & set(latest(meter))
    device = meter.info.devices[0]
    assert device["unsupported"] == ["energy_j", "temperature_c", "utilisation"]
    assert device["mig_mode"] is None
    assert meter.info.components["gpu"].method == "NVML power samples, integrated"
    assert not meter.failures


def test_neither_energy_nor_power_is_unavailable(gpu: FakeNvml) -> None:
    for name in ("TotalEnergyConsumption", "PowerUsage", "FieldValues"):
        gpu.answers[f"nvmlDeviceGet{name}"] = NOT_SUPPORTED
    assert opened().info.components["gpu"].status == "unavailable"


def test_a_read_that_fails_later_is_left_out_and_counted(gpu: FakeNvml, clock: Clock) -> None:
    meter = opened()
    gpu.answers["nvmlDeviceGetFieldValues"] = pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)
    clock.now_s += 1
    assert "power_w" not in latest(meter)
    assert set(meter.failures) == {"power_w: Unknown Error", "power_average_w: Unknown Error"}


def test_energy_is_read_when_it_steps_and_state_when_due(gpu: FakeNvml, clock: Clock) -> None:
    """10 s of a counter that steps by 30 J every 0.1 s: 300 W whichever way it is read."""
    meter, readings = opened(), []
    first_s = clock.now_s
    for tick in range(1, 500):
        clock.now_s = first_s + tick * 0.02
        steps = int((clock.now_s - first_s + 1e-9) / 0.1)
        gpu.answers["nvmlDeviceGetTotalEnergyConsumption"] = 5_000_000 + 30_000 * steps
        readings += meter.read()
    energy = [(r.t_s, r.value) for r in readings if r.quantity == "energy_j"]
    watts = (energy[-1][1] - energy[0][1]) / (energy[-1][0] - energy[0][0])
    assert len(energy) == 99
    assert watts == pytest.approx(300, rel=0.01)
    assert len([r for r in readings if r.quantity == "power_w"]) == 499
    assert len([r for r in readings if r.quantity == "sm_clock_mhz"]) == pytest.approx(20, abs=1)
    calls = gpu.nvmlDeviceGetTotalEnergyConsumption.call_count  # type: ignore[attr-defined]
    assert calls < 320


def test_only_the_jobs_gpu_is_read(gpu: FakeNvml) -> None:
    opened(environment={"CUDA_VISIBLE_DEVICES": "0"})
    gpu.nvmlDeviceGetHandleByUUID.assert_called_with(UUID)  # type: ignore[attr-defined]


def reason(meter: Meter) -> str:
    assert meter.read() == []
    assert meter.info.interval_s is None
    assert meter.info.components["gpu"].status == "unavailable"
    return meter.info.components["gpu"].detail or ""


def test_absence_is_explained(gpu: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the job was given no GPU" in reason(opened(gpu_ids=[]))
    assert "no GPU" in reason(opened(environment={"CUDA_VISIBLE_DEVICES": ""}))
    assert "GPU-b is not one of" in reason(opened(gpu_ids=["GPU-b"]))
    gpu.answers["nvmlDeviceGetHandleByIndex"] = pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
    assert "no GPU" in reason(opened())
    gpu.answers["nvmlInit"] = pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    assert "no NVIDIA driver" in reason(opened())
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install nvidia-ml-py" in reason(opened())


def test_strangers_are_processes_that_are_not_the_jobs() -> None:
    child = subprocess.Popen(["sleep", "30"])
    try:
        assert count_other_processes({os.getpid(), child.pid}, os.getpid()) == 0
        assert count_other_processes({os.getpid()}, child.pid) == 1
        assert (
            count_other_processes(set(), os.getpid()) is None
        )  # where the job is not seen, nobody is
    finally:
        child.kill()
        child.wait()


def test_one_process_of_another_namespace_may_be_the_job_and_two_may_not() -> None:
    unknown = {2**22 + 1, 2**22 + 2}  # above Linux's largest process id
    assert count_other_processes({min(unknown)}, os.getpid()) == 0
    assert count_other_processes(unknown, os.getpid()) == 1
    assert count_other_processes({*unknown, os.getpid()}, os.getpid()) == 2
