"""The energy of judging a cell's completions: of the whole window, of each run, of each completion.

At each moment the power is divided equally among the programs that run. Energy of the time in which
no program runs (sanitising, start-up, the time between two programs) is divided equally among all
completions. A completion of an excluded task, for which no program ran, has this part only. A
program that several completions share ran once, and each of them has an equal part of its energy.
So the energies of the completions add up to the energy of the window, which was actually spent.
Each run also has the energy if every completion were judged, also identical ones
(`unshared_energy_j`).

Power is divided equally, and not by the CPU time of the programs. CPU time of a sandbox is only
known as a total, in steps of 10 ms, which is a large part of a program that runs for 0.1 s. It
does not include the judge's own work for a program (starting the sandbox, comparing outputs). And a
program that sleeps until its time limit occupies the machine for as long as one that computes.

A program is often shorter than the time between two readings. Its energy is then a division of the
energy between these readings, and the bound on its error is larger than the energy itself. Sums
over a run have a small bound, because the errors at the edges of programs cancel.
"""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.energy_record import EvaluationEnergy, JudgedRunEnergy
from codewatt.energy.energy_sources import Source
from codewatt.energy.integration import Floats, Series
from codewatt.energy.job_energy_record import (
    JudgedCompletion,
    MeteredEvaluation,
    PhaseWindow,
    SamplerRecord,
)
from codewatt.energy.job_meter import JobMeter
from codewatt.energy.task_energy import JudgingShare, shared_joules
from codewatt.energy.validity.check import CheckResult
from codewatt.energy.validity.phase import (
    check_phase,
    failed_reads,
    long_enough,
    window_problems,
)
from codewatt.errors import CodewattError

#: Judging uses no GPU.
_COMPONENTS = ("cpu", "dram")
#: (repeat, sample, task_id) of a completion.
Key = tuple[int, int, str]


@dataclass(frozen=True)
class JudgingEnergy:
    """The energy of judging.

    Attributes:
        record: of the whole window and of each run.
        shares: the energy of each completion.
        check: whether the energy of the window can be trusted.
    """

    record: EvaluationEnergy
    shares: Mapping[Key, JudgingShare]
    check: CheckResult


def judging_energy(
    evaluate: MeteredEvaluation, timeline_path: str | os.PathLike[str], settings: EnergySettings
) -> JudgingEnergy | None:
    """Compute the energy of judging; None if nothing was judged.

    Args:
        evaluate: evaluate.json.
        timeline_path: its raw telemetry.

    Raises:
        CodewattError: the timeline is missing or unreadable, there is more than one window, or a
            program ran outside it.
    """
    windows = [w for w in evaluate["windows"] if w["phase"] == "evaluate"]
    if not windows:
        return None
    if len(windows) > 1:
        raise CodewattError(f"{timeline_path}: judging has {len(windows)} windows; expected: one")
    meter = JobMeter.read(timeline_path, "cpu", evaluate.get("meters"))
    sampler = evaluate.get("sampler")
    check = check_phase("evaluate", meter.timeline, meter.sources, windows, sampler, settings)
    start_s, end_s = windows[0]["start_s"], windows[0]["end_s"]
    energy_j, uncertainty_j = meter.window(start_s, end_s)
    completions = evaluate["verdicts"]
    reasons = _reasons(meter, windows[0], sampler, settings)
    if any(row["start_s"] is None and row["base"] is not None for row in completions):
        reasons = dict.fromkeys(_COMPONENTS, "the judge did not record when each program ran")
    programs = JudgedPrograms.read(completions, start_s, end_s, timeline_path)
    bills = {
        name: programs.bill(source, start_s, end_s)
        for name, source in meter.sources.figures.items()
        if name in _COMPONENTS and name not in reasons
    }
    note = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or None
    record: EvaluationEnergy = {
        "duration_s": end_s - start_s,
        "energy_j": energy_j,
        "uncertainty_j": uncertainty_j,
        "status": meter.statuses(),
        "runs": [_run(meter, bills, repeat, r) for r, repeat in enumerate(programs.repeats)],
        "note": note,
    }
    return JudgingEnergy(record, _shares(meter, programs, bills, completions, note), check)


