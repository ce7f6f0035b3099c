"""Each cell's energy, time and rates against its baseline's: changes, intervals and p values.

docs/statistics.md defines them. Accuracy is compared in `paired`, ratios of energy and accuracy
in `pooled_ratios`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codewatt.analysis.cell_results import Json
from codewatt.analysis.columns import CLAIMED, POSITIVE, SIGNED
from codewatt.analysis.efficient_frontier import SETTING, energy_basis
from codewatt.analysis.log_scale_statistics import Difference, finite, holm, logarithms, welch
from codewatt.analysis.proportions import CONFIDENCE, Interval

#: Written into every row: what the repeats behind its intervals are.
WITHIN_ONE_JOB = "within one job"

#: Marks in the name of a metric that is an energy, or follows from one.
_ENERGY_MARKS = ("_j", "j_per_", "_per_kwh", "co2e")


@dataclass(frozen=True)
class ComparisonSettings:
    """What comparisons with the baseline allow for and ask for; the study's `comparisons`.

    Attributes:
        pass_at_1_margin: the largest acceptable loss in pass@1, a fraction of the tasks.
        board_spread: the largest difference between two boards of one model, as a fraction.
    """

    pass_at_1_margin: float = 0.02
    board_spread: float = 0.05


def find_baselines(rows: Sequence[Json], baseline: Json) -> None:
    """Add to each cell's row, in place, its baseline and whether both ran on the same boards.

    The baseline of a cell is the cell of the same model and setting (frontier.SETTING) whose
    variant is the study's baseline {"precision", "prune"}.
    """
    baselines = {
        _ground(row): row
        for row in rows
        if (row["precision"], row["prune"]) == (baseline["precision"], baseline["prune"])
    }
    for row in rows:
        base = baselines.get(_ground(row))
        row["baseline_cell_id"] = None if base is None else base["cell_id"]
        row["change_note"] = _why_not(row, base)
        if base is not None and row["status"] == base["status"] == "ok":
            row["same_host_and_gpus"] = same_host_and_gpus(row, base)


def compare_metrics(
    rows: Sequence[Json], runs: Mapping[str, Sequence[Json]], settings: ComparisonSettings
) -> None:
    """Add to each cell's row, in place, the changes of its metrics against its baseline.

    Changes of positive metrics are ratios of geometric means, less 1; net energies have
    differences. Energy is not compared, and `change_note` says so, where the two figures came
    about in different ways. Nothing that was timed or metered is compared where one of the two
    cells failed a validity check, or where they ran on other models of GPU or processor.

    Args:
        rows: rows of the cell table, after `find_baselines`.
        runs: cell id → its rows of the run table.
    """
    by_id = {row["cell_id"]: row for row in rows}
    found: dict[str, list[tuple[Json, Difference]]] = {metric: [] for metric in CLAIMED}
    for row in rows:
        base = by_id.get(row["baseline_cell_id"])
        if base is None or not _both_valid(row, base) or _hardware(row) != _hardware(base):
            continue
        same_way = energy_basis(row) == energy_basis(base)
        allowance = board_allowance(row, settings)
        for metric in (*POSITIVE, *SIGNED):
            if not same_way and is_energy(metric):
                continue
            pair = [
                finite(run.get(metric) for run in runs[cell["cell_id"]]) for cell in (base, row)
            ]
            if metric in SIGNED:
                row |= _difference(metric, pair[0], pair[1], row, base)
                continue
            row[f"{metric}_change"], difference = _change(pair[0], pair[1], allowance)
            if difference is None or row is base:
                continue  # a cell against itself has no error to tell of
            put_ends(row, f"{metric}_change_ci95", _as_change(difference.interval()))
            if metric in CLAIMED:
                found[metric].append((row, difference))
    for metric, pairs in found.items():
        _adjust(metric, pairs)


def board_allowance(row: Json, settings: ComparisonSettings) -> float:
    """How far apart (ln) two boards may be for this comparison; sets `board_spread` in the row."""
    spread = 0.0 if row["same_host_and_gpus"] else settings.board_spread
    row["board_spread"] = spread
    return math.log1p(spread)


def is_energy(metric: str) -> bool:
    """Whether a metric is an energy or follows from one."""
    return any(mark in metric for mark in _ENERGY_MARKS)


def put_ends(row: Json, name: str, interval: Interval | None) -> None:
    """Set an interval's two columns, where there is one."""
    if interval is not None:
        row[f"{name}_low"], row[f"{name}_high"] = interval


