"""Columns on the energy of judging, and of generating and judging together.

The energy of judging is computed by codewatt.energy.judging_energy; here it is only added to the
energy of generating, part by part. Judging uses no GPU.
"""

from collections.abc import Mapping, Sequence

from codewatt.analysis.cell_results import Measurements
from codewatt.analysis.columns import JUDGED_FIGURES, JUDGING, Row
from codewatt.analysis.log_scale_statistics import summarise
from codewatt.energy.boundaries import PARTS
from codewatt.energy.energy_record import RunRecord
from codewatt.energy.job_energy_record import Joules
from codewatt.energy.meters.meter import Status
from codewatt.energy.task_energy import (
    JUDGED_PARTS,
    NOT_JUDGED,
    TaskEnergy,
    joules_of,
    judging_joules_of,
    judging_uncertainty_of,
    uncertainty_of,
)
from codewatt.evaluate.evaluate_record import VerdictRecord

_NOT_METERED = NOT_JUDGED["evaluate_note"]
_WORST_FIRST: tuple[Status, ...] = ("unavailable", "modelled", "measured")


def task_columns(row: TaskEnergy | None, verdict: VerdictRecord, boundary: str) -> Row:
    """The judging of one completion: time, energy, and energy together with generating it.

    Args:
        row: its energy; None if that was not given.
        verdict: the verdict on it.
        boundary: the part that the study chose.
    """
    start_s, end_s = verdict["start_s"], verdict["end_s"]
    found: Row = {
        "evaluate_s": None if start_s is None or end_s is None else end_s - start_s,
        "evaluate_cpu_s": verdict["cpu_s"],
    }
    if row is None:
        return found
    return {
        **found,
        "evaluate_completions": row["evaluate_completions"],
        "evaluate_note": row["evaluate_note"],
        **_energies(
            (joules_of(row), uncertainty_of(row)),
            (judging_joules_of(row), judging_uncertainty_of(row)),
            boundary,
        ),
    } | {
        f"evaluate_{name}_uncertainty_j": value
        for name, value in _figures(judging_uncertainty_of(row), boundary).items()
    }


def run_columns(measured: Measurements, run: RunRecord) -> Row:
    """The energy of judging the completions of one repeat, and of generating and judging them."""
    evaluated, boundary = measured.energy["evaluate"], measured.energy["boundary"]
    runs = [] if evaluated is None else evaluated["runs"]
    judged = next((one for one in runs if one["repeat"] == run["repeat"]), None)
    energy_j: Joules = {} if judged is None else judged["energy_j"]
    bound_j: Joules = {} if judged is None else judged["uncertainty_j"]
    return {
        **_energies((run["energy_j"], run["uncertainty_j"]), (energy_j, bound_j), boundary),
        "evaluate_energy_uncertainty_j": bound_j.get(boundary),
        "evaluate_unshared_energy_j": None
        if judged is None
        else judged["unshared_energy_j"].get(boundary),
        "evaluate_note": _note(measured),
    }


def session_columns(measured: Measurements) -> Row:
    """Where a cell was judged in one session, and the origin of its energies of judging."""
    energy, made = measured.energy, measured.evaluate["provenance"]
    evaluated, boundary = energy["evaluate"], energy["boundary"]
    return {
        "evaluate_host": made["host"],
        "evaluate_cpu_name": made["cpu"],
        "evaluate_note": _note(measured),
        "evaluate_energy_uncertainty_j": None
        if evaluated is None
        else evaluated["uncertainty_j"].get(boundary),
        "generate_evaluate_energy_status": _status(measured),
    }


def mean_columns(runs: Sequence[Row]) -> Row:
    """The means of a cell's energies of judging over its runs.

    They have no interval: a session is judged once, so its runs are not independent measurements
    of judging.
    """
    return {f"{name}_mean": summarise(run.get(name) for run in runs).mean for name in JUDGING}


def same_judging(row: Row, other: Row) -> bool:
    """Whether the energies of judging of two cells can be compared.

    They can if both have the same status (measured or modelled) and were judged on the same model
    of CPU. With boundary "gpu" judging has no energy, so nothing prevents the comparison.
    """
    if row["energy_boundary"] == other["energy_boundary"] == "gpu":
        return True
    keys = (
        "evaluate_cpu_name",
        *(f"evaluate_{part}_energy_status" for part in ("cpu", "dram")),
    )
    return all(row.get(key) == other.get(key) for key in keys)


def _energies(
    generated: tuple[Joules, Joules], judged: tuple[Joules, Joules], boundary: str
) -> Row:
    """Energy of judging, and the sum with generating, from pairs of (joules, bounds) by part."""
    both_j, both_bound_j = (
        {part: _sum(part, one, other) for part in PARTS}
        for one, other in zip(generated, judged, strict=True)
    )
    return {
        **{f"evaluate_{name}_j": joules for name, joules in _figures(judged[0], boundary).items()},
        **{
            f"generate_evaluate_{name}_j": joules
            for name, joules in _figures(both_j, boundary).items()
        },
        "generate_evaluate_energy_uncertainty_j": both_bound_j[boundary],
    }


def _sum(part: str, generated: Joules, judged: Joules) -> float | None:
    """Generating and judging; None if one has no figure. Judging adds nothing to the GPU."""
    one, other = generated.get(part), 0.0 if part == "gpu" else judged.get(part)
    return None if one is None or other is None else one + other


def _figures(joules: Mapping[str, float | None], boundary: str) -> Row:
    """JUDGED_FIGURES -> joules."""
    known = {part: joules.get(part) for part in JUDGED_PARTS}
    return {
        name: joules.get(boundary) if name == "energy" else known[name] for name in JUDGED_FIGURES
    }


def _note(measured: Measurements) -> str | None:
    """Why runs have no energy of judging, and whether it was spent on another machine."""
    evaluated = measured.energy["evaluate"]
    judged_on = measured.evaluate["provenance"]["host"]
    generated_on = measured.generate["provenance"]["host"]
    notes = [_NOT_METERED if evaluated is None else evaluated["note"]]
    if evaluated is not None and judged_on != generated_on:
        notes.append(
            f"judged on {judged_on}, generated on {generated_on}: generate_evaluate columns are "
            "sums over two machines"
        )
    return "; ".join(note for note in notes if note) or None


def _status(measured: Measurements) -> str | None:
    """The less reliable status of generating and judging, for the study's boundary."""
    energy = measured.energy
    boundary, evaluated = energy["boundary"], energy["evaluate"]
    known = energy["components"].get(boundary)
    found: list[str | None] = [None if known is None else known["status"]]
    if boundary != "gpu":
        found.append("unavailable" if evaluated is None else evaluated["status"].get(boundary))
    return next((status for status in _WORST_FIRST if status in found), None)
