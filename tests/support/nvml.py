"""NVML without a GPU: functions with the real binding's signatures, answering as told."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import pynvml

UUID = "GPU-aaa"
NOT_SUPPORTED = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


class Clock:
    """time.monotonic that moves when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


class FakeNvml:
    """One GPU: what it answers to each call; a function is called, an NVMLError is raised."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "nvmlInit": None,
            "nvmlShutdown": None,
            "nvmlSystemGetDriverVersion": "580.1",
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetHandleByUUID": "handle",
            "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": "handle",
            "nvmlDeviceGetName": "NVIDIA H200",
            "nvmlDeviceGetUUID": UUID,
            "nvmlDeviceGetTotalEnergyConsumption": 5_000_000,
            "nvmlDeviceGetPowerUsage": 81_000,
            "nvmlDeviceGetFieldValues": [self.field(pynvml.NVML_SUCCESS, 123_456)],
            "nvmlDeviceGetClockInfo": 1980,
            "nvmlDeviceGetTemperature": 40,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 4,
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=50),
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=1 << 30, total=1 << 37),
            "nvmlDeviceGetComputeRunningProcesses": [],
            "nvmlDeviceGetGraphicsRunningProcesses": [],
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetPersistenceMode": 1,
            "nvmlDeviceGetEccMode": [1, 1],
            "nvmlDeviceGetMigMode": [0, 0],
            "nvmlDeviceGetTotalEccErrors": 0,
            "nvmlDeviceGetArchitecture": pynvml.NVML_DEVICE_ARCH_HOPPER,
        }
        for name in self.answers:
            setattr(self, name, create_autospec(getattr(pynvml, name), side_effect=self._say(name)))

    @staticmethod
    def field(status: int, milliwatts: int) -> SimpleNamespace:
        return SimpleNamespace(nvmlReturn=status, value=SimpleNamespace(uiVal=milliwatts))

    def _say(self, name: str) -> Callable[..., Any]:
        def answer(*arguments: Any) -> Any:
            value = self.answers[name]
            if callable(value):
                value = value(*arguments)
            if isinstance(value, Exception):
                raise value
            return value

        return answer

    def __getattr__(self, name: str) -> Any:
        """Constants and exceptions are the real ones."""
        return getattr(pynvml, name)
