"""GPU energy, power and state from NVML; the only module that calls NVML.

- Energy: nvmlDeviceGetTotalEnergyConsumption, millijoules since the driver was loaded (Volta and
  newer). It increases in steps: on an H200 every 100 ms.
- Power, as `power_w`: NVML_FI_DEV_POWER_INSTANT where the driver has it, else
  nvmlDeviceGetPowerUsage, which is the average of the last second on GPUs since Ampere except
  GA100 (NVML API reference; Yang et al., "Accurate and Convenient Energy Measurements for GPUs",
  SC 2024). In addition, as `power_average_w`: NVML_FI_DEV_POWER_AVERAGE. The facts of
  each device name the NVML field of each quantity.

A field that a GPU does not support is left out of its series, never 0.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from codewatt.energy.meters.assigned_gpus import (
    PhysicalGpu,
    SelectedBy,
    UnresolvedGpusError,
    select_gpus,
)
from codewatt.energy.meters.counter_updates import Staircase
from codewatt.energy.meters.gpu_readings import Read, timed_readings
from codewatt.energy.meters.meter import AbsentMeter, ComponentInfo, Meter, MeterInfo, Reading
from codewatt.sampler_settings import SamplerSettings

_MILLI = 1e-3
#: Reading the energy counter takes the driver up to this long.
_READ_S = 0.01
#: The one-second average needs no more readings than this.
_AVERAGE_INTERVAL_S = 0.1
#: Boards of GA100, the one Ampere chip whose power usage is not an average.
_GA100 = ("A100", "A800", "A30")


class NvmlMeter(Meter):
    """Reads power at every call, energy at each counter update, clocks and other state less often.

    Readings of energy_j are the counter's steps, timed within `time_error_s` of the facts: half
    an interval, and half of what a read takes (`Staircase`). A step that was found later has a
    time_error_s of its own.
    """

    # The counter moves every 100 ms; an average of the last second counts for the middle of it.
    settle_s = 0.6

    def __init__(
        self,
        nvml: Any,
        gpus: Sequence[PhysicalGpu],
        selected_by: SelectedBy,
        settings: SamplerSettings,
        job_pid: int,
    ) -> None:
        self._gpus = [_Gpu(nvml, gpu, job_pid) for gpu in gpus]
        self._nvml = nvml
        self._settings, self._state_due_s, self._average_due_s = settings, 0.0, 0.0
        self._time_error_s = (settings.nvml_interval_s + _READ_S) / 2
        self._steps = {gpu.uuid: Staircase(settings.nvml_interval_s) for gpu in gpus}
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        super().__init__(
            MeterInfo(
                "nvml",
                f"driver {driver}",
                settings.nvml_interval_s,
                {"gpu": _gpu_component(self._gpus)},
                [gpu.facts for gpu in self._gpus],
                {
                    "selected_by": selected_by,
                    "state_interval_s": settings.nvml_state_interval_s,
                    "time_error_s": self._time_error_s,
                },
            )
        )
        self.read()  # the first call of each function loads it, and takes milliseconds

    @property
    def uuids(self) -> dict[int, str]:
        """NVML's number -> UUID of the GPUs that are read."""
        return {int(gpu.facts["index"]): gpu.uuid for gpu in self._gpus}

    def read(self) -> list[Reading]:
        """Readings of all devices; a failing field is left out and counted."""
        readings: list[Reading] = []
        now_s = time.monotonic()
        with_state = now_s >= self._state_due_s
        if with_state:
            self._state_due_s = now_s + self._settings.nvml_state_interval_s
        with_average = now_s >= self._average_due_s
        if with_average:
            self._average_due_s = now_s + _AVERAGE_INTERVAL_S
        for gpu in self._gpus:
            steps = self._steps[gpu.uuid]
            with_energy = steps.due(now_s)
            fields: dict[str, Read] = {
                **(gpu.energy if with_energy else {}),
                **gpu.power,
                **(gpu.average if with_average else {}),
                **(gpu.state if with_state else {}),
            }
            readings += timed_readings(
                gpu.uuid,
                fields,
                steps,
                self._time_error_s,
                (self._nvml.NVMLError,),
                self.failures,
                time.monotonic,
            )
        return readings

    def close(self) -> None:
        """Release NVML (calls are counted: others in this process keep theirs)."""
        self._nvml.nvmlShutdown()


