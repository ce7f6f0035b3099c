"""The summary page: one self-contained HTML file with statements, figures and tables."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import boundary_text, devices_notice, setting_text
from codewatt.analysis.domain_views import domain_views
from codewatt.analysis.efficient_frontier import accuracy_column, comparable_groups
from codewatt.analysis.headlines import energy_notice, setting_sections
from codewatt.analysis.labels import Labels
from codewatt.analysis.prompt_views import prompt_views
from codewatt.analysis.published_section import PublishedSection
from codewatt.analysis.session_replicates import BETWEEN_SESSIONS
from codewatt.analysis.statistical_tests.summary_views import (
    regression_views,
    statistical_test_views,
)
from codewatt.analysis.summary_rows import (
    boundary_view,
    cell_views,
    check_views,
    fidelity_views,
    judging_view,
    origin_notices,
    variant_view,
)
from codewatt.analysis.tables import to_rows
from codewatt.errors import CodewattError
from codewatt.files import atomic_path
from codewatt.generate.generate_record import GenerateRecord

_MEDIA = {".png": "image/png", ".svg": "image/svg+xml"}
_CAPTIONS = {
    "energy_by_precision": "Energy per run for each precision, stacked by component.",
    "prune_depth": "pass@1 and energy per run against the number of pruned layers.",
    "repetition": "Repetition in completions against the number of pruned layers.",
    "domains": "pass@1 on the tasks of each domain.",
    "domain_energy": "Energy per task on the tasks of each domain.",
    "domain_effects": "Changes of energy per task and of pass@1 on the tasks of each domain.",
    "layer_scores": "Layer scores of the prune methods.",
    "frontier": "pass@1 against energy per run, with the efficient frontier.",
    "prompts": "pass@1 for each prompt style.",
    "effects": "Changes of energy, time and pass@1, with 95 % confidence intervals.",
    "distributions": "Energy and duration of every run.",
    "roofline": "Achieved FLOP/s of prefill and decode, below the roofline.",
    "scaling": "Energy per token against batch size and model size, with crossovers.",
    "power_over_time": "Power of GPU and CPU during the jobs, with their phases.",
}
#: Figures that the page shows on demand, so that it stays short.
_ON_DEMAND = ("distributions", "power_over_time", "roofline")


def write_summary(
    cell_table: pd.DataFrame,
    variant_table: pd.DataFrame,
    check_table: pd.DataFrame,
    labels: Labels,
    figures: Mapping[str, str | Path],
    provenance: Mapping[str, Any],
    out: str | Path,
    *,
    sessions: pd.DataFrame | None = None,
    tests: pd.DataFrame | None = None,
    regressions: pd.DataFrame | None = None,
    domains: pd.DataFrame | None = None,
    domain_comparisons: pd.DataFrame | None = None,
    prompts: Sequence[GenerateRecord] = (),
    published: PublishedSection | None = None,
    title: str = "codewatt",
) -> None:
    """Write the summary page, atomically.

    The page contains its styles and figures, so it needs no network.

    Args:
        cell_table: the cell table that `aggregate` made.
        variant_table: its variant table.
        check_table: its table of validity checks.
        labels: kind ("model", "precision", "prune", "benchmark") → id → label.
        figures: name of a plot module → its PNG or SVG, in the order of the page.
        provenance: versions and machine behind the results; nested values are listed by path.
        out: path of the page.
        sessions: its session table, which the comparison of variants with each other needs.
        tests: the table of statistical tests.
        regressions: the table of regressions of energy.
        domains: the domain table.
        domain_comparisons: the table of comparisons by domain.
        prompts: generate.json of each cell, for what its model was asked.
        published: the published study that this study repeats; None for other studies.
        title: the study's title.

    Raises:
        CodewattError: a figure is missing or neither PNG nor SVG.
    """
    rows, variants = to_rows(cell_table), to_rows(variant_table)
    groups = _groups(rows, labels)
    views = [view for group in groups for view in group["rows"]]
    shown = {name: _figure(name, Path(path)) for name, path in figures.items()}
    page = _template().render(
        title=title,
        notice=energy_notice(rows),
        origins=origin_notices(variants, labels),
        boundary=boundary_text(rows),
        between_sessions=any(row["interval_scope"] == BETWEEN_SESSIONS for row in rows),
        boundaries=[boundary_view(row, labels) for row in rows if row["status"] == "ok"],
        judging=[judging_view(row, labels) for row in rows if row["status"] == "ok"],
        checks=check_views(to_rows(check_table)),
        sections=setting_sections(rows, labels, _rows(sessions)),
        groups=groups,
        failures=[view for view in views if view["failed"] or view["reason"] or view["confounded"]],
        missing=[view for view in views if view["missing"]],
        warnings=[view for view in views if view["warnings"]],
        variants=[variant_view(row, labels) for row in variants],
        fidelity=fidelity_views(variants, labels),
        tests=statistical_test_views(_rows(tests)),
        regressions=regression_views(_rows(regressions), labels),
        domains=domain_views(
            _rows(domains),
            _rows(domain_comparisons),
            {row["cell_id"]: row["baseline_cell_id"] for row in rows},
            labels,
        ),
        prompts=prompt_views(prompts, labels),
        published=published,
        figures=[view for name, view in shown.items() if name not in _ON_DEMAND],
        more_figures=[view for name, view in shown.items() if name in _ON_DEMAND],
        provenance=list(_flatten(provenance)),
    )
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _rows(table: pd.DataFrame | None) -> list[Row]:
    return [] if table is None else to_rows(table)


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
        raise CodewattError(f"{path}: a figure of the summary must be {' or '.join(_MEDIA)}")
    try:
        content = base64.b64encode(path.read_bytes()).decode("ascii")
    except FileNotFoundError:
        raise CodewattError(f"{path}: no such file") from None
    caption = _CAPTIONS.get(name, name)
    return {"source": f"data:{_MEDIA[path.suffix]};base64,{content}", "caption": caption}


def _groups(rows: list[Row], labels: Labels) -> list[dict[str, Any]]:
    """The cells of each setting, with the remarks on their comparability."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(setting_text(row, labels), []).append(row)
    result = []
    for setting, group in groups.items():
        accuracy = accuracy_column(group)
        tasks = {row["tasks"] for row in group if row["tasks"] is not None}
        excluded = {row["excluded_tasks"]: None for row in group if row["excluded_tasks"]}
        repeats = {row["repeats"] for row in group if row["repeats"] is not None}
        sessions = {row["sessions"] or 1 for row in group if row["repeats"] is not None}
        result.append(
            {
                "setting": setting,
                "tests": accuracy.rpartition("_")[2],
                "tasks": _joined(tasks),
                "excluded": [text.split("; ") for text in excluded],
                "repeats": _joined(repeats),
                "sessions": None if sessions <= {1} else _joined(sessions),
                "devices": devices_notice(group),
                "mixed": len(comparable_groups([r for r in group if r["status"] == "ok"])) > 1,
                "rows": cell_views(group, labels),
            }
        )
    return result


def _joined(counts: set[int]) -> str | None:
    return " or ".join(str(count) for count in sorted(counts)) or None


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of each nested value, in their order."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        yield path, ", ".join(str(item) for item in value)
    else:
        yield path, "unknown" if value is None else str(value)
