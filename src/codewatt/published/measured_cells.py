"""The cells of this project's study files that measure what a published study printed.

Reads the cell tables of studies that were run. A cell counts as a measurement of a printed number
only if it has the model, precision, pruned layers, token limit and batch size of the number, ran
all tasks of the benchmark, and has the published model's weights: a model of another size, random
weights or unpacked weights are refused with the reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codewatt.analysis.columns import CELL, CELL_IDS, Row
from codewatt.analysis.tables import to_rows
from codewatt.errors import CodewattError
from codewatt.parquet import column_types, read_table
from codewatt.published.measured_quantities import AnyQuantity
from codewatt.published.printed_figures import PrintedFigure
from codewatt.published.study_files import STUDY_FILES, StudyFile, table_path
from codewatt.sizing.known_configs import known_models

#: Columns that every measured study needs, besides those of the quantities.
_COLUMNS = (
    *(*CELL_IDS, "status", "status_reason", "valid", "failed_checks", "baseline_cell_id"),
    *("tasks", "interval_scope", "accuracy_note", "energy_boundary"),
    *("gpu_names", "cpu_name", "parameters", "weights_origin"),
)
#: Smallest and largest number of parameters of a cell, as shares of the published model's. Pruned
#: and packed models, and checkpoints that store tied matrices twice, differ from it by less.
_SIZE = (0.5, 1.5)
_KINDS = {"string": "text", "Int64": "integer", "Float64": "real", "boolean": "boolean"}
NOT_MEASURED, NOT_COMPARABLE = "not measured", "not comparable"
#: (table, section, row, column) of a printed number.
Place = tuple[str, str, str, str]


@dataclass(frozen=True)
class WantedCell:
    """The cell that measures a printed number.

    Attributes:
        repository: the published model on the Hugging Face hub.
        model, precision, benchmark: ids in the study files.
        layers: number of layers removed, the last ones.
        token_limit: None if the text states none.
        batch_size: prompts completed together.
        tasks: number of the benchmark's tasks.
        engine, prompt: ids in the study files; None if the text states none.
        reference: precision of the cell that a difference is from; None for other numbers.
    """

    repository: str
    model: str
    precision: str
    benchmark: str
    tasks: int
    layers: int = 0
    token_limit: int | None = None
    batch_size: int = 1
    engine: str | None = None
    prompt: str | None = None
    reference: str | None = None

    def is_design(self, row: Row) -> bool:
        """Whether a cell of a study has this design; it may have run or not."""
        stated = {
            "token_limit": self.token_limit,
            "engine": self.engine,
            "prompt": self.prompt,
        }
        return (
            row["model"] == self.model
            and row["precision"] == self.precision
            and row["benchmark"] == self.benchmark
            and row["batch_size"] == self.batch_size
            and row["prune_layers"] == self.layers
            and (self.layers == 0 or row["prune"].startswith("last"))
            and all(value in (None, row[name]) for name, value in stated.items())
        )


@dataclass(frozen=True)
class MeasuredStudy:
    """A study file that was run.

    Attributes:
        file: the study file.
        cells: rows of its cell table; empty if `problem` is not.
        problem: why its table cannot be read; "" if it was read.
    """

    file: StudyFile
    cells: tuple[Row, ...]
    problem: str = ""

    @property
    def measures(self) -> bool:
        """Whether it has cells that may be measurements of the published models."""
        return bool(self.cells) and not self.file.tiny

    def values(self, column: str) -> str:
        """The different values of a column, for sentences; "" for none."""
        return ", ".join(dict.fromkeys(str(r[column]) for r in self.cells if r[column] is not None))


@dataclass(frozen=True)
class MeasuredValue:
    """What one cell says of one printed number.

    Attributes:
        study: name of the study file.
        place: the printed number.
        unit: unit of the value, as printed.
        cell_id: the cell; "" if the study has no such cell.
        conditions: engine, prompt style and hardware of the cell.
        value, low, high: value and interval in `unit`; None where withheld or absent.
        note: why there is no value, or a remark on it; "" for none.
    """

    study: str
    place: Place
    unit: str
    cell_id: str
    conditions: str
    value: float | None
    low: float | None
    high: float | None
    note: str


def read_studies(results: Path, quantities: Sequence[AnyQuantity]) -> list[MeasuredStudy]:
    """The study files of which a folder has results, in the order of `STUDY_FILES`.

    A table of another schema is a `problem` of its study: the page on the published studies does
    not depend on any study.

    Args:
        results: folder with a folder for each study.
        quantities: what is to be read of each cell.
    """
    needed = [*_COLUMNS, *(name for one in quantities for name in one.columns)]
    columns = tuple(dict.fromkeys(needed))
    found = []
    for file in STUDY_FILES:
        path = table_path(results, file.name)
        if path.is_file():
            try:
                found.append(MeasuredStudy(file, _read(path, columns)))
            except CodewattError as error:
                found.append(MeasuredStudy(file, (), str(error)))
    return found


def measure(
    study: MeasuredStudy,
    figures: Sequence[PrintedFigure],
    wanted: Mapping[Place, tuple[WantedCell, AnyQuantity]],
) -> Iterator[MeasuredValue]:
    """What a study says of each printed number that a cell can measure.

    Args:
        study: the study.
        figures: printed numbers.
        wanted: printed number -> cell and quantity; others are passed over.
    """
    for figure in figures:
        place = place_of(figure)
        if place not in wanted:
            continue
        cell, quantity = wanted[place]
        rows = [row for row in study.cells if cell.is_design(row)]
        if not rows:
            yield _value(study, figure, None, NOT_MEASURED)
        for row in rows:
            yield _measured(study, figure, row, cell, quantity)


def place_of(figure: PrintedFigure) -> Place:
    """The place of a printed number in its text."""
    return figure.table, figure.section, figure.row, figure.column


def _read(path: Path, columns: Sequence[str]) -> tuple[Row, ...]:
    table = read_table(path, columns)
    types = column_types(path)
    for name in columns:
        wanted = _KINDS[CELL[name]]
        # A column without any value may have any type.
        if types[name] != wanted and table[name].null_count < len(table):
            raise CodewattError(f"{path}: column {name}: {types[name]} values; expected: {wanted}")
    return tuple(to_rows(table.to_pandas()))


def _measured(
    study: MeasuredStudy,
    figure: PrintedFigure,
    row: Row,
    cell: WantedCell,
    quantity: AnyQuantity,
) -> MeasuredValue:
    reason = _withheld(study, row, cell, quantity)
    if reason:
        return _value(study, figure, row, reason)
    found = quantity.estimate(row)
    if found is None:
        return _value(study, figure, row, f"{NOT_MEASURED}: the cell has no such value")
    modelled = quantity.part and row[f"{quantity.part}_energy_status"] == "modelled"
    return _value(
        *(study, figure, row, "modelled" if modelled else ""), found.value, found.low, found.high
    )


def _withheld(study: MeasuredStudy, row: Row, cell: WantedCell, quantity: AnyQuantity) -> str:
    """Why a cell's value is not shown; "" if it is."""
    if row["status"] != "ok":
        return f"{NOT_MEASURED}: {row['status_reason']}"
    if other := _not_published(row, cell):
        return f"{NOT_COMPARABLE}: {other}"
    if quantity.metered and row["valid"] is False:
        return f"withheld: failed {row['failed_checks']}"
    if cell.reference is not None:
        base = next((one for one in study.cells if one["cell_id"] == row["baseline_cell_id"]), None)
        if base is None or (base["precision"], base["prune_layers"]) != (cell.reference, 0):
            return f"{NOT_COMPARABLE}: the study's differences are from another cell"
    return ""


def _not_published(row: Row, cell: WantedCell) -> str:
    """Why a cell is no measurement of the published model on all tasks; "" if it is one."""
    published = known_models()[cell.repository].parameters
    if row["accuracy_note"] is not None:
        return "random weights"
    if row["weights_origin"] is not None:
        return f"weights {row['weights_origin']}"
    if row["parameters"] is None or published is None:
        return "number of parameters unknown"
    if not _SIZE[0] * published < row["parameters"] < _SIZE[1] * published:
        return f"a model of {row['parameters']:,} parameters, not of {published:,}"
    if row["tasks"] != cell.tasks:
        return f"{row['tasks']} of {cell.tasks:,} tasks"
    return ""


def _value(
    study: MeasuredStudy,
    figure: PrintedFigure,
    row: Row | None,
    note: str,
    value: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> MeasuredValue:
    conditions = []
    if row is not None:
        conditions = [f"engine {row['engine']}", f"prompt style {row['prompt']}"]
        conditions += [f"hardware {row['hardware']}"] if row["hardware"] is not None else []
    return MeasuredValue(
        study.file.name,
        place_of(figure),
        figure.unit,
        "" if row is None else row["cell_id"],
        ", ".join(conditions),
        *(value, low, high),
        note,
    )