class _Gpu:
    """One GPU: its supported fields and its facts."""

    def __init__(self, nvml: Any, gpu: PhysicalGpu, job_pid: int) -> None:
        self.uuid = gpu.uuid
        handle = nvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
        power_field, power_kind, power_w = _power_reader(nvml, handle, gpu.name)
        energy = {"energy_j": lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) * _MILLI}
        power = {"power_w": power_w} if power_w else {}
        average = {"power_average_w": _field_reader(nvml, handle, nvml.NVML_FI_DEV_POWER_AVERAGE)}
        state: dict[str, Read] = {
            "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            "memory_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
            "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(
                handle, nvml.NVML_TEMPERATURE_GPU
            ),
            "throttle_reasons": lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle),
            "utilisation": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
            "memory_used_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used,
            "other_processes": lambda: count_other_processes(_process_ids(nvml, handle), job_pid),
        }
        self.energy = {name: read for name, read in energy.items() if _works(nvml, read)}
        self.power = power
        self.average = {name: read for name, read in average.items() if _works(nvml, read)}
        self.state = {name: read for name, read in state.items() if _works(nvml, read)}
        supported = {*self.energy, *self.power, *self.average, *self.state}
        fields = {"power_w": power_field} if power_field else {}
        if self.average:
            fields["power_average_w"] = "NVML_FI_DEV_POWER_AVERAGE"
        self.facts: dict[str, Any] = {
            "index": gpu.index,
            "device": gpu.uuid,
            "name": gpu.name,
            "power_reading": power_kind,
            "power_fields": fields,
            "unsupported": sorted({*energy, "power_w", *average, *state} - supported),
            **_facts(nvml, handle),
        }


def _power_reader(
    nvml: Any, handle: Any, name: str
) -> tuple[str | None, str | None, Callable[[], float] | None]:
    """(NVML's name of the field, "instant" or "average", a function that reads watts).

    (None, None, None) without any.
    """
    instant_w = _field_reader(nvml, handle, nvml.NVML_FI_DEV_POWER_INSTANT)

    def usage_w() -> float:
        return float(nvml.nvmlDeviceGetPowerUsage(handle) * _MILLI)

    if _works(nvml, instant_w):
        return "NVML_FI_DEV_POWER_INSTANT", "instant", instant_w
    if _works(nvml, usage_w):
        return "nvmlDeviceGetPowerUsage", _usage_kind(nvml, handle, name), usage_w
    return None, None, None


def _field_reader(nvml: Any, handle: Any, field: int) -> Callable[[], float]:
    """A function that reads one of NVML's power fields, in watts."""

    def watts() -> float:
        value = nvml.nvmlDeviceGetFieldValues(handle, [field])[0]
        if value.nvmlReturn != nvml.NVML_SUCCESS:
            raise nvml.NVMLError(value.nvmlReturn)
        return float(value.value.uiVal * _MILLI)

    return watts


def _usage_kind(nvml: Any, handle: Any, name: str) -> str:
    """Whether nvmlDeviceGetPowerUsage is "instant" or "average"; "average" if unknown."""
    try:
        architecture = nvml.nvmlDeviceGetArchitecture(handle)
    except nvml.NVMLError:
        return "average"
    ga100 = any(board in name for board in _GA100)
    return "instant" if architecture < nvml.NVML_DEVICE_ARCH_AMPERE or ga100 else "average"


def _works(nvml: Any, read: Callable[[], object]) -> bool:
    """Whether this GPU and driver support a field."""
    try:
        read()
    except nvml.NVMLError:
        return False
    return True


def _facts(nvml: Any, handle: Any) -> dict[str, Any]:
    """Constant facts of a GPU; None for facts that it does not report."""

    def fact(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except nvml.NVMLError:
            return None

    return {
        "power_limit_w": fact(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) * _MILLI),
        "persistence_mode": fact(lambda: bool(nvml.nvmlDeviceGetPersistenceMode(handle))),
        "ecc_mode": fact(lambda: bool(nvml.nvmlDeviceGetEccMode(handle)[0])),
        "ecc_uncorrected_errors": fact(
            lambda: nvml.nvmlDeviceGetTotalEccErrors(
                handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
            )
        ),
        "mig_mode": fact(lambda: bool(nvml.nvmlDeviceGetMigMode(handle)[0])),
        "memory_total_bytes": fact(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total),
    }


