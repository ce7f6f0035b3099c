"""Which card stands for each hardware of a study, and what `--gpu` has to do with it."""

from codewatt.cells import Grid
from codewatt.errors import CodewattError
from codewatt.estimate.job_plan import Cards
from codewatt.sizing.gpu_datasheets import Gpu, gpu_named, gpus, known_gpu

_DEFAULT_GPU = "l40s"
_NONE = "none"


def cards_of(grid: Grid, given: str | None) -> Cards:
    """Hardware of the grid → its card; a study that names no hardware has one, under None.

    Args:
        given: a card's name, or 'none' for CPUs; None where nothing is said. Where the study names
            hardware, it stands for the names that are no card.

    Raises:
        CodewattError: a card is not in the table, is needed and not given, or clashes with the
            study's device.
    """
    study, named = grid.study, grid.hardware_ids
    if study.device == "cpu":
        if given not in (None, _NONE):
            raise CodewattError(f"--gpu {given!r}: the study's device is 'cpu'; allowed: none")
        return dict.fromkeys(named, None)
    if given == _NONE:
        if study.device == "cuda":
            raise CodewattError("--gpu none: the study's device is 'cuda'; name a card")
        if study.hardware:
            raise CodewattError("--gpu none: the study names hardware, which is GPUs; name a card")
        return {None: None}
    card = None if given is None else gpu_named(given)
    if not study.hardware:
        return {None: card or gpu_named(_DEFAULT_GPU)}
    found: dict[str | None, Gpu | None] = {name: known_gpu(name or "") or card for name in named}
    for name, gpu in found.items():
        if gpu is None:
            raise CodewattError(
                f"{grid.where}: hardware: {name!r} is no card of the table; --gpu must say which "
                f"one to take it as; allowed: {', '.join(gpus())}"
            )
    return found


def said_of(cards: Cards, given: str | None) -> list[str]:
    """What `--gpu` did in a study that names hardware, in sentences; nothing in another one."""
    if given is None or None in cards or not any(cards.values()):
        return []
    taken = {name: gpu for name, gpu in cards.items() if name and gpu and not known_gpu(name)}
    if not taken:
        return [f"--gpu {given} is not used: each hardware that the study names is a card."]
    return [f"hardware {name}: taken as {gpu.name} (--gpu)." for name, gpu in taken.items()]
