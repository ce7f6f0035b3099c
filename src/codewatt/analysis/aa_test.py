"""The A/A test: an equivalence test of two measurements of the same cell.

Energy and time are compared in two ways: the first half of a cell's repeats with the second half
(drift within a job), and a cell with a second run of the same cell (difference between two jobs).
Each comparison is an equivalence test of the log ratio against a margin (two one-sided tests). A
row passes only if the difference is shown to be smaller than the margin.
docs/explanation/statistics.md, section "The A/A test", has the definitions.
"""

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike

from codewatt.analysis.columns import AA_TEST, Row
from codewatt.analysis.log_scale_statistics import Difference, logarithms, pooled_variance, welch
from codewatt.analysis.tables import to_table, write_csv
from codewatt.energy.energy_record import (
    ENERGY,
    EnergyFileRecord,
    EnergyRecord,
    RunRecord,
    SkippedEnergyRecord,
    is_measured,
)
from codewatt.errors import CodewattError

_LOG = logging.getLogger(__name__)

EQUIVALENT, DIFFERENT, UNDECIDED = "equivalent", "different", "undecided"
#: Level of each one-sided test: both reject if and only if the 90 % interval is within the margin.
_EQUIVALENCE_LEVEL = 0.05
_TOO_FEW = "too few repeats: the two sides need at least 3 values together, and 1 each"


def aa_test(
    cells: Sequence[str],
    twins: Mapping[str, str],
    energies: Mapping[str, str | PathLike[str]],
    margin: float,
    out: str | PathLike[str],
) -> list[Row]:
    """Compare halves and twins, and write the table (columns AA_TEST) as CSV.

    Args:
        cells: ids of the study's cells in each session.
        twins: id of a cell -> id of its second run.
        energies: id of a cell or twin -> its energy.json.
        margin: equivalence margin, a fraction.
        out: path of the CSV file.

    Returns:
        The rows. `outcome` is EQUIVALENT, DIFFERENT or UNDECIDED, and `passed` whether it is
        EQUIVALENT; both are absent if there are too few repeats.

    Raises:
        CodewattError: an energy.json is missing, damaged, of another version, or of another cell.
    """
    read = {cell_id: _read(cell_id, path) for cell_id, path in energies.items()}
    records = {cell_id: _measured(record) for cell_id, record in read.items()}
    rows = [row for cell_id in cells for row in _halves(cell_id, records[cell_id], margin)]
    for cell_id, twin_id in twins.items():
        rows += _twin(cell_id, twin_id, records[cell_id], records[twin_id], margin)
    _log_outcome(rows, margin)
    for row in rows:
        cell, other = (read[row[name]]["cell"] for name in ("cell_id", "other_cell_id"))
        row |= {"cell_id": cell["design_id"], "session": cell["session"]}
        row["other_cell_id"] = other["design_id"]
    write_csv(to_table(rows, AA_TEST), out)
    return rows


def _read(cell_id: str, path: str | PathLike[str]) -> EnergyFileRecord | SkippedEnergyRecord:
    record = ENERGY.read(path)
    if record["cell"]["id"] != cell_id:
        raise CodewattError(f"{path}: cell {record['cell']['id']!r}; expected {cell_id!r}")
    return record


def _measured(record: EnergyFileRecord | SkippedEnergyRecord) -> EnergyRecord | None:
    """The energy of a cell; None if the cell is infeasible."""
    return record if is_measured(record) else None


def _halves(cell_id: str, energy: EnergyRecord | None, margin: float) -> list[Row]:
    if energy is None:
        return []
    runs = sorted(energy["runs"], key=lambda run: run["repeat"])
    middle = len(runs) // 2
    return [
        _compare("halves", cell_id, cell_id, metric, energy["valid"], first, second, margin)
        for metric, first, second in _metrics(energy, runs[:middle], runs[middle:])
    ]


def _twin(
    cell_id: str,
    twin_id: str,
    energy: EnergyRecord | None,
    twin: EnergyRecord | None,
    margin: float,
) -> list[Row]:
    if energy is None and twin is None:
        return []
    if energy is None or twin is None:
        return [_incomparable(cell_id, twin_id, "one of the two is infeasible")]
    if _basis(energy) != _basis(twin):
        return [
            _incomparable(
                cell_id,
                twin_id,
                f"energy of different origin: {_basis(energy)}; twin: {_basis(twin)}",
            )
        ]
    valid = energy["valid"] and twin["valid"]
    return [
        _compare("twin", cell_id, twin_id, metric, valid, first, second, margin)
        for metric, first, second in _metrics(energy, energy["runs"], twin["runs"])
    ]


