"""The A/A test: things that are the same must measure the same.

Two comparisons, of energy and of time: the first half of a cell's repeats with the second half,
which shows drift within a job; and a cell with the same cell run again under another name, which
shows what one job differs from the next. Each is a Welch test: it passes where the 95 % interval
of the difference holds zero. One row in twenty fails by chance; `p_holm` is adjusted for their
number. What the intervals are wide is the smallest change that this study can tell.
"""

import logging
from collections.abc import Mapping, Sequence
from os import PathLike

from codewatt.analysis.columns import BOOLEAN, INTEGER, REAL, STRING, Columns
from codewatt.analysis.records import ENERGY_KEYS, INFEASIBLE, Json
from codewatt.analysis.stats import CONFIDENCE, holm, welch
from codewatt.analysis.tables import to_table, write_csv
from codewatt.errors import CodewattError
from codewatt.files import read_json

_LOG = logging.getLogger(__name__)

AA: Columns = {
    "comparison": STRING,
    "cell_id": STRING,
    "other_cell_id": STRING,
    "metric": STRING,
    "valid": BOOLEAN,
    "n": INTEGER,
    "other_n": INTEGER,
    "mean": REAL,
    "other_mean": REAL,
    "change": REAL,
    "change_ci95_low": REAL,
    "change_ci95_high": REAL,
    "p": REAL,
    "p_holm": REAL,
    "passed": BOOLEAN,
    "note": STRING,
}
_TOO_FEW = "too few repeats: each side needs two"


def aa_test(
    cells: Sequence[str],
    twins: Mapping[str, str],
    energies: Mapping[str, str | PathLike[str]],
    out: str | PathLike[str],
) -> list[Json]:
    """Compare halves and twins and write the table of AA, as CSV.

    Args:
        cells: ids of the study's cells.
        twins: id of a cell -> id of its second run.
        energies: id of a cell or twin -> its energy.json.

    Returns:
        The rows. `change` is (other mean - mean) / mean; `passed` is whether its 95 %
        interval holds 0, absent where it could not be judged.

    Raises:
        CodewattError: an energy.json is missing, not whole, or of another cell.
    """
    records = {cell_id: _read(cell_id, path) for cell_id, path in energies.items()}
    rows = [row for cell_id in cells for row in _halves(cell_id, records[cell_id])]
    for cell_id, twin_id in twins.items():
        rows += _twin(cell_id, twin_id, records[cell_id], records[twin_id])
    judged = [row for row in rows if row["p"] is not None]
    for row, p in zip(judged, holm([row["p"] for row in judged]), strict=True):
        row["p_holm"], row["passed"] = p, row["p"] > 1 - CONFIDENCE
    write_csv(to_table(rows, AA), out)
    _say(rows)
    return rows


def _read(cell_id: str, path: str | PathLike[str]) -> Json:
    content: Json = read_json(path)
    named = content.get("cell", {}).get("id", cell_id)
    if named != cell_id:
        raise CodewattError(f"{path}: of another cell: {named}, not {cell_id}")
    absent = [key for key in ENERGY_KEYS if key not in content]
    if absent and content.get("status") != INFEASIBLE:
        raise CodewattError(f"{path}: {', '.join(absent)} missing: run this stage again")
    return content


def _halves(cell_id: str, energy: Json) -> list[Json]:
    if "runs" not in energy:
        return []  # infeasible, as the tables say
    runs = sorted(energy.get("runs", []), key=lambda run: int(run["repeat"]))
    middle = len(runs) // 2
    valid = energy.get("valid")
    return [
        _compare("halves", cell_id, cell_id, metric, valid, first, second)
        for metric, first, second in _metrics(energy, runs[:middle], energy, runs[middle:])
    ]


def _twin(cell_id: str, twin_id: str, energy: Json, twin: Json) -> list[Json]:
    if "runs" not in energy and "runs" not in twin:
        return []
    if "runs" not in energy or "runs" not in twin:
        return [_unlike(cell_id, twin_id, "one of the two is infeasible")]
    if _basis(energy) != _basis(twin):
        return [_unlike(cell_id, twin_id, f"{_basis(energy)} against {_basis(twin)}")]
    valid = bool(energy.get("valid")) and bool(twin.get("valid"))
    return [
        _compare("twin", cell_id, twin_id, metric, valid, first, second)
        for metric, first, second in _metrics(
            energy, energy.get("runs", []), twin, twin.get("runs", [])
        )
    ]


def _basis(energy: Json) -> str:
    """How the energy came about; what was modelled is no twin of what was measured."""
    parts = energy["components"]
    return ", ".join(f"{part} {parts[part]['status']}" for part in sorted(parts))


def _unlike(cell_id: str, twin_id: str, why: str) -> Json:
    """A twin that is none: nothing is compared, and the test does not pass."""
    ids = {"comparison": "twin", "cell_id": cell_id, "other_cell_id": twin_id}
    return {**ids, "metric": "energy", "p": None, "p_holm": None, "passed": False, "note": why}


def _metrics(
    energy: Json, runs: Sequence[Json], other: Json, others: Sequence[Json]
) -> list[tuple[str, list[float | None], list[float | None]]]:
    """(metric, values, the other side's values): energy of the study's boundary and of the GPU."""
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
    valid: bool | None,
    first: Sequence[float | None],
    second: Sequence[float | None],
) -> Json:
    known = [[value for value in side if value is not None] for side in (first, second)]
    means = [sum(side) / len(side) if side else None for side in known]
    row: Json = {
        "comparison": comparison,
        "cell_id": cell_id,
        "other_cell_id": other_id,
        "metric": metric,
        "valid": valid,
        "n": len(known[0]),
        "other_n": len(known[1]),
        "mean": means[0],
        "other_mean": means[1],
        "p": None,
        "p_holm": None,
        "passed": None,
    }
    found = welch(*known)
    if found is None or not means[0]:
        return {**row, "note": _TOO_FEW if found is None else "a mean of zero"}
    low, high = found.ci95
    return {
        **row,
        "change": found.difference / means[0],
        "change_ci95_low": low / means[0],
        "change_ci95_high": high / means[0],
        "p": found.p,
        "note": None if valid else "the cell failed a validity expectation",
    }


def _say(rows: Sequence[Json]) -> None:
    """The outcome in the log."""
    judged = [row for row in rows if row["p"] is not None]
    failed = [row for row in judged if not row["passed"]]
    for row in rows:
        if row["passed"] is False and row["p"] is None:
            _LOG.warning("A/A test: %s and its twin differ: %s", row["cell_id"], row["note"])
    _LOG.info(
        "A/A test: in %d of %d comparisons the 95 %% interval of the difference holds zero (by "
        "chance about %.1f would not), %d could not be judged",
        len(judged) - len(failed),
        len(judged),
        len(judged) * (1 - CONFIDENCE),
        len(rows) - len(judged),
    )
    for row in failed:
        _LOG.warning(
            "A/A test: %s, %s: %s differs by %.2f %% [%.2f, %.2f] (p = %.3g after Holm)",
            row["comparison"],
            row["cell_id"],
            row["metric"],
            *(100 * row[name] for name in ("change", "change_ci95_low", "change_ci95_high")),
            row["p_holm"],
        )
