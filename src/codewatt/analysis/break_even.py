"""Break-even: after how many tasks a variant has saved the energy that making it took."""

from collections.abc import Mapping, Sequence

from codewatt.analysis.cell_results import VariantResults
from codewatt.analysis.columns import Row
from codewatt.analysis.efficient_frontier import boundary_components
from codewatt.analysis.log_scale_statistics import Difference
from codewatt.analysis.session_effects import compare_sessions
from codewatt.analysis.session_replicates import values_by_session

#: Values of `break_even_note`.
NOTHING_MADE = "nothing was made"
SAVES_NOTHING = "saves no energy per task"
MAY_SAVE_NOTHING = "the interval of the saving contains zero: it may save nothing"
NO_INTERVAL = "no interval: fewer than two repeats"


def add_break_even(
    rows: Sequence[Row],
    runs: Mapping[str, Sequence[Row]],
    variants: Mapping[str, VariantResults],
) -> None:
    """Add to each cell's row, in place, the number of tasks at which its variant breaks even.

    break_even_tasks = energy of making the variant (J) / (J per task of the baseline - J per task
    of this cell), all inside the cell's boundary; it holds for completions and settings like
    these. Making is pruning and quantising the variant, and scoring the layers that it was pruned
    by (whole, even if other variants were pruned by the same scores), once, with idle power. The
    energy of making the baseline is not subtracted.

    `break_even_tasks_low` and `_high` come from the 95 % confidence interval of the saving, the
    difference of the two means (Welch's within one session, Student's over the differences within
    several sessions; wider by `board_spread` of the larger mean where the boards differ). If that
    interval holds zero there is no high end, and the note says so. Making is measured once and has
    no interval.

    Baselines and infeasible cells have no break-even. `break_even_note` says why there is no
    figure. Energies per task are compared where `compare_metrics` compares them. A component that
    is measured in the cell and modelled in the making, or the reverse, withholds the figure; so
    does a making whose energy cannot be trusted (`quantise_energy_note`).

    Args:
        rows: rows of the cell table after `changes.compare_metrics`.
        runs: cell id → its rows of the run table.
        variants: id → record; a cell whose variant is absent has no figure.
    """
    by_id = {row["cell_id"]: row for row in rows}
    for row in rows:
        base = by_id.get(row["baseline_cell_id"])
        if row["status"] == "ok" and base is not row:
            row |= _columns(row, base, runs, variants.get(row["variant_id"]))


def _columns(
    row: Row,
    base: Row | None,
    runs: Mapping[str, Sequence[Row]],
    variant: VariantResults | None,
) -> Row:
    if variant is not None and not variant.manifest["windows"]:
        return {"break_even_note": NOTHING_MADE}
    if base is None or row["change_note"] is not None:
        return {"break_even_note": row["change_note"]}
    made_j, note = _making(row, variant)
    ours, theirs = (values_by_session(runs[cell["cell_id"]], "j_per_task") for cell in (row, base))
    larger = max((cell["j_per_task_mean"] or 0.0) for cell in (row, base))
    saving = compare_sessions(ours, theirs, row["board_spread"] * larger)
    if made_j is None or saving is None:
        return {"break_even_note": note or "no energy per task"}
    if saving.value <= 0:
        return {"break_even_note": SAVES_NOTHING}
    return {"break_even_tasks": made_j / saving.value, **_ends(made_j, saving.difference)}


def _making(row: Row, variant: VariantResults | None) -> tuple[float | None, str | None]:
    """Energy (J) of making the variant inside the cell's boundary, or why it is not known."""
    if variant is None:
        return None, "the manifest of the variant is missing"
    boundary, made_j = row["energy_boundary"], 0.0
    for what, stage in (
        ("quantising", variant.making["quantise"]),
        ("scoring layers", variant.making["score_layers"]),
    ):
        if stage is None:
            continue
        if stage["energy_note"] is not None:
            return None, f"{what}: {stage['energy_note']}"
        stage_j = stage["energy_j"][boundary]
        if stage_j is None:
            return None, f"{what}: no energy within boundary {boundary}"
        for part in boundary_components(row):
            ways = stage["energy_status"][part], row[f"{part}_energy_status"]
            if set(ways) == {"measured", "modelled"}:
                how = f"{part} is {ways[0]} in {what} and {ways[1]} in the cell"
                return None, f"energies of different origin: {how}"
        made_j += stage_j
    return made_j, None


def _ends(made_j: float, saving: Difference | None) -> Row:
    """Break-even tasks at both ends of the confidence interval of the saving (J per task)."""
    if saving is None:
        return {"break_even_note": NO_INTERVAL}
    least_j, most_j = saving.interval()
    if least_j <= 0:
        return {"break_even_tasks_low": made_j / most_j, "break_even_note": MAY_SAVE_NOTHING}
    return {"break_even_tasks_low": made_j / most_j, "break_even_tasks_high": made_j / least_j}
