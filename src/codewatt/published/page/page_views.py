"""Turns the results into what the template of the page shows."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from codewatt.published.buis_2024.model.model_results import PREDICTIONS, SCALING
from codewatt.published.finding import BOUNDED, CONTRADICTED, HOLDS, NOT_SHOWN
from codewatt.published.page.checklist import (
    FORMULA,
    OTHER,
    ChecklistItem,
    item_order,
    table_anchor,
)
from codewatt.published.page.energy_changes import OWN, EnergyChange
from codewatt.published.page.measured_column import MeasuredColumn, cell_views, table_note
from codewatt.published.page.page_data import PageData
from codewatt.published.page.redrawn_figures import (
    FIGURE_4_7,
    FIGURE_4_12,
    FIGURES_3_TO_6,
    FIGURES_7_AND_8,
)
from codewatt.published.page.redrawn_tables import PrintedValue, shown_correction, text_like
from codewatt.published.page.sign_text import Reason
from codewatt.published.study_files import BUIS, DE_REUS

View = dict[str, Any]

#: Words of the page; the first four are verdicts.
WORDS = (
    (HOLDS, "The statement follows from the published data."),
    (
        BOUNDED,
        "The statement follows for what the text counts (such as energy of the whole node), and "
        "not for another choice.",
    ),
    (
        NOT_SHOWN,
        "It does not follow: the published data neither support nor contradict the statement, or "
        "it needs an assumption.",
    ),
    (CONTRADICTED, "The published measurements, or other numbers of the same text, contradict it."),
    ("printed", "The number as the text prints it."),
    (
        "computed",
        "The same number, computed from other published numbers or raw files. The printed number "
        "differs if the rounding of the printed numbers cannot explain the difference.",
    ),
    (
        "corrected",
        "The right number, where the data allow a correction: missed counter wraps added, rows of "
        "another model replaced, estimates by exact bytes and FLOPs.",
    ),
    (
        "measured",
        "Measured by codewatt. In tables of the texts: by a study file that repeats the study, on "
        "the hardware that is stated. Elsewhere: conditions and page of the archive are stated.",
    ),
    (
        "not measured",
        "A study file of the text was run, but the cell of this number was not, could not run, or "
        "has no such value.",
    ),
)
_ANCHORS = {DE_REUS: ("de-reus", "de Reus et al. 2024"), BUIS: ("buis", "Buis 2024")}
_FIGURES = {
    DE_REUS: (
        (FIGURES_3_TO_6, "Figures 3 to 6: energy of the quantised models, corrected."),
        (FIGURES_7_AND_8, "Figures 7 and 8: pruned models."),
    ),
    BUIS: (
        (SCALING, "Figures 4.1 to 4.5: generation time and sizes, from the formulas."),
        (FIGURE_4_7, "Figure 4.7 and table 5.1: share of tasks in each domain."),
        (FIGURE_4_12, "Figure 4.12: energy of a run against pass@1."),
        (PREDICTIONS, "Not in the thesis: what its formulas predict against what it measured."),
    ),
}
#: Finding -> topic of the reason that has codewatt's measurements on it.
_MEASURED = {
    "boundary_of_the_conclusion": "engine",
    "time_and_energy": "bitsandbytes in transformers",
    "disagreeing_savings": "kernels",
    "quantised_models_save": "kernels",
    "inert_batch_axis": "batch size",
}
#: Words of a finding's name that are not written in small letters.
_SPELT = {
    "phi": "Phi",
    "dram": "DRAM",
    "awq": "AWQ",
    "llama": "Llama",
    "deepseek": "DeepSeek",
    "r2": "R2",
    "vram": "VRAM",
    "kwh": "kWh",
}
_OTHER = {"readme": "README, cache misses", "thesis 9": "Thesis of de Reus, table 9"}
_UNITS = (
    "The text gives no units of compute and memory: the numbers are TFLOP and TB. TTFT and TPOT "
    "are labelled ms: the numbers are seconds."
)
_NOTES = {(BUIS, table): _UNITS for table in ("5.19", "5.25", "5.30", "5.35")} | {
    (BUIS, "5.14"): "The text gives no units of compute and memory: the numbers are FLOP in the "
    "prefill, GFLOP in the decode compute, and GB."
}


def part_views(data: PageData, reasons: Sequence[Reason]) -> Iterator[View]:
    """The sections of the two texts."""
    measured = {one.topic: one.text for one in reasons}
    for study, (anchor, short) in _ANCHORS.items():
        by_name = {one.name: one for one in data.findings[study]}
        yield {
            "anchor": anchor,
            "short": short,
            "title": f"{short}: statements, figures, tables",
            "statements": [
                {
                    "place": one.place,
                    "quote": one.quote,
                    "verdict": by_name[one.finding].verdict,
                    "shows": by_name[one.finding].shows,
                    "consequence": by_name[one.finding].consequence,
                    "finding": one.finding,
                    "measured": measured.get(_MEASURED.get(one.finding, ""), ""),
                }
                for one in data.statements[study]
            ],
            "figures": _FIGURES[study],
            "tables": list(_tables(data, study)),
            "findings": [
                {
                    "name": one.name,
                    "title": _finding_title(one.name),
                    "gist": _first_sentence(one.consequence),
                    "verdict": one.verdict,
                    "says": one.says,
                    "shows": one.shows,
                    "consequence": one.consequence,
                }
                for one in data.findings[study]
            ],
            "formulas": data.model.formulas if study == BUIS else [],
        }


def change_view(change: EnergyChange) -> View:
    """A change as a row of the page."""
    top = f"{change.high:+.1f}" if math.isfinite(change.high) else "unbounded"
    source = f"docs/archive/{change.source}.md" if change.study == OWN else change.source
    return {
        "study": change.study,
        "source": source,
        "gpu": change.gpu,
        "engine": change.engine,
        "model": change.model,
        "batch": "not stated" if change.batch_size is None else change.batch_size,
        "method": change.method,
        "reference": change.reference,
        "boundary": change.boundary,
        "quantity": change.quantity,
        "change": f"{change.change_percent:+.1f}",
        "limits": f"{change.low:+.1f} to {top}",
        "uncertainty": change.uncertainty,
    }


def item_view(item: ChecklistItem) -> View:
    """An item of the checklist as a row of the page."""
    numbers = (item.printed, item.computed, item.differing, item.corrected)
    printed, computed, differing, corrected = ("" if not item.printed else one for one in numbers)
    made = item.made if item.made.startswith("#") or not item.made else f"#{item.made}"
    difference = "" if not item.computed else "rounding"
    if item.difference is not None:
        percent = 100 * item.difference
        difference = f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
    return {
        "item": _title(item.number) if item.kind == OTHER else f"{item.kind} {item.number}",
        "what": item.what,
        "made": made,
        "command": item.command.removeprefix("codewatt published "),
        "printed": printed,
        "computed": computed,
        "differing": differing,
        "corrected": corrected,
        "difference": "see remark" if item.kind == FORMULA else difference,
        "note": item.note,
    }


def _tables(data: PageData, study: str) -> Iterator[View]:
    by_table: dict[str, list[PrintedValue]] = {}
    for one in data.values:
        if one.study == study:
            by_table.setdefault(one.table, []).append(one)
    for table, values in sorted(by_table.items(), key=lambda one: item_order(one[0])):
        columns = list(dict.fromkeys(one.column for one in values))
        units = {one.column: one.unit for one in values}
        rows: dict[tuple[str, str], dict[str, PrintedValue]] = {}
        for one in values:
            rows.setdefault((one.section, one.row), {})[one.column] = one
        plain = table[0].isdigit() or table in ("II", "III", "IV")
        yield {
            "anchor": table_anchor(study, table),
            "title": f"Table {table}" if plain else _title(table),
            "caption": data.captions[study, table],
            "counts": _counts(values),
            "columns": [_head(column, units[column]) for column in columns],
            "rows": [
                {
                    "label": ", ".join(part for part in key if part),
                    "cells": [_cell(cells.get(column), data.measured) for column in columns],
                }
                for key, cells in rows.items()
            ],
            "notes": list(
                filter(
                    None,
                    (_NOTES.get((study, table)), table_note(data.measured, study, table)),
                )
            ),
        }


def _finding_title(name: str) -> str:
    words = [_SPELT.get(word, word) for word in name.split("_")]
    title = " ".join(words).replace("pass at 1", "pass@1").replace("Phi 2", "Phi-2")
    return title[0].upper() + title[1:]


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[^.\d][.:]) (?=[A-Z])", text, maxsplit=1)[0]


def _title(name: str) -> str:
    return _OTHER.get(name, name[0].upper() + name[1:])


def _head(column: str, unit: str) -> str:
    return f"{column} ({unit})" if unit else column


def _counts(values: Sequence[PrintedValue]) -> str:
    computed = sum(one.computed is not None for one in values)
    differ = sum(one.follows is False for one in values)
    corrected = sum(bool(shown_correction(one)) for one in values)
    return (
        f"{len(values)} numbers, {computed} computed again, {differ} differ, {corrected} corrected"
    )


def _cell(value: PrintedValue | None, measured: MeasuredColumn) -> View | None:
    if value is None:
        return None
    fix = shown_correction(value)
    if not fix and value.follows is False and value.computed is not None:
        fix = text_like(value.printed, value.computed)
    return {
        "printed": value.printed,
        "fix": fix,
        "off": value.follows is False,
        "basis": value.basis.replace("_", " "),
        "measured": cell_views(measured, value),
    }


def figure_names() -> Mapping[str, str]:
    """File name without suffix -> caption of every figure of the two texts' sections."""
    return {name: caption for figures in _FIGURES.values() for name, caption in figures}