def _basis(energy: EnergyRecord) -> str:
    """Status of each component: modelled energy is not compared with measured energy."""
    parts = energy["components"]
    return ", ".join(f"{part} {parts[part]['status']}" for part in sorted(parts))


def _incomparable(cell_id: str, twin_id: str, why: str) -> Row:
    """The row of a cell and a twin that cannot be compared; it does not pass."""
    ids = {"comparison": "twin", "cell_id": cell_id, "other_cell_id": twin_id}
    return {**ids, "metric": "energy", "outcome": DIFFERENT, "passed": False, "note": why}


def _metrics(
    energy: EnergyRecord, runs: Sequence[RunRecord], others: Sequence[RunRecord]
) -> list[tuple[str, list[float | None], list[float | None]]]:
    """(metric, values, other side's values) of energy (boundary and GPU) and duration."""
    parts = dict.fromkeys([energy["boundary"], "gpu"])
    return [
        *(
            (
                f"{part}_j",
                [run["energy_j"][part] for run in runs],
                [run["energy_j"][part] for run in others],
            )
            for part in parts
            if energy["components"][part]["status"] != "unavailable"
        ),
        (
            "duration_s",
            [run["duration_s"] for run in runs],
            [run["duration_s"] for run in others],
        ),
    ]


def _compare(
    comparison: str,
    cell_id: str,
    other_id: str,
    metric: str,
    valid: bool,
    first: Sequence[float | None],
    second: Sequence[float | None],
    margin: float,
) -> Row:
    known = [[value for value in side if value is not None] for side in (first, second)]
    means = [sum(side) / len(side) if side else None for side in known]
    row: Row = {
        "comparison": comparison,
        "cell_id": cell_id,
        "other_cell_id": other_id,
        "metric": metric,
        "valid": valid,
        "n": len(known[0]),
        "other_n": len(known[1]),
        "mean": means[0],
        "other_mean": means[1],
        "margin": margin,
        "passed": None,
    }
    logs = logarithms(known[0]), logarithms(known[1])
    if known[0] and known[1] and (logs[0] is None or logs[1] is None):
        return {**row, "note": "a value is not positive"}
    if logs[0] is None or logs[1] is None or (found := _difference(logs[0], logs[1])) is None:
        return {**row, "note": _TOO_FEW}
    return {
        **row,
        **_test_columns(found, margin),
        "note": None if valid else "the cell failed a validity check",
    }


def _difference(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """Welch's difference; Student's with pooled variance if one side has a single value."""
    return welch(first, second) or pooled_variance(first, second)


def _test_columns(found: Difference, margin: float) -> Row:
    """The columns of the tests of one difference of logarithms."""
    narrow, wide = found.interval(1 - 2 * _EQUIVALENCE_LEVEL), found.interval()
    p = found.equivalence_p(math.log1p(-margin), math.log1p(margin))
    if p < _EQUIVALENCE_LEVEL:
        outcome = EQUIVALENT
    else:
        outcome = UNDECIDED if wide[0] <= 0 <= wide[1] else DIFFERENT
    return {
        "change": math.expm1(found.value),
        "change_ci90_low": math.expm1(narrow[0]),
        "change_ci90_high": math.expm1(narrow[1]),
        "change_ci95_low": math.expm1(wide[0]),
        "change_ci95_high": math.expm1(wide[1]),
        "p_equivalence": p,
        "p_difference": found.p,
        "minimum_detectable_change": math.expm1(found.minimum_detectable()),
        "outcome": outcome,
        "passed": outcome == EQUIVALENT,
    }


def _log_outcome(rows: Sequence[Row], margin: float) -> None:
    """Log how many comparisons passed, and name those that did not."""
    counts = Counter(row.get("outcome") for row in rows)
    _LOG.info(
        "A/A test: %d of %d comparisons are equivalent (margin %.3g %%), %d are different, %d are "
        "undecided, %d cannot be tested",
        counts[EQUIVALENT],
        len(rows),
        100 * margin,
        counts[DIFFERENT],
        counts[UNDECIDED],
        counts[None],
    )
    for row in rows:
        if row["passed"] is not False:
            continue
        where = f"{row['comparison']}, {row['cell_id']}: {row['metric']}"
        if row.get("change") is None:
            _LOG.warning("A/A test: %s cannot be compared: %s", where, row["note"])
            continue
        _LOG.warning(
            "A/A test: %s: %s: change %+.2f %%, 95 %% confidence interval [%.2f, %.2f] %%; minimum "
            "detectable change: %.2f %%",
            where,
            row["outcome"],
            *(100 * row[name] for name in ("change", "change_ci95_low", "change_ci95_high")),
            100 * row["minimum_detectable_change"],
        )
