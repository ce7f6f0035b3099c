"""What the explorer knows of a table's columns: type, unit, meaning, group and interval."""

import re
from collections.abc import Mapping, Sequence
from typing import TypedDict

from codewatt.analysis.column_descriptions import DESCRIPTIONS, ROWS
from codewatt.analysis.column_patterns import Description
from codewatt.analysis.columns import RUN

#: Tables that the page shows first, in this order; others follow in the order of their files.
TABLE_ORDER = (
    "cell", "comparison", "session", "run", "variant", "statistical_test", "regression", "check",
    "domain", "domain_comparison", "task",
)  # fmt: skip

#: Columns that say which row this is. The page shows those whose value differs among the rows.
IDENTITY = (
    "cell_id", "variant_id", "model", "prune", "precision", "prune_layers", "benchmark", "prompt",
    "token_limit", "batch_size", "engine", "hardware", "session", "repeat", "sample", "task_id",
    "domain", "domains", "name", "reference_cell_id", "metric", "scale",
)  # fmt: skip

_SETTING = ("benchmark", "prompt", "token_limit", "batch_size", "engine", "hardware")
_VARIANT = ("model", "prune", "precision")
#: Table -> columns that the page shows at first, in this order; the page leaves out columns
#: without a value, and columns of IDENTITY that are the same in all rows.
DEFAULT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "cell": (
        *_VARIANT, *_SETTING, "valid", "pass_at_1_base", "pass_at_1_plus",
        "pass_at_1_base_difference", "energy_j_geomean", "energy_j_change",
        "energy_j_change_p_holm", "j_per_correct_task_base", "tokens_per_s_geomean", "size_bytes",
        "energy_status", "status_reason",
    ),
    "comparison": (
        *_VARIANT, *_SETTING, "metric", "scale", "estimate", "p", "p_holm", "hedges_g",
        "cliffs_delta", "equivalent", "noninferior", "minimum_detectable_effect", "sessions",
        "note",
    ),
    "session": (
        *_VARIANT, *_SETTING, "session", "order_position", "started_at_utc", "host", "gpu_uuids",
        "block",
    ),
    "run": (
        *_VARIANT, *_SETTING, "session", "repeat", "valid", "pass_at_1_base", "pass_at_1_plus",
        "duration_s", "tokens_per_s", "new_tokens", "energy_j", "j_per_token",
        "j_per_correct_task_base", "energy_status",
    ),
    "statistical_test": (
        "test", "level", "metric", "factor", "group", "cell_id", "other_cell_id", "statistic", "df",
        "p", "p_holm", "effect", "n", "conclusion",
    ),
    "regression": (
        *_VARIANT, *_SETTING, "model_name", "errors", "term", "coefficient", "p", "p_holm",
        "r_squared_centred", "thesis_coefficient", "conclusion_changes", "conclusion",
    ),
    "variant": (
        *_VARIANT, "status", "method", "dtype", "weights_origin", "layers", "parameters",
        "size_bytes", "size_bytes_change", "quantise_s", "quantise_energy_j", "perplexity",
        "kl_nats_per_token", "status_reason",
    ),
    "check": (
        "name", "cell_id", "session", "repeat", "severity", "passed", "observed", "limit", "unit",
        "detail",
    ),
    "domain": (
        *_VARIANT, *_SETTING, "domain", "tasks", "tasks_judged", "pass_at_1_base", "j_per_task",
        "j_per_correct_task_base", "new_tokens_per_task",
    ),
    "domain_comparison": (
        *_VARIANT, *_SETTING, "reference_cell_id", "domain", "metric", "tasks", "estimate", "p",
        "p_holm", "tasks_lost", "tasks_gained", "minimum_detectable_effect", "sessions", "note",
    ),
    "task": (
        *_VARIANT, *_SETTING, "session", "repeat", "sample", "task_id", "solved_base",
        "solved_plus", "base_status", "new_tokens", "stop_reason", "latency_s", "energy_j",
    ),
}  # fmt: skip
#: How many columns the page shows at first of a table that is not in DEFAULT_COLUMNS.
COLUMNS_AT_FIRST = 12

