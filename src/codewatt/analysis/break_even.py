"""After how many tasks a variant has saved the energy that making it cost."""

from collections.abc import Mapping, Sequence

from codewatt.analysis.cell_results import Json, VariantResults
from codewatt.analysis.efficient_frontier import boundary_components
from codewatt.analysis.log_scale_statistics import Difference, finite, welch

#: What `break_even_note` says beside figures, or in place of them.
NOTHING_MADE = "nothing was made"
SAVES_NOTHING = "saves no energy per task"
MAY_SAVE_NOTHING = "the interval of the saving holds zero: it may save nothing"
NO_INTERVAL = "no interval: fewer than two repeats"


def pay_back(
    rows: Sequence[Json],
    runs: Mapping[str, Sequence[Json]],
    variants: Mapping[str, VariantResults],
) -> None:
    """Add to each cell's row, in place, after how many tasks its variant has paid itself back.

    break_even_tasks = joules of making / (joules per task of the baseline - of this cell), all
    inside
    the cell's boundary: of completions like these, at this setting. Making is all that pruning and
    quantising took, and the scoring of the layers that it was cut by (whole, though other variants
    were cut by the same), once, with idle power, whatever the baseline's own making took.

    `break_even_tasks_low` and `_high` come from the 95 % interval of the saving, the difference of
    the
    two means (Welch's, wider by `board_spread` of the larger mean where the boards differ). Where
    it holds zero there is no high end, and the note says so. Making is measured once and has no
    interval.

    Nothing is said of baselines and of cells that are infeasible. `break_even_note` says why there
    is
    no figure; the two energies per task are compared where `compare_metrics` compares them, and the
    making's must have come about like the cell's: a part of it measured in one and modelled in
    the other withholds the figure, and so does a making whose figure is not to be trusted
    (`quantise_energy_note`).

    Args:
        rows: rows of the cell table after `changes.compare_metrics`.
        runs: cell id → its rows of the run table.
        variants: id → record; those that are not there have no figure.
    """
    by_id = {row["cell_id"]: row for row in rows}
    for row in rows:
        base = by_id.get(row["baseline_cell_id"])
        if row["status"] == "ok" and base is not row:
            row |= _columns(row, base, runs, variants.get(row["variant_id"]))


def _columns(
    row: Json,
    base: Json | None,
    runs: Mapping[str, Sequence[Json]],
    variant: VariantResults | None,
) -> Json:
    if variant is not None and not variant.manifest["windows"]:
        return {"break_even_note": NOTHING_MADE}
    if base is None or row["change_note"] is not None:
        return {"break_even_note": row["change_note"]}
    made_j, note = _making(row, variant)
    ours, theirs = row["j_per_task_mean"], base["j_per_task_mean"]
    if made_j is None or ours is None or theirs is None:
        return {"break_even_note": note or "no energy per task"}
    if theirs <= ours:
        return {"break_even_note": SAVES_NOTHING}
    own, reference = (
        finite(run["j_per_task"] for run in runs[cell["cell_id"]]) for cell in (row, base)
    )
    saving = welch(own, reference, row["board_spread"] * max(ours, theirs))
    return {"break_even_tasks": made_j / (theirs - ours), **_ends(made_j, saving)}


def _making(row: Json, variant: VariantResults | None) -> tuple[float | None, str | None]:
    """Joules of the variant's making inside the cell's boundary, or why there are none."""
    if variant is None:
        return None, "the variant's manifest was not given"
    boundary, made_j = row["energy_boundary"], 0.0
    for what, cost in (("its making", variant.cost), ("its layers' scores", variant.scores_cost)):
        if cost is None:
            continue
        if cost["energy_note"] is not None:
            return None, f"{what}: {cost['energy_note']}"
        if cost["energy_j"][boundary] is None:
            return None, f"{what}: no energy inside the boundary {boundary}"
        for part in boundary_components(row):
            ways = cost["energy_status"][part], row[f"{part}_energy_status"]
            if set(ways) == {"measured", "modelled"}:
                how = f"{part} {ways[0]} in {what}, {ways[1]} here"
                return None, f"energies came about differently: {how}"
        made_j += cost["energy_j"][boundary]
    return made_j, None


def _ends(made_j: float, saving: Difference | None) -> Json:
    """The fewest and the most tasks that the interval of the saving (J per task) allows."""
    if saving is None:
        return {"break_even_note": NO_INTERVAL}
    least_j, most_j = saving.interval()
    if least_j <= 0:
        return {"break_even_tasks_low": made_j / most_j, "break_even_note": MAY_SAVE_NOTHING}
    return {"break_even_tasks_low": made_j / most_j, "break_even_tasks_high": made_j / least_j}
