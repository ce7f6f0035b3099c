"""Changes of each cell's energy, times and rates against its baseline, with tests and intervals.

docs, "How the statistics are done", defines them. `paired_tasks` compares accuracy, and
`pooled_ratios` compares ratios of energy and accuracy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codewatt.analysis.columns import BOTH, CLAIMED, POSITIVE, SIGNED, Row
from codewatt.analysis.confounding import CONFOUNDED
from codewatt.analysis.efficient_frontier import SETTING, energy_basis
from codewatt.analysis.judging_columns import same_judging
from codewatt.analysis.log_scale_statistics import Difference, finite, holm, logarithms, welch
from codewatt.analysis.proportions import CONFIDENCE, Interval

#: A metric whose name contains one of these is an energy or is derived from one.
_ENERGY_MARKS = ("_j", "j_per_", "_per_kwh", "co2e")


@dataclass(frozen=True)
class ComparisonSettings:
    """Settings of comparisons with the baseline: the study's `comparisons`.

    Attributes:
        pass_at_1_margin: non-inferiority margin of pass@1, a fraction of the tasks.
        board_spread: largest relative difference in energy and time between two GPUs of one
            model.
    """

    pass_at_1_margin: float = 0.02
    board_spread: float = 0.05


def find_baselines(rows: Sequence[Row], baseline: Row) -> None:
    """Add each cell's baseline and whether both ran on the same host and GPUs, in place.

    The baseline of a cell is the cell of the same model and setting
    (efficient_frontier.SETTING) with the baseline's precision and prune.

    Args:
        rows: rows of the cell table.
        baseline: {"precision", "prune"} of the study's baseline.
    """
    baselines = {
        _comparison_key(row): row
        for row in rows
        if (row["precision"], row["prune"]) == (baseline["precision"], baseline["prune"])
    }
    for row in rows:
        base = baselines.get(_comparison_key(row))
        row["baseline_cell_id"] = None if base is None else base["cell_id"]
        row["change_note"] = _change_note(row, base)
        if base is not None and row["status"] == base["status"] == "ok":
            row["same_host_and_gpus"] = same_host_and_gpus(row, base)


def compare_metrics(
    rows: Sequence[Row], runs: Mapping[str, Sequence[Row]], settings: ComparisonSettings
) -> None:
    """Add the changes of each cell's metrics against its baseline, in place.

    The change of a positive metric is the ratio of geometric means - 1; a net energy has a
    difference of means. Energies of different origin (energy_basis) are not compared. No metric
    is compared where one of the two cells failed a validity check, where they ran on different
    models of GPU or CPU, or where variant and board are confounded (`confounded_cells`).
    `change_note` gives the reason. Energy with judging is compared only where both were judged
    alike (`judging_columns.same_judging`).

    Args:
        rows: rows of the cell table, after `find_baselines`.
        runs: cell id → its rows of the run table.
        settings: the study's `comparisons`.
    """
    by_id = {row["cell_id"]: row for row in rows}
    tested: dict[str, list[tuple[Row, Difference]]] = {metric: [] for metric in CLAIMED}
    for row in rows:
        base = by_id.get(row["baseline_cell_id"])
        if base is None or not _both_valid(row, base) or _hardware(row) != _hardware(base):
            continue
        if row["change_note"] == CONFOUNDED:
            continue
        same_basis = energy_basis(row) == energy_basis(base)
        allowance = board_allowance(row, settings)
        for metric in (*POSITIVE, *SIGNED):
            if not same_basis and is_energy(metric):
                continue
            if metric.startswith(BOTH) and not same_judging(row, base):
                continue
            pair = [
                finite(run.get(metric) for run in runs[cell["cell_id"]]) for cell in (base, row)
            ]
            if metric in SIGNED:
                row |= _net_difference(metric, pair[0], pair[1], row, base)
                continue
            row[f"{metric}_change"], difference = _relative_change(pair[0], pair[1], allowance)
            if difference is None or row is base:
                continue  # a cell compared with itself has no interval
            set_interval(row, f"{metric}_change_ci95", _to_change(difference.interval()))
            if metric in CLAIMED:
                tested[metric].append((row, difference))
    for metric, pairs in tested.items():
        _add_adjusted_tests(metric, pairs)


def board_allowance(row: Row, settings: ComparisonSettings) -> float:
    """Allowance (in ln) for a difference between GPUs; also sets the row's `board_spread`."""
    spread = 0.0 if row["same_host_and_gpus"] else settings.board_spread
    row["board_spread"] = spread
    return math.log1p(spread)


def is_energy(metric: str) -> bool:
    """Whether a metric is an energy or is derived from one."""
    return any(mark in metric for mark in _ENERGY_MARKS)


def set_interval(row: Row, name: str, interval: Interval | None) -> None:
    """Set an interval's columns `<name>_low` and `<name>_high`; nothing without an interval."""
    if interval is not None:
        row[f"{name}_low"], row[f"{name}_high"] = interval