def _reasons(
    meter: JobMeter, window: PhaseWindow, sampler: SamplerRecord | None, settings: EnergySettings
) -> dict[str, str]:
    """Component -> why completions have no energy of it; empty if all of them have it."""
    found: dict[str, list[str]] = {}
    sources = meter.sources
    for name in _COMPONENTS:
        if name not in sources.figures:
            found[name] = [sources.unavailable.get(name, "no meter")]
            continue
        source = sources.figures[name]
        if not long_enough(window, source):
            found[name] = [
                f"judging took {window['end_s'] - window['start_s']:.3g} s, too short for two "
                f"readings, {source.resolution_s:.3g} s apart"
            ]
        elif source.meter == "rapl":
            found[name] = list(failed_reads(sampler))
    for name, problem in window_problems(meter.timeline, sources, window, settings):
        if name in _COMPONENTS:
            found.setdefault(name, []).append(problem)
    return {name: ", ".join(dict.fromkeys(why)) for name, why in found.items() if why}


@dataclass(frozen=True)
class ComponentBill:
    """Energy of one component, in joules.

    Attributes:
        program_j, program_bound_j: of each program, shape (programs,).
        rest_j, rest_bound_j: of the time in which no program ran.
        run_j, run_bound_j, run_unshared_j: of each run, shape (runs,).
    """

    program_j: Floats
    program_bound_j: Floats
    rest_j: float
    rest_bound_j: float
    run_j: Floats
    run_bound_j: Floats
    run_unshared_j: Floats


@dataclass(frozen=True)
class JudgedPrograms:
    """The different programs, and which completions are made of each.

    Attributes:
        position: number of a program in the record -> its position here.
        start_s, end_s: shape (programs,).
        repeats: the repeats, ascending.
        counts: completions by repeat and program, shape (runs, programs).
    """

    position: Mapping[int, int]
    start_s: Floats
    end_s: Floats
    repeats: Sequence[int]
    counts: Floats = field(repr=False)

    @classmethod
    def read(
        cls,
        completions: Sequence[JudgedCompletion],
        start_s: float,
        end_s: float,
        timeline_path: str | os.PathLike[str],
    ) -> "JudgedPrograms":
        """The programs of all completions; a program without times counts as not run."""
        times: dict[int, tuple[float, float]] = {}
        for row in completions:
            began_s = start_s if row["start_s"] is None else row["start_s"]
            ended_s = began_s if row["end_s"] is None else row["end_s"]
            if not start_s <= began_s <= ended_s <= end_s:
                raise CodewattError(
                    f"{timeline_path}: program {row['program']} ran from {began_s:.3f} to "
                    f"{ended_s:.3f} s, outside the window of judging from {start_s:.3f} to "
                    f"{end_s:.3f} s; evaluate the cell again"
                )
            times[row["program"]] = began_s, ended_s
        position = {program: i for i, program in enumerate(times)}
        repeats = sorted({row["repeat"] for row in completions})
        row_of = {repeat: r for r, repeat in enumerate(repeats)}
        counts = np.zeros((len(repeats), len(times)))
        for row in completions:
            counts[row_of[row["repeat"]], position[row["program"]]] += 1
        edges = np.array(list(times.values()), dtype=np.float64).reshape(-1, 2)
        return cls(position, edges[:, 0], edges[:, 1], repeats, counts)

    def bill(self, source: Source, start_s: float, end_s: float) -> ComponentBill:
        """The energy of one component, of all its devices."""
        bills = [self._bill(series, start_s, end_s) for series in source.series.values()]
        return ComponentBill(
            program_j=np.sum([one.program_j for one in bills], axis=0),
            program_bound_j=np.sum([one.program_bound_j for one in bills], axis=0),
            rest_j=math.fsum(one.rest_j for one in bills),
            rest_bound_j=math.fsum(one.rest_bound_j for one in bills),
            run_j=np.sum([one.run_j for one in bills], axis=0),
            run_bound_j=np.sum([one.run_bound_j for one in bills], axis=0),
            run_unshared_j=np.sum([one.run_unshared_j for one in bills], axis=0),
        )

    def _bill(self, series: Series, start_s: float, end_s: float) -> ComponentBill:
        if not self.position:
            none = np.zeros(0)
            return ComponentBill(none, none, 0.0, 0.0, none, none, none)
        program_j, program_bound_j = shared_joules(series, self.start_s, self.end_s)
        times = np.unique(np.concatenate([self.start_s, self.end_s, [start_s, end_s]]))
        slices_j, bound_j = np.diff(series.joules_at(times)), series.bound_at(times)
        shared_by = self.counts.sum(axis=0)  # completions of each program
        running = self._running(times, np.ones((1, len(shared_by))))[0]
        rest = (running < 0.5).astype(np.float64)
        # A run's part of the power in each slice.
        run_share = self._running(times, self.counts / shared_by) / np.maximum(running, 1.0)
        run_rest = self.counts.sum(axis=1, keepdims=True) / self.counts.sum()
        run_share = np.where(rest > 0, run_rest, run_share)
        rest_j = float(rest @ slices_j)
        return ComponentBill(
            program_j=program_j,
            program_bound_j=program_bound_j,
            rest_j=rest_j,
            rest_bound_j=float(_steps(rest[None, :])[0] @ bound_j),
            run_j=run_share @ slices_j,
            run_bound_j=_steps(run_share) @ bound_j,
            run_unshared_j=self.counts @ program_j + run_rest[:, 0] * rest_j,
        )

    def _running(self, times: Floats, weights: Floats) -> Floats:
        """Sum of the weights of the programs that run in each slice between two times.

        Args:
            times: shape (t,). weights: shape (n, programs).

        Returns:
            Shape (n, t - 1).
        """
        changes = np.zeros((len(weights), len(times)))
        for row, weight in zip(changes, weights, strict=True):
            np.add.at(row, np.searchsorted(times, self.start_s), weight)
            np.add.at(row, np.searchsorted(times, self.end_s), -weight)
        return np.cumsum(changes, axis=1)[:, :-1]


