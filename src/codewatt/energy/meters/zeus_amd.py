"""GPU energy, power and temperature of AMD GPUs through zeus; the only module that calls zeus.

Untested on hardware: the project has had no AMD GPU. The tests use doubles with zeus' signatures.
zeus (0.16.0) calls AMD SMI; it is optional and opened only where NVML finds no GPU.

- Energy: `get_total_energy_consumption`, millijoules. zeus compares half a second of the counter
  with power when it starts and refuses a counter that is wrong by a factor of ten. How often the
  counter is updated is unknown, so its steps are timed as they are seen (`Staircase`).
- Power, as `power_w`: `get_instant_power_usage`, else `get_average_power_usage`, whose averaging
  time is unknown. The facts of each device name the field.
- Temperature: AMD SMI's hotspot sensor, in °C, through zeus' handle. `get_gpu_temperature` of zeus
  0.16.0 is not used: it divides by 1000 what AMD SMI has already divided (amd_smi.cc,
  amdsmi_get_temp_metric), and so gives 0.
- Not read: clocks, throttle reasons, utilisation, memory and other processes.

A job's GPU is found by its unique id, which torch reports as well (`gpu_uuids.torch_uuid`).
"""

import contextlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from codewatt.energy.meters.assigned_gpus import PhysicalGpu, SelectedBy, UnresolvedGpusError
from codewatt.energy.meters.counter_updates import Staircase
from codewatt.energy.meters.gpu_readings import Read, timed_readings
from codewatt.energy.meters.meter import AbsentMeter, ComponentInfo, Meter, MeterInfo, Reading
from codewatt.gpu_uuids import nvml_uuid, rocm_uuid
from codewatt.sampler_settings import SamplerSettings

_MILLI = 1e-3
#: As of NVML's counter; a read that takes longer has a time_error_s of its own.
_READ_S = 0.01
#: A temperature outside of this is in another unit, or no reading.
_POSSIBLE_C = (1, 150)
_UNTESTED = "untested on hardware"
_HIP_VARIABLES = ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")


