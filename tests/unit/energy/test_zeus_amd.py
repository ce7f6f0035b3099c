"""AMD GPUs through doubles with zeus' signatures: units, whose GPUs, absence, and a whole cell."""

import inspect
import json
import os
import sys
import uuid as uuids
from dataclasses import replace
from typing import Any

import pytest

from codewatt.energy.meters import nvml, open_meters, zeus_amd
from codewatt.energy.meters.assigned_gpus import PhysicalGpu, UnresolvedGpusError
from codewatt.energy.meters.meter import AbsentMeter, Meter
from codewatt.energy.meters.zeus_amd import open_zeus, select_amd_gpus
from codewatt.gpu_uuids import torch_uuid
from codewatt.sampler_settings import SamplerSettings
from tests.support import amd_gpus
from tests.support.amd_gpus import UUIDS, FakeZeus, ZeusBaseGPUError
from tests.support.nvml import Clock, FakeNvml

NOT_SUPPORTED = ZeusBaseGPUError("not supported")
GPUS = [PhysicalGpu(index, uuid, "MI300X") for index, uuid in enumerate(UUIDS)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(zeus_amd, "time", clock)
    return clock


@pytest.fixture
def zeus(monkeypatch: pytest.MonkeyPatch) -> FakeZeus:
    return FakeZeus().install(monkeypatch)


def opened(gpu_ids: list[str] | None = None, **environment: str) -> Meter:
    return open_zeus(SamplerSettings(), gpu_ids, environment)


def latest(meter: Meter) -> dict[str, float]:
    return {reading.quantity: reading.value for reading in meter.read()}


def reason(meter: Meter) -> str:
    assert isinstance(meter, AbsentMeter)
    told = meter.info.components["gpu"].detail or ""
    assert told
    assert "\n" not in told
    return told


def test_units_and_facts(zeus: FakeZeus, clock: Clock) -> None:
    meter = opened()
    clock.now_s += 1
    zeus.answers[0]["get_total_energy_consumption"] = 5_012_500
    assert latest(meter) == {
        "energy_j": pytest.approx(5012.5),
        "time_error_s": pytest.approx(0.99),  # the counter moved within the last second
        "power_w": pytest.approx(123.456),
        "temperature_c": 45,
    }
    (device,) = meter.info.devices
    assert device == {
        "index": 0,
        "device": UUIDS[0],
        "name": "AMD Instinct MI300X",
        "power_reading": "instant",
        "power_fields": {"power_w": "get_instant_power_usage"},
        "unsupported": [],
        "power_limit_w": 750.0,
        "shared_counter": False,
    }
    info = meter.info
    assert (info.name, info.version, info.interval_s) == ("zeus", "zeus 0.16.0", 0.02)
    assert info.components["gpu"].method == "AMD SMI energy counter, through zeus"
    assert info.components["gpu"].detail == "untested on hardware"
    assert info.facts["tested_on_hardware"] is False
    json.dumps(info.to_dict(), allow_nan=False)


def test_a_step_of_the_counter_is_dated_between_two_reads(zeus: FakeZeus, clock: Clock) -> None:
    meter, dated = opened(), []
    for tick in range(10):
        clock.now_s = 200 + tick * 0.02
        zeus.answers[0]["get_total_energy_consumption"] = 5_000_000 + tick // 5 * 1000
        dated += [reading for reading in meter.read() if reading.quantity == "energy_j"]
    (step,) = dated
    assert (step.t_s, step.value) == (pytest.approx(200.09), 5001.0)  # moved after 0.08, seen 0.10


def test_what_a_gpu_does_not_tell_is_absent_and_named(zeus: FakeZeus, clock: Clock) -> None:
    zeus.answers[0] |= {
        "get_total_energy_consumption": NOT_SUPPORTED,
        "get_instant_power_usage": NOT_SUPPORTED,
        "get_average_power_usage": 90_000,
        "hotspot": 0,  # what a library that divides twice by 1000 gives
        "get_name": "AMD Instinct MI250X",
    }
    meter = opened()
    clock.now_s += 1
    assert latest(meter) == {"power_w": 90.0}
    (device,) = meter.info.devices
    assert device["power_reading"] == "average"
    assert device["unsupported"] == ["energy_j", "temperature_c"]
    assert device["shared_counter"] is True
    assert meter.info.components["gpu"].method == "AMD SMI power samples, through zeus, integrated"
    assert not meter.failures
    zeus.answers[0]["get_average_power_usage"] = NOT_SUPPORTED
    assert not latest(meter)
    assert meter.failures == {"power_w: not supported": 1}
    assert opened().info.components["gpu"].status == "unavailable"


@pytest.mark.parametrize(
    ("gpu_ids", "environment", "expected"),
    [
        (None, {}, ([0, 1, 2], "all")),
        ([UUIDS[2]], {"HIP_VISIBLE_DEVICES": "0"}, ([2], "caller")),
        (None, {"HIP_VISIBLE_DEVICES": "2,0"}, ([2, 0], "environment")),
        (None, {"CUDA_VISIBLE_DEVICES": "1"}, ([1], "environment")),
        (None, {"HIP_VISIBLE_DEVICES": "0", "CUDA_VISIBLE_DEVICES": "1"}, ([0], "environment")),
        (None, {"HIP_VISIBLE_DEVICES": UUIDS[1].upper()}, ([1], "environment")),
        # HIP numbers the GPUs that ROCR leaves
        (None, {"ROCR_VISIBLE_DEVICES": "1,2", "HIP_VISIBLE_DEVICES": "1"}, ([2], "environment")),
        (None, {"ROCR_VISIBLE_DEVICES": UUIDS[2]}, ([2], "environment")),
        (None, {"ROCR_VISIBLE_DEVICES": "1", "SLURM_JOB_ID": "7"}, ([0, 1, 2], "all")),
    ],
)
def test_the_gpus_of_the_job(
    gpu_ids: list[str] | None, environment: dict[str, str], expected: tuple[list[int], str]
) -> None:
    chosen, selected_by = select_amd_gpus(GPUS, gpu_ids, environment)
    assert ([gpu.index for gpu in chosen], selected_by) == expected


@pytest.mark.parametrize("value", ["3", "", "-1", "GPU-8bad", "0,x"])
def test_an_unclear_choice_is_refused(value: str) -> None:
    with pytest.raises(UnresolvedGpusError, match=r"HIP_VISIBLE_DEVICES=.* is not one of"):
        select_amd_gpus(GPUS, None, {"HIP_VISIBLE_DEVICES": value})


def test_partitions_and_gpus_without_unique_id_are_refused(
    zeus: FakeZeus, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeus.answers *= 2  # the same serial twice
    assert "several AMD GPUs have one unique id" in reason(opened())
    zeus.answers[:] = [{**zeus.answers[0], "asic_serial": "N/A"}]
    assert "no AMD GPU with a unique id" in reason(opened())
    assert "is not one of the AMD GPUs here" in reason(opened([UUIDS[0]]))


def test_zeus_reads_all_gpus_whatever_the_variables_hide(
    zeus: FakeZeus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """zeus reads HIP_VISIBLE_DEVICES as numbers, and fails on a UUID."""
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", UUIDS[0])
    seen = []
    start = zeus._manager
    amd: Any = sys.modules["zeus.device.gpu.amd"]
    amd.AMDGPUs.side_effect = lambda: seen.append(os.environ.get("HIP_VISIBLE_DEVICES")) or start()
    meter = open_zeus(SamplerSettings(), None)
    assert meter.info.facts["selected_by"] == "environment"
    assert seen == [None]
    assert os.environ["HIP_VISIBLE_DEVICES"] == UUIDS[0]


def test_the_missing_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("zeus", "amdsmi"):
        monkeypatch.setitem(sys.modules, name, None)
    assert reason(opened()) == "zeus is not installed: pip install zeus"
    fake = FakeZeus().install(monkeypatch)
    fake.driver = False
    assert "amdsmi finds no AMD driver" in reason(opened())
    fake.driver = True
    sys.modules["zeus.device.gpu.amd"].__dict__["AMDGPUs"].side_effect = RuntimeError("a\nb")
    assert reason(opened()) == "zeus does not start here (RuntimeError: a b)"
    monkeypatch.setattr(zeus_amd.importlib.util, "find_spec", lambda name: None)
    assert reason(opened()) == "amdsmi is not installed: pip install amdsmi, of ROCm's version"


def first_meter(gpu_ids: list[str] | None = None) -> Meter:
    return next(open_meters.open_meters(SamplerSettings(), gpu_ids, os.getpid()))


def test_zeus_is_opened_only_where_nvml_finds_no_gpu(
    zeus: FakeZeus, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(nvml.os, "environ", {})
    assert first_meter().info.name == "nvml"
    fake.answers["nvmlInit"] = fake.NVMLError(fake.NVML_ERROR_LIBRARY_NOT_FOUND)
    assert first_meter([]).info.name == "nvml"
    assert zeus.starts == 0
    meter = first_meter()
    assert (meter.info.name, meter.info.devices[0]["device"]) == ("zeus", UUIDS[0])
    zeus.driver = False
    absent = first_meter()
    assert absent.info.name == "nvml"
    assert "no NVIDIA driver" in reason(absent)
    assert "amdsmi finds no AMD driver" in reason(absent)


def test_torchs_uuid_on_rocm_is_the_unique_id_in_ascii() -> None:
    """HIP copies the 16 digits that rocminfo shows into the 16 bytes of the UUID."""
    digits = UUIDS[0].removeprefix("GPU-")
    given = uuids.UUID(bytes=digits.encode())
    assert torch_uuid(given, "6.4") == UUIDS[0]
    assert torch_uuid(given, None) == f"GPU-{given}", "a UUID of CUDA is never decoded"
    unknown = uuids.UUID(bytes=b"XX".ljust(16, b"\0"))  # rocminfo: GPU-XX
    assert torch_uuid(unknown, "6.4") == f"GPU-{unknown}"


def on_amd(bench: Any) -> None:
    """The same job and the same joules on a machine with an AMD GPU."""
    info = bench.meters.pop("nvml")
    kept = ("energy_j", "power_w", "temperature_c")
    bench.series = {
        ("zeus", *key[1:]) if key[0] == "nvml" else key: data
        for key, data in bench.series.items()
        if key[0] != "nvml" or key[3] in kept
    }
    device = {**info.devices[0], "name": "AMD Instinct MI300X", "shared_counter": False}
    del device["mig_mode"]
    bench.meters = {"zeus": replace(info, name="zeus", devices=[device]), **bench.meters}


def test_a_cell_on_an_amd_gpu_has_measured_energy(bench: Any, measured: Any) -> None:
    on_amd(bench)
    cell = measured()
    told = {check["name"]: check["passed"] for check in cell["checks"]}
    assert cell["components"]["gpu"]["status"] == "measured"
    assert cell["components"]["gpu"]["method"] == "AMD SMI energy counter, through zeus"
    for run in cell["runs"]:  # 300 W for 20 s
        assert run["energy_j"]["gpu"] == pytest.approx(6000)
        assert run["alternatives"]["gpu_samples_j"] == pytest.approx(6000, rel=0.01)
    assert cell["valid"] is True
    assert told["gpu_counter_used"] is told["gpu_selected"] is told["counter_agrees"] is True
    undecided = {name for name, passed in told.items() if passed is None}
    assert undecided == {
        "no_mig", "gpu_not_shared", "no_slowdown", "no_power_cap", "clocks_steady",
    }  # fmt: skip
    assert told["all_checked"] is False


def test_both_chiplets_of_one_counter_are_an_error(bench: Any, measured: Any) -> None:
    on_amd(bench)
    info = bench.meters["zeus"]
    shared = {**info.devices[0], "name": "AMD Instinct MI250X", "shared_counter": True}
    bench.meters["zeus"] = replace(info, devices=[shared])
    cell = measured()
    failed = [check["name"] for check in cell["checks"] if check["passed"] is False]
    assert "no_mig" in failed
    assert cell["valid"] is False


def test_power_samples_of_unknown_age_widen_the_uncertainty(bench: Any, measured: Any) -> None:
    on_amd(bench)
    del bench.series["zeus", "gpu", "GPU-0", "energy_j"]
    info = bench.meters["zeus"]
    cell = measured()
    assert cell["components"]["gpu"]["method"].startswith("AMD SMI power samples")
    run = cell["runs"][0]
    assert run["energy_j"]["gpu"] == pytest.approx(6000, rel=0.01)
    # Power steps by 200 W at the repeat's start: a second of it is in doubt.
    assert run["uncertainty_j"]["gpu"] >= 0.9 * (bench.busy_w - bench.idle_w)
    assert info.devices[0]["power_reading"] == "instant"


def test_the_doubles_have_the_signatures_of_zeus() -> None:
    real = pytest.importorskip("zeus.device.gpu.amd", reason="zeus is optional: pip install zeus")
    from zeus.device.exception import ZeusBaseGPUError as RealError

    for double in (amd_gpus.AMDGPU, amd_gpus.AMDGPUs):
        names = [name for name in vars(double) if name == "__init__" or name[0] != "_"]
        for name in names:
            theirs = inspect.signature(getattr(getattr(real, double.__name__), name))
            ours = inspect.signature(getattr(double, name))
            assert str(ours) == str(theirs).replace("'", ""), name
    assert str(inspect.signature(RealError)) == str(inspect.signature(ZeusBaseGPUError))
    assert str(inspect.signature(real.amdsmi_is_available)).replace("'", "") == "() -> bool"


def test_the_real_zeus_finds_each_gpu_by_its_hip_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """zeus' own code on recorded answers of AMD SMI, which numbers the two GPUs the other way."""
    real = pytest.importorskip("zeus.device.gpu.amd", reason="zeus is optional: pip install zeus")
    smi = amd_gpus.fake_amdsmi(hip_ids={"first by bus": 1, "second by bus": 0})
    monkeypatch.setitem(sys.modules, "amdsmi", smi)
    monkeypatch.setattr(real, "amdsmi", smi)
    monkeypatch.setattr(real.time, "sleep", lambda seconds: None)
    for cached in (real.amdsmi_is_available, real._hip_to_amdsmi_handle):
        monkeypatch.setattr(real, cached.__name__, cached.__wrapped__)
    meter = opened([UUIDS[0]])
    assert meter.info.name == "zeus", meter.info.components["gpu"].detail
    (device,) = meter.info.devices
    assert (device["index"], device["device"]) == (1, UUIDS[0]), "the first by bus has HIP index 1"
    assert (device["power_reading"], device["power_limit_w"]) == ("instant", 750.0)
    read = [latest(meter) for _ in range(3)][-1]
    assert read["power_w"] == 300.0
    assert "temperature_c" not in device["unsupported"]
    # The counter gains 5,000,000 steps of 15.259 uJ a read.
    joules = [reading["energy_j"] for reading in (latest(meter), latest(meter))]
    assert joules[1] - joules[0] == pytest.approx(76.295, abs=0.002)
    assert real.AMDGPU(0).get_gpu_temperature() == 0, "45 °C, divided by 1000 once more"
