"""Writes the page on both studies: one HTML file, with figures and CSV files beside it."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codewatt.files import atomic_path, write_csv_rows
from codewatt.published.page.changes_figure import NAME as CHANGES
from codewatt.published.page.headline import contrasts, headline
from codewatt.published.page.measured_column import study_views
from codewatt.published.page.page_data import PageData, compute_page
from codewatt.published.page.page_views import (
    WORDS,
    change_view,
    figure_names,
    item_view,
    part_views,
)
from codewatt.published.page.sign_text import answer, reasons

PAGE = "index.html"
#: CSV file without suffix -> content.
TABLES = {
    "energy_changes": "every change of energy by quantisation: both texts, and codewatt's own",
    "printed_values": "every printed number of both texts, computed again and corrected",
    "measured_values": "what study files of this project measured beside each printed number",
    "verdicts": "every finding: verdict, text, data, consequence",
    "statements": "statements of abstract and conclusion, with verdict and finding",
    "formulas": "formulas 3.1 to 3.37 as printed and as they are",
    "checklist": "every table, figure and numbered formula, and where it is made",
}
_PLACE_COLUMNS = ("table", "section", "row", "column")
_VALUE_COLUMNS = ("unit", "study", "cell_id", "conditions", "value", "low", "high", "note")
MEASURED_COLUMNS = ("published", *_PLACE_COLUMNS, *_VALUE_COLUMNS)


def write_page(folder: Path, results: Path) -> Path:
    """Write the page, its figures (PNG and PDF) and CSV files into a folder; returns the page.

    Args:
        folder: created if absent.
        results: folder with a folder of results for each study that was run; it may be absent.

    Raises:
        CodewattError: a data file is missing or wrong, or a file cannot be written.
    """
    data = compute_page(results)
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in _rows(data):
        write_csv_rows(folder / f"{name}.csv", list(rows[0]), rows)
    write_csv_rows(folder / "measured_values.csv", MEASURED_COLUMNS, _measured_rows(data))
    images = {path.stem: _embedded(path) for path in draw_figures(data, folder)}
    page = folder / PAGE
    with atomic_path(page) as temporary:
        Path(temporary).write_text(render_page(data, images), encoding="utf-8")
    return page


def draw_figures(data: PageData, folder: Path) -> list[Path]:
    """Draw all figures; returns the PNG files."""
    # matplotlib is imported only for figures.
    from codewatt.published.buis_2024.model.model_figures import draw_predictions, draw_scaling
    from codewatt.published.page.changes_figure import draw_changes
    from codewatt.published.page.redrawn_figures import (
        draw_domains,
        draw_frontier,
        draw_pruned,
        draw_quantised_energy,
    )

    tables = data.model.tables
    paths = [
        *draw_changes(data.changes, folder),
        *draw_quantised_energy(data.runs, folder),
        *draw_pruned(data.paper, data.runs, folder),
        *draw_scaling(data.model.figures, folder),
        *draw_domains(tables, folder),
        *draw_frontier(tables, folder),
        *draw_predictions(data.model.predicted, folder),
    ]
    return [path for path in paths if path.suffix == ".png"]


def render_page(data: PageData, images: dict[str, str]) -> str:
    """The HTML of the page.

    Args:
        data: the results.
        images: name of a figure -> data URL.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("codewatt.published.page", "templates"),
                PackageLoader("codewatt.analysis", "templates"),  # page_style.css.j2
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found = reasons(data.changes, data.energies)
    names = {CHANGES: "changes of energy by quantisation", **figure_names()}
    files = [
        *((f"{name}.csv", content) for name, content in TABLES.items()),
        *((f"{name}.png, .pdf", caption) for name, caption in names.items()),
    ]
    return environment.get_template("published.html.j2").render(
        words=WORDS,
        images=images,
        headline=headline(data.changes),
        contrasts=contrasts(data.changes, data.findings),
        answer=answer(data.changes),
        reasons=found,
        changes=[change_view(change) for change in data.changes],
        parts=list(part_views(data, found)),
        studies=study_views(data.measured),
        checklist=[
            (study, [item_view(item) for item in data.items if item.study == study])
            for study in data.findings
        ],
        files=files,
    )


def _rows(data: PageData) -> Iterator[tuple[str, Sequence[dict[str, Any]]]]:
    """Name and rows of each CSV file of `TABLES` that depends on no study's results."""
    yield (
        "energy_changes",
        [{**asdict(one), "sign_shown": str(one.sign_shown).lower()} for one in data.changes],
    )
    yield "printed_values", [asdict(one) for one in data.values]
    yield (
        "verdicts",
        [
            {
                "study": study,
                "finding": one.name,
                "verdict": one.verdict,
                "text": one.says,
                "data": one.shows,
                "consequence": one.consequence,
            }
            for study, findings in data.findings.items()
            for one in findings
        ],
    )
    verdicts = {
        (study, one.name): one.verdict for study, found in data.findings.items() for one in found
    }
    yield (
        "statements",
        [
            {
                "study": study,
                **{name: getattr(one, name) for name in ("place", "quote", "finding")},
                "verdict": verdicts[study, one.finding],
            }
            for study, statements in data.statements.items()
            for one in statements
        ],
    )
    yield "formulas", [asdict(row) for row in data.model.formulas]
    yield "checklist", [asdict(item) for item in data.items]


def _measured_rows(data: PageData) -> Iterator[dict[str, Any]]:
    for (published, place), values in data.measured.values.items():
        labels = dict(zip(_PLACE_COLUMNS, place, strict=True))
        for one in values:
            named = {name: getattr(one, name) for name in _VALUE_COLUMNS}
            yield {"published": published, **labels, **named}


def _embedded(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
