"""zeus and AMD SMI without an AMD GPU: zeus' signatures, answering as told.

`test_zeus_amd.py` compares the signatures with zeus where it is installed.
"""

import itertools
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import pytest

UNIQUE_IDS = (0x8BADF00D12345678, 0x00C0FFEE00000001, 0x1122334455667788)
UUIDS = tuple(f"GPU-{unique_id:016x}" for unique_id in UNIQUE_IDS)


class ZeusBaseGPUError(Exception):
    """zeus.device.exception.ZeusBaseGPUError."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class AmdSmiException(Exception):
    """amdsmi.AmdSmiException."""


class AMDGPU:
    """What the meter calls of zeus.device.gpu.amd.AMDGPU."""

    def __init__(self, gpu_index: int) -> None: ...

    def get_name(self) -> str: ...  # type: ignore[empty-body]

    def get_power_management_limit(self) -> int: ...  # type: ignore[empty-body]

    def get_average_power_usage(self) -> int: ...  # type: ignore[empty-body]

    def get_instant_power_usage(self) -> int: ...  # type: ignore[empty-body]

    def get_total_energy_consumption(self) -> int: ...  # type: ignore[empty-body]


class AMDGPUs:
    """What the meter calls of zeus.device.gpu.amd.AMDGPUs."""

    def __init__(self, ensure_homogeneous: bool = False) -> None: ...


class FakeZeus:
    """Some AMD GPUs: what each answers to each call; a function is called, an error is raised.

    Attributes:
        answers: one dictionary for each GPU.
        driver: whether amdsmi_is_available.
        starts: how often zeus was started.
    """

    def __init__(self, gpus: int = 1) -> None:
        self.driver, self.starts = True, 0
        self.answers: list[dict[str, Any]] = [
            {
                "get_name": "AMD Instinct MI300X",
                "get_power_management_limit": 750_000,
                "get_average_power_usage": ZeusBaseGPUError("not supported"),
                "get_instant_power_usage": 123_456,
                "get_total_energy_consumption": 5_000_000,
                "asic_serial": f"0x{UNIQUE_IDS[index]:016X}",
                "hotspot": 45,
            }
            for index in range(gpus)
        ]

    def _say(self, index: int, name: str) -> Any:
        value = self.answers[index][name]
        value = value() if callable(value) else value
        if isinstance(value, Exception):
            raise value
        return value

    def _gpu(self, index: int) -> Any:
        gpu = create_autospec(AMDGPU, instance=True, spec_set=False)
        gpu.gpu_index = gpu.handle = index
        for name in vars(AMDGPU):
            if name.startswith("get_"):
                getattr(gpu, name).side_effect = lambda name=name: self._say(index, name)
        return gpu

    def _manager(self, ensure_homogeneous: bool = False) -> Any:
        self.starts += 1
        return SimpleNamespace(gpus=[self._gpu(index) for index in range(len(self.answers))])

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "FakeZeus":
        """Put the modules of zeus and amdsmi in place of the real ones."""
        amdsmi = ModuleType("amdsmi")
        amdsmi.__spec__ = ModuleSpec("amdsmi", None)
        contents: dict[str, Any] = {
            "AmdSmiException": AmdSmiException,
            "AmdSmiTemperatureType": SimpleNamespace(HOTSPOT=1),
            "AmdSmiTemperatureMetric": SimpleNamespace(CURRENT=0),
            "amdsmi_get_gpu_asic_info": lambda handle: {
                "asic_serial": self._say(handle, "asic_serial")
            },
            "amdsmi_get_temp_metric": lambda handle, sensor, metric: self._say(handle, "hotspot"),
        }
        for name, value in contents.items():
            setattr(amdsmi, name, value)
        modules = {name: ModuleType(name) for name in ("zeus", "zeus.device", "zeus.device.gpu")}
        modules["zeus"].__dict__["__version__"] = "0.16.0"
        exception, amd = ModuleType("zeus.device.exception"), ModuleType("zeus.device.gpu.amd")
        exception.__dict__["ZeusBaseGPUError"] = ZeusBaseGPUError
        amd.__dict__.update(
            amdsmi=amdsmi,
            amdsmi_is_available=lambda: self.driver,
            AMDGPUs=create_autospec(AMDGPUs, side_effect=self._manager),
        )
        modules["zeus.device.gpu"].__dict__["amd"] = amd
        for module in (*modules.values(), exception, amd, amdsmi):
            monkeypatch.setitem(sys.modules, module.__name__, module)
        return self


def fake_amdsmi(hip_ids: dict[str, int]) -> ModuleType:
    """AMD SMI's Python module for zeus' own code: handle -> HIP index, in AMD SMI's order."""
    smi = ModuleType("amdsmi")
    smi.__spec__ = ModuleSpec("amdsmi", None)
    # Each read finds 76 J more: zeus compares two of them with 0.5 s of 300 W.
    count = itertools.count(1_000_000_000, 5_000_000)
    handles = list(hip_ids)
    smi.__dict__.update(
        AmdSmiException=AmdSmiException,
        AmdSmiLibraryException=type("AmdSmiLibraryException", (AmdSmiException,), {}),
        AmdSmiInitFlags=SimpleNamespace(INIT_AMD_GPUS=2),
        AmdSmiTemperatureType=SimpleNamespace(HOTSPOT=1),
        AmdSmiTemperatureMetric=SimpleNamespace(CURRENT=0),
        amdsmi_init=lambda flag: None,
        amdsmi_shut_down=lambda: None,
        amdsmi_get_processor_handles=lambda: handles,
        amdsmi_get_gpu_enumeration_info=lambda handle: {"hip_id": hip_ids[handle]},
        amdsmi_get_gpu_asic_info=lambda handle: {
            "market_name": "AMD Instinct MI300X",
            "asic_serial": f"0x{UNIQUE_IDS[handles.index(handle)]:016X}",
        },
        amdsmi_get_power_info=lambda handle: {
            "current_socket_power": 300,
            "average_socket_power": "N/A",
        },
        amdsmi_get_energy_count=lambda handle: {
            "energy_accumulator": next(count),
            "counter_resolution": 15.259,
        },
        amdsmi_get_power_cap_info=lambda handle: {"power_cap": 750_000_000},
        amdsmi_get_temp_metric=lambda handle, sensor, metric: 45,
    )
    return smi
