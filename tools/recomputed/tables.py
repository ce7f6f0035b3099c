"""All rows of the tables, but not of that of checks."""

import importlib.util
from pathlib import Path

from recomputed import (
    compare,
    domains,
    energy,
    frontier,
    judging,
    regression,
    runs,
    sessions,
    statistical_tests,
    tasks,
    variants,
)
from recomputed.cells import cell_row
from recomputed.raw import Study, read_json

#: The columns that name a row.
KEYS = {
    "task": ("cell_id", "session", "repeat", "sample", "task_id"),
    "run": ("cell_id", "session", "repeat"),
    "session": ("cell_id", "session"),
    "cell": ("cell_id",),
    "comparison": ("cell_id", "reference_cell_id", "metric"),
    "variant": ("variant_id",),
    "domain": ("cell_id", "session", "domain"),
    "domain_comparison": ("cell_id", "reference_cell_id", "domain", "metric"),
    "statistical_test": ("test", "level", "metric", "factor", "group", "cell_id", "other_cell_id"),
    "regression": ("cell_id", "model_name", "errors", "term"),
}


def recompute(yaml_path, results):
    """(table -> row's key -> column -> value, what is wrong with the raw files)."""
    study = Study(yaml_path, results)
    cells, problems = study.cells()
    problems += [f"{cell.folder.name}: {problem}" for cell in cells for problem in cell.problems]
    made = variants.read_variants(cells, study)
    making = {name: variants.Making(study, manifest) for name, (_, manifest) in made.items()}
    of_variant = [variants.variant_row(study, *made[name], making[name]) for name in made]
    variants.compare_sizes(of_variant, study)
    by_variant = {row["variant_id"]: row for row in of_variant}
    grid = grid_intensity(study.country)
    of_cell, of_run, of_task, of_domain, in_order = {}, [], [], [], []
    for cell in cells:
        cell.grid, cell.rows = grid, []
        cell.meaningful = by_variant[cell.variant]["meaningful_accuracy"] is not False
        if cell.ran:
            _measure(cell, study)
            problems += _given(cell, study)
            rows = tasks.task_rows(cell, study)
            cell.task_rows = rows
            of_task += rows
            in_order += [rows[i] for i in cell.tasks["place"].argsort()]
            of_domain += domains.domain_rows(cell, rows)
        of_run += cell.rows
    designed = sessions.design_cells(cells)
    for cell in designed:
        cell.pool()
        of_cell[cell.id] = cell_row(cell, study, by_variant[cell.variant])
    baselines, compared, by_domain = compare.compare(designed, of_cell, study, making)
    frontier.add_probabilities(designed, of_cell)
    rows = list(of_cell.values())
    of = {
        "task": of_task,
        "run": of_run,
        "session": sessions.session_rows(designed, baselines, study.order_seed),
        "cell": rows,
        "comparison": compared,
        "variant": of_variant,
        "domain": of_domain,
        "domain_comparison": by_domain,
        "statistical_test": statistical_tests.statistical_test_rows(rows, of_run, in_order),
        "regression": regression.regression_rows(rows, in_order),
    }
    return {table: _by_key(rows, KEYS[table]) for table, rows in of.items()}, problems


def _measure(cell, study):
    runs.measure(cell, study)
    runs.add_repetition(cell)
    timeline = cell.folder / "evaluate_timeline.parquet"
    cell.judging = None
    if timeline.is_file():
        cell.judging = energy.Meter(timeline, "cpu", cell.evaluate.get("meters"))
    judging.measure(cell, study)
    repeats = sorted(int(repeat) for repeat in cell.tasks["repeat"].unique())
    cell.rows = [runs.run_row(cell, study, repeat) for repeat in repeats]


def _given(cell, study):
    """Where energy.json and evaluate.json contradict what is taken from them."""
    name = cell.folder.name
    valid = all(runs.is_valid(cell, run["repeat"]) for run in cell.energy["runs"])
    if cell.energy["boundary"] != study.boundary:
        yield f"{name}: energy.json is of the boundary {cell.energy['boundary']}"
    if cell.energy["valid"] is not valid:
        yield f"{name}: energy.json says valid: {cell.energy['valid']}, its checks do not"
    for entry in cell.evaluate["by_repeat"]:
        (row,) = [row for row in cell.rows if row["repeat"] == entry["repeat"]]
        for tests in cell.tests if cell.meaningful else ():
            told = (entry.get(tests) or {}).get("1")
            if told is not None and abs(told - row[f"pass_at_1_{tests}"]) > 1e-9:
                yield f"{name}: evaluate.json has pass@1 {told} by {tests} tests"


def grid_intensity(country):
    """Grams a kWh of a country, from the table that comes with CodeCarbon."""
    package = Path(importlib.util.find_spec("codecarbon").origin).parent
    table = read_json(package / "data/private_infra/global_energy_mix.json")
    return {"country": country, "g_per_kwh": float(table[country]["carbon_intensity"])}


def _by_key(rows, key):
    """Rows by their key, all with the same columns."""
    columns = dict.fromkeys(column for row in rows for column in row)
    return {tuple(row[name] for name in key): {**columns, **row} for row in rows}