#: Groups of the column chooser, in their order; a column belongs to the first that matches.
_GROUPS = tuple(
    (title, re.compile(pattern))
    for title, pattern in (
        ("Identity", rf"(?:{'|'.join(IDENTITY)})$|baseline_|engine_reference"),
        (
            "Status and remarks",
            r"status$|valid|warnings|.*checks$|.*note$|.*reason$|interval_scope",
        ),
        ("Outcome of a check", r"(severity|passed|observed|limit|unit|detail)$"),
        (
            "Machine and order",
            r"host|same_host|cpu_name|gpu_uuids|board|block|order_|started_at|rest_",
        ),
        ("Energy for accuracy", r".*j_per_correct_task|.*pass_at_1_\w+_per_kwh|break_even"),
        ("Judging", r"(generate_)?evaluate_"),
        (
            "Accuracy",
            r"pass_at|.*tasks|mcnemar|noninferior|solved|correct|samples|(base|plus)_status",
        ),
        ("Effect and test", r"estimate|ci95|p$|p_holm|df$|hedges|cliffs|a12|.*equivalen|minimum_"),
        ("Repetition", r"repeated|loops|ends_in_loop"),
        ("Net and idle energy", r"net_|.*idle"),
        ("Roofline", r".*roofline|.*(bandwidth|flops|compute_s|bytes_per_|_weight_bytes)"),
        ("Prefill and decode", r"(prefill|decode)_"),
        (
            "Making the variant",
            r"quantise|score_layers|method|dtype|layers|parameters|size_|weights_origin",
        ),
        ("Fidelity", r"fidelity|logits|kl_|top1|perplexity"),
        ("Energy by component and boundary", r"(gpu|cpu|dram|node|job)_"),
        ("Energy", r".*energy|j_per|co2e|grid_|.*_j$"),
        ("Time and throughput", r".*_s(_|$)|.*tokens"),
    )
)
_LAST_GROUP = "Other"
GROUPS = (*(title for title, _ in _GROUPS), _LAST_GROUP)


class ColumnView(TypedDict):
    """What the page knows of a column.

    Attributes:
        type: "text", "integer", "real" or "boolean".
        unit: unit of the values; empty where they have none.
        meaning: what the column says; empty if the column has no description.
        group: one of GROUPS.
        identity: whether the column says which row this is.
        interval: names of the columns with the ends of its confidence interval, low and high.
    """

    name: str
    type: str
    unit: str
    meaning: str
    group: str
    identity: bool
    interval: tuple[str, str] | None


def column_views(table: str, types: Mapping[str, str]) -> list[ColumnView]:
    """The columns of a table, in their order.

    Args:
        table: the table's name, as in codewatt.analysis.column_reference.all_tables.
        types: column -> type, as `codewatt.parquet.column_types` returns it.
    """
    return [_view(table, name, kind, types) for name, kind in types.items()]


def default_columns(table: str, names: Sequence[str]) -> list[str]:
    """The columns that the page shows at first; those that the table lacks are left out."""
    wanted = DEFAULT_COLUMNS.get(table)
    if wanted is None:
        return list(names[:COLUMNS_AT_FIRST])
    return [name for name in wanted if name in names]


def rows_text(table: str) -> str:
    """What a row of the table is, in one sentence; empty for a table without a description."""
    return ROWS.get(table, "")


def interval_columns(column: str, names: Mapping[str, str]) -> tuple[str, str] | None:
    """The columns with the ends of a column's confidence interval, or None.

    `x_ci95_low` and `x_ci95_high` belong to `x`; in the statistics of a positive metric they
    belong to its geometric mean (`x_geomean`), in those of a signed metric to its mean
    (`x_mean`). In a table of one estimate a row they belong to `estimate`, or to `coefficient`.
    """
    starts = [f"{column}_ci95", f"{column}_wilson95", column]
    stem, _, statistic = column.rpartition("_")
    if statistic == "geomean" or (statistic == "mean" and f"{stem}_geomean" not in names):
        starts.append(f"{stem}_ci95")
    if column in ("estimate", "coefficient"):
        starts.append("ci95")
    for start in starts:
        if {f"{start}_low", f"{start}_high"} <= set(names):
            return f"{start}_low", f"{start}_high"
    return None


def group_of(column: str) -> str:
    """The group of the column chooser to which a column belongs."""
    return next((title for title, pattern in _GROUPS if pattern.match(column)), _LAST_GROUP)


def _view(table: str, name: str, kind: str, types: Mapping[str, str]) -> ColumnView:
    described = _description(table, name)
    return {
        "name": name,
        "type": kind,
        "unit": _unit(name, described),
        "meaning": _meaning(name, described),
        "group": group_of(name),
        "identity": name in IDENTITY,
        "interval": interval_columns(name, types),
    }


def _unit(column: str, described: Description | None) -> str:
    """The column's unit; for a statistic of a metric, the unit of the metric in the run table."""
    unit = described.unit if described else "-"
    if unit.startswith("unit of the"):
        metric = _metric(column)
        unit = metric[1].unit if metric else "-"
    return "" if unit == "-" else unit.replace("`", "")


def _meaning(column: str, described: Description | None) -> str:
    """What the column says; for a statistic of a metric, also what the metric is."""
    if described is None:
        return ""
    text = described.meaning
    metric = _metric(column) if described.pattern.startswith("<") else None
    if metric and metric[1].meaning != text:
        text = f"{text} {metric[0]}: {metric[1].meaning}"
    return text.replace("`", "")


def _metric(column: str) -> tuple[str, Description] | None:
    """The metric of the run table with whose name a column begins."""
    starts = sorted((name for name in RUN if f"{column}_".startswith(f"{name}_")), key=len)
    described = _description("run", starts[-1]) if starts else None
    return (starts[-1], described) if described else None


def _description(table: str, column: str) -> Description | None:
    """The column's entry in the reference; a study's own k of pass@k has none."""
    found = (entry for entry in DESCRIPTIONS.get(table, ()) if entry.matches(column))
    return next(found, None)
