"""Runs the validity checks of one cell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.boundaries import Boundaries
from codewatt.energy.energy_record import RunRecord, WindowRecord
from codewatt.energy.energy_sources import Sources
from codewatt.energy.idle_power import IdlePower
from codewatt.energy.job_energy_record import ComponentRecord, SamplerRecord
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity.cell import (
    PowerByPhase,
    check_all_decided,
    check_idle,
    check_meters,
)
from codewatt.energy.validity.check import CheckResult
from codewatt.energy.validity.gpu import check_gpu_repeat, check_gpus
from codewatt.energy.validity.phase import CELL_PHASES, check_phase, check_repeat_phases
from codewatt.energy.validity.power import check_power
from codewatt.energy.validity.repeat import check_repeat
from codewatt.energy.validity.sharing import (
    check_cpu_share,
    check_other_work,
    check_repeat_spread,
    check_stolen_time,
)


@dataclass(frozen=True)
class Measurement:
    """The measurement of one cell, to be checked.

    Attributes:
        sampler: of the cell's metered job; it counts failed reads.
        components: status and method of each component and boundary, as in energy.json.
        runs, windows, baseline: as in energy.json.
        idle: idle power of the components whose idle windows passed their checks.
        work: repeat -> new tokens; None: the repeats may have done different work.
    """

    sampler: SamplerRecord | None
    timeline: Timeline
    sources: Sources
    boundaries: Boundaries
    components: Mapping[str, ComponentRecord]
    runs: Sequence[RunRecord]
    windows: Sequence[WindowRecord]
    baseline: PowerByPhase
    idle: IdlePower
    work: Mapping[int, float] | None


def check_cell(cell: Measurement, settings: EnergySettings) -> list[CheckResult]:
    """Run all checks of one cell: first those of the whole cell, then those of each repeat."""
    results = [
        *check_meters(cell.sampler, cell.sources),
        *check_idle(cell.timeline, cell.sources, cell.windows, cell.baseline, settings),
        *check_gpus(cell.timeline, cell.sources),
        check_cpu_share(cell.boundaries),
        check_repeat_spread(cell.runs, cell.work, settings),
        *_check_other_phases(cell, settings),
    ]
    repeats = {w["repeat"]: w for w in cell.windows if w["phase"] == "repeat"}
    for run in cell.runs:
        window = repeats[run["repeat"]]
        results += _check_run(cell, run, window["start_s"], window["end_s"], settings)
    return [*results, check_all_decided(results)]


def _check_other_phases(cell: Measurement, settings: EnergySettings) -> Iterator[CheckResult]:
    """Check the phases outside the repeats: net energy and their own energy rest on them."""
    for phase in CELL_PHASES:
        windows = [w for w in cell.windows if w["phase"] == phase]
        if windows:
            yield check_phase(phase, cell.timeline, cell.sources, windows, None, settings)


def _check_run(
    cell: Measurement, run: RunRecord, start_s: float, end_s: float, settings: EnergySettings
) -> Iterator[CheckResult]:
    """Run all checks of one repeat."""
    timeline, sources = cell.timeline, cell.sources
    status = cell.components[settings.boundary]
    idle_w = {name: cell.idle.lower_bound_w(name) for name in sources.figures}
    yield from check_repeat(sources, status, run, start_s, end_s, settings)
    yield from check_power(timeline, sources, run, idle_w, settings)
    yield check_other_work(timeline, run, start_s, end_s, settings)
    yield check_stolen_time(timeline, run, start_s, end_s, settings)
    yield from check_repeat_phases(sources, run, cell.windows, settings)
    yield from check_gpu_repeat(timeline, sources, run, start_s, end_s, settings)
