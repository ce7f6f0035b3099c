"""One self-contained page: which variant costs least for which accuracy, and how sure that is."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.descriptions import boards_words, boundary_words, setting_words
from codewatt.analysis.efficient_frontier import accuracy_column, comparable_groups
from codewatt.analysis.headlines import energy_notice, sections
from codewatt.analysis.labels import Labels
from codewatt.analysis.summary_rows import (
    boundary_view,
    cell_views,
    check_views,
    fidelity_views,
    variant_view,
)
from codewatt.analysis.tables import Row, to_rows
from codewatt.errors import CodewattError
from codewatt.files import atomic_path

_MEDIA = {".png": "image/png", ".svg": "image/svg+xml"}
_CAPTIONS = {
    "energy_by_precision": "Energy of a run by precision, stacked by component.",
    "prune_depth": "pass@1 and energy of a run against the number of pruned layers.",
    "repetition": "What completions repeat of themselves, against the number of pruned layers.",
    "layer_scores": "What prune methods found about each layer.",
    "frontier": "Energy of a run against pass@1, with the efficient frontier.",
    "prompts": "pass@1 by prompt style.",
}


def write_summary(
    cell_table: pd.DataFrame,
    variant_table: pd.DataFrame,
    check_table: pd.DataFrame,
    labels: Labels,
    figures: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
    out: str | Path,
    *,
    title: str = "codewatt",
) -> None:
    """Write the summary page, atomically.

    The page loads nothing: styles and figures are inside it.

    Args:
        cell_table, variant_table, check_table: the tables that `aggregate` made.
        labels: kind ("model", "precision", "prune", "benchmark") → id → label.
        figures: name of a plot module → its PNG or SVG, in the order of the page.
        provenance: what made these results; nested values are listed by their path.
        title: the study's title.

    Raises:
        CodewattError: a figure is missing or neither PNG nor SVG.
    """
    rows, variants = to_rows(cell_table), to_rows(variant_table)
    groups = _groups(rows, labels)
    views = [view for group in groups for view in group["rows"]]
    page = _template().render(
        title=title,
        notice=energy_notice(rows),
        boundary=boundary_words(rows),
        boundaries=[boundary_view(row, labels) for row in rows if row["status"] == "ok"],
        checks=check_views(to_rows(check_table)),
        sections=sections(rows, labels),
        groups=groups,
        failures=[view for view in views if view["failed"] or view["reason"]],
        warnings=[view for view in views if view["warnings"]],
        variants=[variant_view(row, labels) for row in variants],
        recoveries=fidelity_views(variants, labels),
        figures=[_figure(name, Path(path)) for name, path in figures.items()],
        provenance=list(_flat(provenance)),
    )
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("codewatt.analysis", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("summary.html.j2")


def _figure(name: str, path: Path) -> dict[str, str]:
    if path.suffix not in _MEDIA:
        raise CodewattError(f"{path}: a figure of the summary is {' or '.join(_MEDIA)}")
    try:
        content = base64.b64encode(path.read_bytes()).decode("ascii")
    except FileNotFoundError:
        raise CodewattError(f"{path}: no such file") from None
    caption = _CAPTIONS.get(name, name)
    return {"source": f"data:{_MEDIA[path.suffix]};base64,{content}", "caption": caption}


def _groups(rows: list[Row], labels: Labels) -> list[dict[str, Any]]:
    """The cell table, split by setting."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(setting_words(row, labels), []).append(row)
    result = []
    for setting, group in groups.items():
        accuracy = accuracy_column(group)
        tasks = {row["tasks"] for row in group if row["tasks"] is not None}
        repeats = {row["repeats"] for row in group if row["repeats"] is not None}
        result.append(
            {
                "setting": setting,
                "tests": accuracy.rpartition("_")[2],
                "tasks": _listed(tasks),
                "repeats": _listed(repeats),
                "boards": boards_words(group),
                "mixed": len(comparable_groups([r for r in group if r["status"] == "ok"])) > 1,
                "rows": cell_views(group, labels),
            }
        )
    return result


def _listed(counts: set[int]) -> str | None:
    return " or ".join(str(count) for count in sorted(counts)) or None


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Nested values as (path, text), in their order."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        yield path, ", ".join(str(item) for item in value)
    else:
        yield path, "not known" if value is None else str(value)
