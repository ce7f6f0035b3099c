"""Names of the meters that read GPUs: "nvml", or "zeus" on a machine with AMD GPUs.

A job has one of the two (`meters.open_meters`).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from codewatt.energy.job_energy_record import MeterRecord

GpuMeter = Literal["nvml", "zeus"]
GPU_METERS: tuple[GpuMeter, ...] = ("nvml", "zeus")


def gpu_meter(meters: "Iterable[MeterRecord]") -> GpuMeter:
    """The name of the meter that reads the job's GPUs; "nvml" where none does."""
    return "zeus" if any(meter["name"] == "zeus" for meter in meters) else "nvml"