class ZeusMeter(Meter):
    """Reads power at every call, energy at each counter update, and temperature less often.

    Args:
        amd: module zeus.device.gpu.amd.
        manager: zeus' AMDGPUs; AMD SMI is shut down when it is deleted.
        gpus: the job's GPUs; `index` is the HIP index, which is zeus' index too.
        version: of zeus.
        errors: what zeus and AMD SMI raise for a failed read.
    """

    # The update period of the counter is unknown; power readings may be a second old.
    settle_s = 1.0

    def __init__(
        self,
        amd: Any,
        manager: Any,
        gpus: Sequence[PhysicalGpu],
        selected_by: SelectedBy,
        settings: SamplerSettings,
        version: str,
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._manager: Any = manager
        self._errors = errors
        by_index = {gpu.gpu_index: gpu for gpu in manager.gpus}
        self._gpus = [_Gpu(amd, by_index[gpu.index], gpu, errors) for gpu in gpus]
        self._state_interval_s, self._state_due_s = settings.nvml_state_interval_s, 0.0
        self._time_error_s = (settings.nvml_interval_s + _READ_S) / 2
        self._steps = {gpu.uuid: Staircase(settings.nvml_interval_s) for gpu in gpus}
        super().__init__(
            MeterInfo(
                "zeus",
                f"zeus {version}",
                settings.nvml_interval_s,
                {"gpu": _gpu_component(self._gpus)},
                [gpu.facts for gpu in self._gpus],
                {
                    "selected_by": selected_by,
                    "state_interval_s": settings.nvml_state_interval_s,
                    "time_error_s": self._time_error_s,
                    "tested_on_hardware": False,
                },
            )
        )
        self.read()  # the first call of each function may take longer

    def read(self) -> list[Reading]:
        """Readings of all devices; a failing field is left out and counted."""
        readings: list[Reading] = []
        now_s = time.monotonic()
        with_state = now_s >= self._state_due_s
        if with_state:
            self._state_due_s = now_s + self._state_interval_s
        for gpu in self._gpus:
            steps = self._steps[gpu.uuid]
            fields = {
                **(gpu.energy if steps.due(now_s) else {}),
                **gpu.power,
                **(gpu.state if with_state else {}),
            }
            readings += timed_readings(
                gpu.uuid,
                fields,
                steps,
                self._time_error_s,
                self._errors,
                self.failures,
                time.monotonic,
            )
        return readings

    def close(self) -> None:
        """Release AMD SMI: zeus shuts it down when its manager is deleted."""
        self._manager = None


class _Gpu:
    """One GPU: its supported fields and its facts."""

    def __init__(
        self, amd: Any, zeus_gpu: Any, gpu: PhysicalGpu, errors: tuple[type[Exception], ...]
    ) -> None:
        self.uuid = gpu.uuid

        def hotspot_c() -> float:
            celsius = amd.amdsmi.amdsmi_get_temp_metric(
                zeus_gpu.handle,
                amd.amdsmi.AmdSmiTemperatureType.HOTSPOT,
                amd.amdsmi.AmdSmiTemperatureMetric.CURRENT,
            )
            if not _POSSIBLE_C[0] <= celsius <= _POSSIBLE_C[1]:
                raise ValueError(f"{celsius} is no temperature in °C")
            return float(celsius)

        def supported(fields: dict[str, Read]) -> dict[str, Read]:
            return {name: read for name, read in fields.items() if _value(read, errors) is not None}

        powers = {
            "instant": lambda: zeus_gpu.get_instant_power_usage() * _MILLI,
            "average": lambda: zeus_gpu.get_average_power_usage() * _MILLI,
        }
        kind = next((name for name in powers if _value(powers[name], errors) is not None), None)
        self.energy = supported(
            {"energy_j": lambda: zeus_gpu.get_total_energy_consumption() * _MILLI}
        )
        self.power: dict[str, Read] = {} if kind is None else {"power_w": powers[kind]}
        self.state = supported({"temperature_c": hotspot_c})
        limit_mw = _value(zeus_gpu.get_power_management_limit, errors)
        found = {*self.energy, *self.power, *self.state}
        self.facts: dict[str, Any] = {
            "index": gpu.index,
            "device": gpu.uuid,
            "name": gpu.name,
            "power_reading": kind,
            "power_fields": {} if kind is None else {"power_w": f"get_{kind}_power_usage"},
            "unsupported": sorted({"energy_j", "power_w", "temperature_c"} - found),
            "power_limit_w": None if limit_mw is None else limit_mw * _MILLI,
            # Both chiplets of an MI250 or MI250X have one counter (zeus, AMDGPUs._init_gpus).
            "shared_counter": "MI250" in gpu.name,
        }


def _value(read: Callable[[], Any], errors: tuple[type[Exception], ...]) -> Any:
    """What a function returns; None if this GPU does not support it."""
    try:
        return read()
    except errors:
        return None


def _gpu_component(gpus: Sequence[_Gpu]) -> ComponentInfo:
    if all(gpu.energy for gpu in gpus):
        return ComponentInfo("measured", "AMD SMI energy counter, through zeus", _UNTESTED)
    if all(gpu.power for gpu in gpus):
        return ComponentInfo(
            "measured",
            "AMD SMI power samples, through zeus, integrated",
            f"no usable energy counter; {_UNTESTED}",
        )
    names = ", ".join(str(gpu.facts["name"]) for gpu in gpus)
    return ComponentInfo("unavailable", "zeus", f"zeus gives neither energy nor power of {names}")


def open_zeus(
    settings: SamplerSettings,
    gpu_ids: Sequence[str] | None,
    environment: Mapping[str, str] | None = None,
) -> Meter:
    """Open zeus' meter for the AMD GPUs of the job; an `AbsentMeter` with the reason if impossible.

    Args:
        gpu_ids: UUIDs (`gpu_uuids`) of the job's GPUs; None: see `select_amd_gpus`.
        environment: the job's, for the variables that hide GPUs; None: this process's.
    """
    environment = dict(os.environ) if environment is None else environment
    try:
        import zeus
        from zeus.device.exception import ZeusBaseGPUError
        from zeus.device.gpu import amd
    except ImportError as error:
        why = "is not installed: pip install zeus" if error.name == "zeus" else f"fails: {error}"
        return _absent(f"zeus {why}")
    if importlib.util.find_spec("amdsmi") is None:
        return _absent("amdsmi is not installed: pip install amdsmi, of ROCm's version")
    try:
        if not amd.amdsmi_is_available():
            return _absent("amdsmi finds no AMD driver, or no library of its version")
        with _all_gpus_visible():
            manager = amd.AMDGPUs()
        gpus = [_identified(amd, gpu) for gpu in manager.gpus]
        chosen, selected_by = select_amd_gpus(gpus, gpu_ids, environment)
        # zeus raises its own errors; what AMD SMI returns in place of a number raises the others.
        errors = (ZeusBaseGPUError, amd.amdsmi.AmdSmiException, KeyError, TypeError, ValueError)
        return ZeusMeter(amd, manager, chosen, selected_by, settings, zeus.__version__, errors)
    except UnresolvedGpusError as error:
        return _absent(str(error))
    except Exception as error:  # whatever it meets on an unknown machine is not the job's failure
        return _absent(f"zeus does not start here ({type(error).__name__}: {error})")


def _absent(reason: str) -> Meter:
    return AbsentMeter("zeus", ["gpu"], " ".join(reason.split()))


@contextlib.contextmanager
def _all_gpus_visible() -> Iterator[None]:
    """Hide the variables by which zeus would choose GPUs; it reads them as numbers only."""
    hidden = {name: os.environ.pop(name) for name in _HIP_VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _identified(amd: Any, gpu: Any) -> PhysicalGpu:
    """The GPU with its UUID; "" if it has no unique id (some integrated GPUs)."""
    serial = str(amd.amdsmi.amdsmi_get_gpu_asic_info(gpu.handle)["asic_serial"])
    unique_id = int(serial, 16) if serial.startswith("0x") else 0
    uuid = rocm_uuid(unique_id) if unique_id else ""
    return PhysicalGpu(gpu.gpu_index, uuid, str(gpu.get_name()))


def select_amd_gpus(
    gpus: Sequence[PhysicalGpu], gpu_ids: Sequence[str] | None, environment: Mapping[str, str]
) -> tuple[list[PhysicalGpu], SelectedBy]:
    """The AMD GPUs of the job, and the source of this information.

    Args:
        gpus: all of the machine, in the order of their HIP index.
        gpu_ids: UUIDs named by the caller; None: ROCR_VISIBLE_DEVICES, and of the GPUs that it
            leaves HIP_VISIBLE_DEVICES, else CUDA_VISIBLE_DEVICES (ROCm, "GPU isolation
            techniques"; zeus reads the last two alike). In a Slurm job all: a device cgroup
            may renumber the GPUs, and the job later names its own by UUID.
        environment: the job's environment variables.

    Raises:
        UnresolvedGpusError: a number or UUID matches no GPU, or GPUs have no UUID of their own.
    """
    chosen = list(gpus)
    selected_by: SelectedBy = "all"
    if gpu_ids is not None:
        chosen, selected_by = [_named(gpus, nvml_uuid(one), "the job") for one in gpu_ids], "caller"
    elif not environment.get("SLURM_JOB_ID"):
        hip = next((name for name in _HIP_VARIABLES if name in environment), _HIP_VARIABLES[0])
        for variable in ("ROCR_VISIBLE_DEVICES", hip):
            if (value := environment.get(variable)) is not None:
                tokens = [token.strip() for token in value.split(",")]
                chosen = [_named(chosen, token, f"{variable}={value}") for token in tokens]
                selected_by = "environment"
    found = [gpu for gpu in dict.fromkeys(chosen) if gpu.uuid]
    if not found:
        raise UnresolvedGpusError("no AMD GPU with a unique id, by which a job names its GPU")
    if len({gpu.uuid for gpu in found}) < len(found):
        raise UnresolvedGpusError(
            "several AMD GPUs have one unique id: a partitioned GPU has one energy counter"
        )
    return found, selected_by


def _named(gpus: Sequence[PhysicalGpu], token: str, source: str) -> PhysicalGpu:
    """The GPU at a position, or with a UUID."""
    if token.isdigit() and int(token) < len(gpus):
        return gpus[int(token)]
    matching = [
        gpu for gpu in gpus if gpu.uuid and gpu.uuid == token.lower().replace("gpu-", "GPU-")
    ]
    if len(matching) != 1:
        have = ", ".join(gpu.uuid or f"{gpu.name} without unique id" for gpu in gpus) or "none"
        raise UnresolvedGpusError(
            f"{source}: GPU {token!r} is not one of the AMD GPUs here: {have}"
        )
    return matching[0]
