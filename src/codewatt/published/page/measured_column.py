"""The measured column of the page: what study files of this project measured beside each number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.published.buis_2024 import measured_places as thesis_places
from codewatt.published.de_reus_2024 import measured_places as paper_places
from codewatt.published.measured_cells import (
    MeasuredStudy,
    MeasuredValue,
    Place,
    measure,
    read_studies,
)
from codewatt.published.page.redrawn_tables import PrintedValue, number_text
from codewatt.published.printed_figures import PrintedFigure
from codewatt.published.study_files import BUIS, DE_REUS

View = dict[str, Any]
_WANTED = {DE_REUS: paper_places.wanted_cells, BUIS: thesis_places.wanted_cells}
#: Remarks on what measured values of a table are.
_NOTES = {
    **dict.fromkeys(
        thesis_places.RUN_TABLES,
        "Measured energy: the GPU above its idle power, as in the thesis. The limits of measured "
        "pass@kWh combine opposite ends of two 95 % intervals.",
    ),
    **dict.fromkeys(
        ("5.14", "5.19", "5.25", "5.30", "5.35"),
        "Measured beside VRAM: the size of the weight files, without a KV cache.",
    ),
}


@dataclass(frozen=True)
class MeasuredColumn:
    """What was measured beside the printed numbers.

    Attributes:
        studies: study files of which there are results.
        values: (published study, printed number) -> what each of them says; only printed numbers
            that a cell can measure, and none of a published study that no study file measured.
        comparable: published study -> number of printed numbers that a cell can measure.
    """

    studies: list[MeasuredStudy]
    values: Mapping[tuple[str, Place], list[MeasuredValue]]
    comparable: Mapping[str, int]

    def all_values(self) -> list[MeasuredValue]:
        """All values, by printed number."""
        return [value for values in self.values.values() for value in values]


def measured_column(
    results: Path, figures: Mapping[str, Sequence[PrintedFigure]]
) -> MeasuredColumn:
    """Read the results of the study files and find the cell of each printed number.

    Args:
        results: folder with a folder for each study.
        figures: published study -> its printed numbers.
    """
    wanted = {study: dict(_WANTED[study](printed)) for study, printed in figures.items()}
    quantities = [quantity for places in wanted.values() for _, quantity in places.values()]
    studies = read_studies(results, quantities)
    values: dict[tuple[str, Place], list[MeasuredValue]] = {}
    for study in studies:
        name = study.file.published
        if study.measures:
            for value in measure(study, figures[name], wanted[name]):
                values.setdefault((name, value.place), []).append(value)
    return MeasuredColumn(studies, values, {name: len(found) for name, found in wanted.items()})


def study_views(column: MeasuredColumn) -> list[View]:
    """The study files that were run, for the page."""
    return [
        {
            "mark": _mark(column, study.file.name),
            "name": study.file.name,
            "published": study.file.published,
            "what": study.file.what,
            "hardware": _hardware(study),
            "measured": _measured_text(column, study),
            "engines": study.values("engine"),
            "boundary": study.values("energy_boundary"),
            "intervals": study.values("interval_scope"),
        }
        for study in column.studies
    ]


def cell_views(column: MeasuredColumn, value: PrintedValue) -> list[View]:
    """What is shown below a printed number: one line for each cell that measures it."""
    place = (value.table, value.section, value.row, value.column)
    found = column.values.get((value.study, place), [])
    shown = [one for one in found if one.cell_id] or found[:1]
    return [
        {
            "mark": _mark(column, one.study) if one.cell_id else "",
            "text": _text(one),
            "title": "; ".join(filter(None, (one.cell_id, one.conditions, one.note))),
        }
        for one in shown
    ]


def table_note(column: MeasuredColumn, study: str, table: str) -> str:
    """What the measured values of a table are; "" if it has none."""
    shown = any(
        one.value is not None and one.place[0] == table and of == study
        for (of, _), values in column.values.items()
        for one in values
    )
    return _NOTES.get(table, "") if shown else ""


def _mark(column: MeasuredColumn, name: str) -> str:
    """A letter for each study that measures, in their order; "" for others."""
    names = [study.file.name for study in column.studies if study.measures]
    return chr(ord("a") + names.index(name)) if name in names else ""


def _hardware(study: MeasuredStudy) -> str:
    parts = (study.values("gpu_names"), study.values("cpu_name"))
    return "; ".join(filter(None, parts)) or "not recorded"


def _measured_text(column: MeasuredColumn, study: MeasuredStudy) -> str:
    """How many cells ran and how many printed numbers they measure."""
    if study.problem:
        return f"results not readable: {study.problem}"
    ran = sum(row["status"] == "ok" for row in study.cells)
    cells = f"{ran} of {len(study.cells)} cells ran"
    if study.file.tiny:
        return (
            f"{cells}. The models are tiny and have random weights: no value is a measurement of "
            "a published model, and none is shown"
        )
    values = [one for one in column.all_values() if one.study == study.file.name]
    shown = len({one.place for one in values if one.value is not None})
    return f"{cells}. {shown} of {column.comparable[study.file.published]} comparable numbers"


def _text(one: MeasuredValue) -> str:
    if one.value is None:
        return one.note.partition(":")[0]
    low, high = ("unbounded" if end is None else number_text(end) for end in (one.low, one.high))
    interval = "" if (one.low, one.high) == (None, None) else f" [{low}, {high}]"
    remark = f" ({one.note})" if one.note else ""
    return f"{number_text(one.value)}{interval}{remark}"
