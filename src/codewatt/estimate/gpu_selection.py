"""Selects the GPU for the estimate of each hardware of a study; reads the option `--gpu`."""

from codewatt.errors import CodewattError
from codewatt.estimate.job_plan import GpuByHardware
from codewatt.grid import Grid
from codewatt.sizing.gpu_datasheets import Gpu, find_gpu, get_gpu, gpus

_DEFAULT_GPU = "l40s"
_NONE = "none"


def select_gpus(grid: Grid, given: str | None) -> GpuByHardware:
    """Hardware id → its GPU; a study that names no hardware has one entry, with the key None.

    Args:
        given: the value of --gpu: a GPU's name, 'none' for a CPU, None if not given. In a study
            that names hardware it is used for the ids that are not in the table of GPUs.

    Raises:
        CodewattError: a GPU is not in the table, is needed and not given, or contradicts the
            study's device.
    """
    study, named = grid.study, grid.hardware_ids
    if study.device == "cpu":
        if given not in (None, _NONE):
            raise CodewattError(f"--gpu {given!r}: the study's device is 'cpu'; allowed: none")
        return dict.fromkeys(named, None)
    if given == _NONE:
        if study.device == "cuda":
            raise CodewattError("--gpu none: the study's device is 'cuda'; allowed: a GPU's name")
        if study.hardware:
            raise CodewattError("--gpu none: the study names hardware; allowed: a GPU's name")
        return {None: None}
    card = None if given is None else get_gpu(given)
    if not study.hardware:
        return {None: card or get_gpu(_DEFAULT_GPU)}
    found: dict[str | None, Gpu | None] = {name: find_gpu(name or "") or card for name in named}
    for name, gpu in found.items():
        if gpu is None:
            raise CodewattError(
                f"{grid.where}: hardware: {name!r} is not in the table of GPUs; name a similar GPU "
                f"with --gpu; allowed: {', '.join(gpus())}"
            )
    return found


def selection_notes(cards: GpuByHardware, given: str | None) -> list[str]:
    """Sentences: the effect of `--gpu` in a study that names hardware."""
    if given is None or None in cards or not any(cards.values()):
        return []
    taken = {name: gpu for name, gpu in cards.items() if name and gpu and not find_gpu(name)}
    if not taken:
        return [f"--gpu {given} has no effect: all hardware of the study is in the table of GPUs."]
    return [f"Hardware {name}: estimated as {gpu.name} (--gpu)." for name, gpu in taken.items()]
