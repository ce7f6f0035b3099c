"""Rows as parquet, without pandas, whose import takes longer than most stages' own work."""

import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from codewatt.files import atomic_path

#: (column, Arrow's alias of its type, or list<alias>), in order.
Fields = Sequence[tuple[str, str]]


def write_rows(
    path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]], fields: Fields
) -> None:
    """Write rows with exactly these columns, atomically; None is absent.

    Raises:
        KeyError: a row lacks a column.
    """
    import pyarrow
    import pyarrow.json
    import pyarrow.parquet

    schema = pyarrow.schema([(name, _arrow_type(kind)) for name, kind in fields])
    # Through JSON: building arrays from Python values makes pyarrow import pandas (1.2 s).
    lines = "".join(json.dumps({name: row[name] for name, _ in fields}) + "\n" for row in rows)
    if lines:
        options = pyarrow.json.ParseOptions(explicit_schema=schema)
        table = pyarrow.json.read_json(io.BytesIO(lines.encode()), parse_options=options)
    else:
        table = schema.empty_table()
    with atomic_path(path) as temporary:
        pyarrow.parquet.write_table(table, temporary)


def _arrow_type(kind: str) -> Any:
    """Arrow's type of an alias such as int32, or of list<int32>."""
    import pyarrow

    if kind.startswith("list<"):
        return pyarrow.list_(_arrow_type(kind.removeprefix("list<").removesuffix(">")))
    return pyarrow.type_for_alias(kind)