def _steps(shares: Floats) -> Floats:
    """How much the share of each slice changes at each time: shape (n, t) from (n, t - 1)."""
    return np.abs(np.diff(np.pad(shares, ((0, 0), (1, 1))), axis=1))


def _run(
    meter: JobMeter, bills: Mapping[str, ComponentBill], repeat: int, r: int
) -> JudgedRunEnergy:
    """The energy of judging one run; `r` is its position in the bills."""
    add = meter.boundaries.add
    return {
        "repeat": repeat,
        "energy_j": add({name: float(bill.run_j[r]) for name, bill in bills.items()}),
        "uncertainty_j": add({name: float(bill.run_bound_j[r]) for name, bill in bills.items()}),
        "unshared_energy_j": add(
            {name: float(bill.run_unshared_j[r]) for name, bill in bills.items()}
        ),
    }


def _shares(
    meter: JobMeter,
    programs: JudgedPrograms,
    bills: Mapping[str, ComponentBill],
    completions: Sequence[JudgedCompletion],
    note: str | None,
) -> dict[Key, JudgingShare]:
    """The energy of judging each completion."""
    shared_by = Counter(row["program"] for row in completions)
    found: dict[Key, JudgingShare] = {}
    for row in completions:
        p, shared = programs.position[row["program"]], shared_by[row["program"]]
        each = len(completions)
        joules = meter.boundaries.add(
            {n: float(b.program_j[p]) / shared + b.rest_j / each for n, b in bills.items()}
        )
        bounds = meter.boundaries.add(
            {
                n: float(b.program_bound_j[p]) / shared + b.rest_bound_j / each
                for n, b in bills.items()
            }
        )
        found[row["repeat"], row["sample"], row["task_id"]] = {
            "evaluate_cpu_j": joules["cpu"],
            "evaluate_cpu_uncertainty_j": bounds["cpu"],
            "evaluate_dram_j": joules["dram"],
            "evaluate_dram_uncertainty_j": bounds["dram"],
            "evaluate_node_j": joules["node"],
            "evaluate_node_uncertainty_j": bounds["node"],
            "evaluate_job_j": joules["job"],
            "evaluate_job_uncertainty_j": bounds["job"],
            "evaluate_completions": shared,
            "evaluate_note": note,
        }
    return found
