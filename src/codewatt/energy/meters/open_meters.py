"""Opens all meters."""

from collections.abc import Iterator, Sequence

from codewatt.energy.meters.cache_misses import EVENTS, open_cache_misses
from codewatt.energy.meters.codecarbon import open_codecarbon
from codewatt.energy.meters.host_load import open_host
from codewatt.energy.meters.meter import AbsentMeter, Meter
from codewatt.energy.meters.node_state import NODE_QUANTITIES, open_node
from codewatt.energy.meters.nvml import NvmlMeter, open_nvml, visible_gpus
from codewatt.energy.meters.rapl import open_rapl
from codewatt.energy.meters.zeus_amd import ZeusMeter, open_zeus
from codewatt.sampler_settings import SamplerSettings

_NOT_ASKED = "not read: energy.node_context is false"


def open_meters(
    settings: SamplerSettings, gpu_ids: Sequence[str] | None, job_pid: int
) -> Iterator[Meter]:
    """Yield each meter once it is open, fast ones first; an `AbsentMeter` contains the reason.

    Args:
        gpu_ids: UUIDs of the job's GPUs; empty: none; None: by the variables that hide GPUs.
        job_pid: the process that is metered.
    """
    gpu = _open_gpu(settings, gpu_ids, job_pid)
    yield gpu
    yield open_rapl(settings.rapl_interval_s)
    yield open_host(settings.host_interval_s, job_pid)
    if settings.node_context:
        yield open_node()
        yield open_cache_misses(job_pid)
    else:
        yield AbsentMeter("node", NODE_QUANTITIES, _NOT_ASKED)
        yield AbsentMeter("perf", EVENTS, _NOT_ASKED)
    gpus = gpu.uuids if isinstance(gpu, NvmlMeter) else {}
    yield open_codecarbon(settings.codecarbon_interval_s, gpus)


def _open_gpu(settings: SamplerSettings, gpu_ids: Sequence[str] | None, job_pid: int) -> Meter:
    """NVML's meter; zeus' meter of AMD GPUs where NVML finds no GPU and zeus opens."""
    nvml = open_nvml(settings, gpu_ids, job_pid)
    unused = gpu_ids is not None and not gpu_ids
    if isinstance(nvml, NvmlMeter) or unused or visible_gpus():
        return nvml
    zeus = open_zeus(settings, gpu_ids)
    if isinstance(zeus, ZeusMeter):
        return zeus
    reasons = [meter.info.components["gpu"].detail for meter in (nvml, zeus)]
    return AbsentMeter("nvml", ["gpu"], "; for AMD GPUs, ".join(map(str, reasons)), nvml.info.facts)
