"""Writes the explorer: one HTML page that contains a study's tables as Parquet."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from codewatt.analysis.labels import Labels
from codewatt.explorer.column_views import (
    GROUPS,
    TABLE_ORDER,
    ColumnView,
    column_views,
    default_columns,
    rows_text,
)
from codewatt.explorer.page_assets import content_hash, page_script, parquet_reader, style
from codewatt.files import atomic_path, sha256_file
from codewatt.parquet import column_types, row_count
from codewatt.plots.figure_style import COLOURS

#: Parquet bytes that a page contains at most. In the page each is 4/3 characters, so that a page
#: has less than 10 MB.
MAX_PARQUET_BYTES = 7_000_000


class TableView(TypedDict):
    """What the page knows of a table.

    Attributes:
        rows_text: what a row is.
        file: path of the table below the study's folder.
        embedded: whether the page contains the table.
        sha256: digest of the Parquet file.
        columns: all columns, in their order.
        default_columns: the columns that the page shows at first.
    """

    name: str
    rows_text: str
    rows: int
    file: str
    bytes: int
    sha256: str
    embedded: bool
    columns: list[ColumnView]
    default_columns: list[str]


def write_explorer(
    tables: Mapping[str, Path],
    labels: Labels,
    out: str | Path,
    *,
    title: str = "codewatt",
    max_parquet_bytes: int = MAX_PARQUET_BYTES,
) -> None:
    """Write the page, atomically.

    The page contains its scripts, its style and the tables, and its Content-Security-Policy
    forbids it to load anything. A table that would make the page too large is left out; the page
    says so and names its file.

    Args:
        tables: name -> Parquet file.
        labels: kind ("model", "precision", ...) -> id -> label.
        out: path of the page.
        title: the study's title.
        max_parquet_bytes: bytes of tables that the page contains at most.

    Raises:
        CodewattError: a table is missing or is not Parquet.
    """
    views, embedded = [], {}
    left = max_parquet_bytes
    for name in ordered(list(tables)):
        view = _table_view(name, tables[name], left)
        if view["embedded"]:  # others are not read: they may be larger than the memory
            left -= view["bytes"]
            embedded[name] = base64.b64encode(tables[name].read_bytes()).decode("ascii")
        views.append(view)
    page = _render(title, {"title": title, "labels": labels, "tables": views}, embedded)
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def ordered(names: Sequence[str]) -> list[str]:
    """The names of tables in the order of the page's tabs."""
    first = [name for name in TABLE_ORDER if name in names]
    return [*first, *(name for name in names if name not in first)]


def _table_view(name: str, path: Path, max_bytes: int) -> TableView:
    """What the page knows of a table, which it contains if the file has at most `max_bytes`."""
    types = column_types(path)
    size = path.stat().st_size
    return {
        "name": name,
        "rows_text": rows_text(name),
        "rows": row_count(path),
        "file": f"tables/{name}.parquet",
        "bytes": size,
        "sha256": sha256_file(path),
        "embedded": size <= max_bytes,
        "columns": column_views(name, types),
        "default_columns": default_columns(name, list(types)),
    }


def _render(title: str, study: dict[str, Any], embedded: Mapping[str, str]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("codewatt.explorer", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = {"reader": parquet_reader(), "script": page_script()}
    page: str = environment.get_template("explorer.html.j2").render(
        title=title,
        study=json_in_html({**study, "groups": GROUPS, "colours": COLOURS}),
        embedded=embedded,
        style=style(),
        hashes=" ".join(content_hash(f"\n{text}\n") for text in scripts.values()),
        **scripts,
    )
    return page


def json_in_html(value: Any) -> str:
    """JSON that can stand in a script element: no text in it ends the element or opens another."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
