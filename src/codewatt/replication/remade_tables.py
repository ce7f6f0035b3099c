"""A study's tables made again from its records, and compared byte by byte."""

import json
from collections.abc import Iterable
from pathlib import Path

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.aggregate_inputs import CELL_FILES, cell_entries, variant_entries
from codewatt.analysis.changes import ComparisonSettings
from codewatt.analysis.columns import TABLES
from codewatt.analysis.statistical_tests.columns import TEST_TABLES
from codewatt.analysis.statistical_tests.make_tables import make_statistical_tests
from codewatt.cells import Cell, variants_of
from codewatt.evaluate.depth_record import DEPTH
from codewatt.files import sha256_file
from codewatt.grid import Grid
from codewatt.paths import Paths
from codewatt.prune_chains import build_chains, select_running_cells


def table_files() -> list[str]:
    """Names of the table files of every study, of rules aggregate and statistical_tests."""
    return sorted(
        f"{table}.{suffix}" for table in (*TABLES, *TEST_TABLES) for suffix in ("csv", "parquet")
    )


def cells_that_ran(grid: Grid, paths: Paths) -> tuple[Cell, ...]:
    """The cells of a finished study in all sessions: all, less those beyond the end of a chain.

    As in rule aggregate, the first session decides where a chain ends.

    Raises:
        CodewattError: a depth record is not readable.
    """

    def solves_any(cell: Cell) -> bool:
        path = paths.cell("depth.json", cell.id)
        return Path(path).is_file() and bool(DEPTH.read(path)["correct"])

    running = select_running_cells(grid.cells, build_chains(grid), solves_any)
    return grid.in_all_sessions(running)


def make_tables(grid: Grid, paths: Paths, directory: Path) -> None:
    """Make the tables of a study from its records, as rules aggregate and statistical_tests do.

    Args:
        grid: the study's grid.
        paths: of its results.
        directory: where the tables are written.

    Raises:
        CodewattError: a record is missing or contradicts another.
    """
    cells = cells_that_ran(grid, paths)
    settings = json.loads(grid.aggregate_slice(cells))
    files = {
        name: [paths.cell(file, cell.id) for cell in cells] for name, file in CELL_FILES.items()
    }
    variants = [variant.id for variant in variants_of(cells)]
    measured = variants if grid.study.fidelity else []
    directory.mkdir(parents=True, exist_ok=True)
    out = {
        name.replace(".csv", "_csv").removesuffix(".parquet"): directory / name
        for name in table_files()
    }
    tests = {name: out.pop(name) for name in list(out) if name.removesuffix("_csv") in TEST_TABLES}
    aggregate(
        cell_entries(settings, files),
        variant_entries(
            settings,
            [paths.variant("manifest.json", variant) for variant in variants],
            [paths.variant("making_energy.json", variant) for variant in variants],
            [paths.variant("fidelity.json", variant) for variant in measured],
        ),
        settings["baseline"],
        out,
        settings["boundary"],
        ComparisonSettings(**settings["comparisons"]),
        settings["order_seed"],
    )
    make_statistical_tests(out["cell"], out["run"], out["task"], tests)


def different_files(names: Iterable[str], one: Path, other: Path) -> list[str]:
    """The names of files that are missing in a directory or differ between both."""

    def digest(path: Path) -> str | None:
        return sha256_file(path) if path.is_file() else None

    return [
        name
        for name in names
        if digest(one / name) is None or digest(one / name) != digest(other / name)
    ]