def energy_difference(
    row: Row,
    base: Row,
    runs: Mapping[str, Sequence[Row]],
    settings: ComparisonSettings,
    energy: str = "energy_j",
) -> Difference | None:
    """Difference ln(energy) - ln(baseline's energy); None where they cannot be compared.

    Args:
        energy: the column of the run table.
    """
    if row["change_note"] is not None or row["status"] != "ok":
        return None
    sides = [
        logarithms(finite(run[energy] for run in runs[cell["cell_id"]])) for cell in (base, row)
    ]
    if sides[0] is None or sides[1] is None:
        return None
    return welch(sides[0], sides[1], board_allowance(row, settings))


def _comparison_key(row: Row) -> tuple[object, ...]:
    return (row["model"], *(row[axis] for axis in SETTING))


def same_host_and_gpus(row: Row, other: Row) -> bool:
    """Whether two cells are known to have run on the same host and the same GPUs (by UUID)."""
    ran_on = [(cell["host"], cell["gpu_uuids"]) for cell in (row, other)]
    return ran_on[0] == ran_on[1] and row["host"] is not None


def _hardware(row: Row) -> tuple[object, object]:
    """The models of GPU and CPU; cells on different models are not compared."""
    return row["gpu_names"], row["cpu_name"]


def _both_valid(row: Row, base: Row) -> bool:
    return bool(
        row["status"] == base["status"] == "ok" and row["valid"] is True and base["valid"] is True
    )


def _change_note(row: Row, base: Row | None) -> str | None:
    """Reason why changes of energy, or of all metrics, are withheld; None if none are."""
    if base is None:
        return "no baseline cell in the study"
    if base["status"] != "ok":
        return f"baseline cell is {base['status']}"
    if row["status"] != "ok":
        return None
    if not base["valid"]:
        return "baseline cell failed a validity check"
    if not row["valid"]:
        return "this cell failed a validity check"
    if _hardware(row) != _hardware(base):
        pair = [", ".join(str(p) for p in _hardware(r) if p) for r in (row, base)]
        return f"measured on different hardware: {pair[0]}; baseline: {pair[1]}"
    if energy_basis(row) != energy_basis(base):
        pair = [", ".join(energy_basis(r)) for r in (row, base)]
        return f"energy of different origin: {pair[0]}; baseline: {pair[1]}"
    return None


def _relative_change(
    base: Sequence[float], ours: Sequence[float], allowance: float
) -> tuple[float | None, Difference | None]:
    """Relative change of geometric means; with two repeats each, also the difference of logs."""
    sides = logarithms(base), logarithms(ours)
    if sides[0] is None or sides[1] is None:
        return None, None
    point = math.fsum(sides[1]) / len(sides[1]) - math.fsum(sides[0]) / len(sides[0])
    return math.expm1(point), welch(sides[0], sides[1], allowance)


def _to_change(interval: Interval) -> Interval:
    return math.expm1(interval[0]), math.expm1(interval[1])


def _net_difference(
    metric: str, base: Sequence[float], ours: Sequence[float], row: Row, base_row: Row
) -> Row:
    """The difference of a net energy and its interval.

    The interval is widened by both bounds on the meters' error and by `board_spread` times the
    larger mean energy before idle power is subtracted, because GPUs of one model differ in the
    energy that they draw. A cell compared with itself has no interval.
    """
    if not base or not ours:
        return {}
    point = math.fsum(ours) / len(ours) - math.fsum(base) / len(base)
    found: Row = {f"{metric}_difference": point}
    name = f"{metric.removesuffix('_j')}_uncertainty_j_mean"
    bounds = row.get(name), base_row.get(name)
    apart = welch(base, ours)
    if apart is None or row is base_row:
        return found
    if bounds[0] is not None and bounds[1] is not None:
        low, high = apart.interval()
        total = f"{metric.removeprefix('net_')}_mean"
        bound = bounds[0] + bounds[1] + row["board_spread"] * max(row[total], base_row[total])
        set_interval(found, f"{metric}_difference_ci95", (low - bound, high + bound))
    return found


def _add_adjusted_tests(metric: str, pairs: Sequence[tuple[Row, Difference]]) -> None:
    """Add p values (also Holm-adjusted) and simultaneous intervals of one metric, in place.

    The simultaneous intervals are Bonferroni's: level 1 - 0.05/m for m comparisons.
    """
    ps = [difference.p for _, difference in pairs]
    level = 1 - (1 - CONFIDENCE) / max(len(pairs), 1)
    for (row, difference), p, adjusted in zip(pairs, ps, holm(ps), strict=True):
        row[f"{metric}_change_p"] = p
        row[f"{metric}_change_p_holm"] = adjusted
        row[f"{metric}_comparisons"] = len(pairs)
        set_interval(row, f"{metric}_change_simultaneous95", _to_change(difference.interval(level)))