def energy_difference(
    row: Json, base: Json, runs: Mapping[str, Sequence[Json]], settings: ComparisonSettings
) -> Difference | None:
    """ln of this cell's energy less ln of its baseline's, where the two can be compared."""
    if row["change_note"] is not None or row["status"] != "ok":
        return None
    sides = [
        logarithms(finite(run["energy_j"] for run in runs[cell["cell_id"]])) for cell in (base, row)
    ]
    if sides[0] is None or sides[1] is None:
        return None
    return welch(sides[0], sides[1], board_allowance(row, settings))


def _ground(row: Json) -> tuple[object, ...]:
    return (row["model"], *(row[axis] for axis in SETTING))


def same_host_and_gpus(row: Json, other: Json) -> bool:
    """Whether two cells are known to have run on the same host and the same GPU boards."""
    ran_on = [(cell["host"], cell["gpu_uuids"]) for cell in (row, other)]
    return ran_on[0] == ran_on[1] and row["host"] is not None


def _hardware(row: Json) -> tuple[object, object]:
    """The models of GPU and processor: figures of different ones are not compared at all."""
    return row["gpu_names"], row["cpu_name"]


def _both_valid(row: Json, base: Json) -> bool:
    return bool(
        row["status"] == base["status"] == "ok" and row["valid"] is True and base["valid"] is True
    )


def _why_not(row: Json, base: Json | None) -> str | None:
    """Why changes of energy, or of all metrics, are withheld."""
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
        ways = " against ".join(", ".join(str(p) for p in _hardware(r) if p) for r in (row, base))
        return f"measured on other hardware: {ways}"
    if energy_basis(row) != energy_basis(base):
        ways = " against ".join(", ".join(energy_basis(r)) for r in (row, base))
        return f"energy came about differently: {ways}"
    return None


def _change(
    base: Sequence[float], ours: Sequence[float], allowance: float
) -> tuple[float | None, Difference | None]:
    """The relative change of geometric means and, with two repeats each, its difference of logs."""
    sides = logarithms(base), logarithms(ours)
    if sides[0] is None or sides[1] is None:
        return None, None
    point = math.fsum(sides[1]) / len(sides[1]) - math.fsum(sides[0]) / len(sides[0])
    return math.expm1(point), welch(sides[0], sides[1], allowance)


def _as_change(interval: Interval) -> Interval:
    return math.expm1(interval[0]), math.expm1(interval[1])


def _difference(
    metric: str, base: Sequence[float], ours: Sequence[float], row: Json, base_row: Json
) -> Json:
    """The difference of a net energy; its interval adds the meters' bounds and the boards' spread.

    Boards differ in the energy that they draw, so the spread is a share of the larger energy
    before idle power is taken off. A cell against itself has no interval.
    """
    if not base or not ours:
        return {}
    point = math.fsum(ours) / len(ours) - math.fsum(base) / len(base)
    found: Json = {f"{metric}_difference": point}
    name = f"{metric.removesuffix('_j')}_uncertainty_j_mean"
    bounds = row.get(name), base_row.get(name)
    apart = welch(base, ours)
    if apart is None or row is base_row:
        return found
    if bounds[0] is not None and bounds[1] is not None:
        low, high = apart.interval()
        total = f"{metric.removeprefix('net_')}_mean"
        bound = bounds[0] + bounds[1] + row["board_spread"] * max(row[total], base_row[total])
        put_ends(found, f"{metric}_difference_ci95", (low - bound, high + bound))
    return found


def _adjust(metric: str, pairs: Sequence[tuple[Json, Difference]]) -> None:
    """p values of one metric's changes, adjusted over all comparisons of the study."""
    ps = [difference.p for _, difference in pairs]
    level = 1 - (1 - CONFIDENCE) / max(len(pairs), 1)
    for (row, difference), p, adjusted in zip(pairs, ps, holm(ps), strict=True):
        row[f"{metric}_change_p"] = p
        row[f"{metric}_change_p_holm"] = adjusted
        row[f"{metric}_comparisons"] = len(pairs)
        put_ends(row, f"{metric}_change_simultaneous95", _as_change(difference.interval(level)))
