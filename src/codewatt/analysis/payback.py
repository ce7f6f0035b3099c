"""After how many tasks a variant has saved the energy that making it cost."""

from collections.abc import Mapping, Sequence

from codewatt.analysis.frontier import inside
from codewatt.analysis.records import Json, VariantRecord
from codewatt.analysis.stats import Interval

#: What `payback_note` says beside figures, or in place of them.
NOTHING_MADE = "nothing was made"
SAVES_NOTHING = "saves no energy per task"
MAY_SAVE_NOTHING = "the energy intervals overlap: it may save nothing"
NO_INTERVAL = "no interval: a single run"


def pay_back(rows: Sequence[Json], variants: Mapping[str, VariantRecord]) -> None:
    """Add to each cell's row, in place, after how many tasks its variant has paid itself back.

    payback_tasks = joules of making / (joules per task of the baseline - of this cell), all inside
    the cell's boundary: of completions like these, at this setting. Making is all that pruning and
    quantising took, and the scoring of the layers that it was cut by (whole, though other variants
    were cut by the same), once, with idle power, whatever the baseline's own making took.

    `payback_tasks_low` and `_high` take the ends of the two 95 % intervals that are farthest
    apart, and nearest: an interval that is too wide rather than too narrow. Where the nearest ends
    save nothing there is no high end, and the note says so. Making is measured once and has no
    interval.

    Nothing is said of baselines and of cells that are infeasible. `payback_note` says why there is
    no figure; the two energies per task are compared where `compare_cells` compares them, and the
    making's must have come about like the cell's: a part of it measured in one and modelled in
    the other withholds the figure, and so does a making whose figure is not to be trusted
    (`quantise_energy_note`).

    Args:
        rows: rows of the cell table with their `baseline_cell_id` and `change_note`.
        variants: id → record; those that are not there have no figure.
    """
    by_id = {row["cell_id"]: row for row in rows}
    for row in rows:
        base = by_id.get(row["baseline_cell_id"])
        if row["status"] == "ok" and base is not row:
            row |= _columns(row, base, variants.get(row["variant_id"]))


def _columns(row: Json, base: Json | None, variant: VariantRecord | None) -> Json:
    if variant is not None and not variant.manifest.get("windows"):
        return {"payback_note": NOTHING_MADE}
    if base is None or row["change_note"] is not None:
        return {"payback_note": row["change_note"]}
    made_j, note = _making(row, variant)
    saved_j = _saved(row["j_per_task_mean"], base["j_per_task_mean"])
    if made_j is None or saved_j is None:
        return {"payback_note": note or "no energy per task"}
    if saved_j <= 0:
        return {"payback_note": SAVES_NOTHING}
    return {"payback_tasks": made_j / saved_j, **_ends(made_j, _interval(row), _interval(base))}


def _making(row: Json, variant: VariantRecord | None) -> tuple[float | None, str | None]:
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
        for part in inside(row):
            ways = cost["energy_status"][part], row[f"{part}_energy_status"]
            if set(ways) == {"measured", "modelled"}:
                how = f"{part} {ways[0]} in {what}, {ways[1]} here"
                return None, f"energies came about differently: {how}"
        made_j += cost["energy_j"][boundary]
    return made_j, None


def _ends(made_j: float, ours: Interval | None, base: Interval | None) -> Json:
    """The fewest and the most tasks that the two intervals of joules per task allow."""
    if ours is None or base is None:
        return {"payback_note": NO_INTERVAL}
    most_j, least_j = base[1] - ours[0], base[0] - ours[1]
    if least_j <= 0:
        return {"payback_tasks_low": made_j / most_j, "payback_note": MAY_SAVE_NOTHING}
    return {"payback_tasks_low": made_j / most_j, "payback_tasks_high": made_j / least_j}


def _saved(ours_j: float | None, base_j: float | None) -> float | None:
    return None if ours_j is None or base_j is None else base_j - ours_j


def _interval(row: Json) -> Interval | None:
    low, high = row["j_per_task_ci95_low"], row["j_per_task_ci95_high"]
    return None if low is None or high is None else (low, high)