def _process_ids(nvml: Any, handle: Any) -> set[int]:
    """Processes with a compute or graphics context on the GPU."""
    compute = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    graphics = nvml.nvmlDeviceGetGraphicsRunningProcesses(handle)
    return {int(process.pid) for process in [*compute, *graphics]}


def count_other_processes(process_ids: set[int], job_pid: int) -> int | None:
    """Number of GPU processes that do not belong to the job; None if unknown.

    A process that /proc does not know is in another process namespace (a container sees host
    ids); one such process is taken to be the job itself, as nothing can tell them apart. Where
    the list is empty the job itself is not seen (it has no context yet, or the container hides
    processes), and so nobody else would be.
    """
    if not process_ids:
        return None
    known = {pid for pid in process_ids if os.path.exists(f"/proc/{pid}")}
    others = sum(not _descends_from(pid, job_pid) for pid in known)
    unknown = len(process_ids - known)
    job_seen = len(known) > others
    return others + (unknown if job_seen else max(0, unknown - 1))


def _descends_from(pid: int, ancestor: int) -> bool:
    """Whether a process is `ancestor` or one of its descendants."""
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
                # pid (name) state ppid ...: the name may hold spaces and parentheses
                pid = int(stream.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
    return False


def _gpu_component(gpus: Sequence[_Gpu]) -> ComponentInfo:
    if all(gpu.energy for gpu in gpus):
        return ComponentInfo("measured", "NVML total-energy counter", None)
    if all(gpu.power for gpu in gpus):
        return ComponentInfo("measured", "NVML power samples, integrated", "no energy counter")
    names = ", ".join(str(gpu.facts["name"]) for gpu in gpus)
    return ComponentInfo("unavailable", "nvml", f"NVML gives neither energy nor power of {names}")


def open_nvml(
    settings: SamplerSettings,
    gpu_ids: Sequence[str] | None,
    job_pid: int,
    environment: dict[str, str] | None = None,
) -> Meter:
    """Open the NVML meter for the GPUs of the job; an `AbsentMeter` with the reason if impossible.

    Args:
        gpu_ids: UUIDs; an empty list: the job uses no GPU; None: see `gpus.select_gpus`.
        job_pid: the process whose descendants may use the GPU.
        environment: the job's, for CUDA_VISIBLE_DEVICES; None: this process's.
    """
    environment = dict(os.environ) if environment is None else environment
    try:
        import pynvml as nvml
    except ImportError:
        return AbsentMeter("nvml", ["gpu"], "no Python binding: pip install nvidia-ml-py")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return AbsentMeter(
            "nvml", ["gpu"], f"NVML cannot be initialised: no NVIDIA driver ({error})"
        )
    try:
        gpus, selected_by = select_gpus(
            _openable(nvml), gpu_ids, environment, lambda mig: _parent_of_mig(nvml, mig)
        )
        if gpus:
            return NvmlMeter(nvml, gpus, selected_by, settings, job_pid)
        reason, facts = f"the job was given no GPU ({selected_by})", {"selected_by": selected_by}
    except (UnresolvedGpusError, nvml.NVMLError) as error:
        reason, facts = str(error), {}
    nvml.nvmlShutdown()
    return AbsentMeter("nvml", ["gpu"], reason, facts)


def visible_gpus() -> list[PhysicalGpu] | None:
    """The GPUs that this process may open; None if NVML is not available."""
    try:
        import pynvml as nvml
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        return _openable(nvml)
    except nvml.NVMLError:
        return None
    finally:
        nvml.nvmlShutdown()


def _openable(nvml: Any) -> list[PhysicalGpu]:
    """GPUs that this process may open; NVML counts those that a cgroup forbids as well."""
    gpus = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            name, uuid = nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetUUID(handle)
        except nvml.NVMLError:
            continue
        gpus.append(PhysicalGpu(index, _text(uuid), _text(name)))
    return gpus


def _parent_of_mig(nvml: Any, mig_uuid: str) -> str | None:
    try:
        instance = nvml.nvmlDeviceGetHandleByUUID(mig_uuid)
        parent = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(instance)
        return _text(nvml.nvmlDeviceGetUUID(parent))
    except nvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    """NVML bindings before 11.510 return bytes."""
    return value.decode() if isinstance(value, bytes) else value
