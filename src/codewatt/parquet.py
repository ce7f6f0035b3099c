"""Parquet files in and out: the one place that opens them.

Without pandas, whose import takes longer than the own work of most stages: pyarrow's read_table
and its conversions from Python values import it, ParquetFile and JSON do not.
"""

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import atomic_path

#: (column, Arrow's alias of its type, or list<alias>), in order.
Fields = Sequence[tuple[str, str]]


def write_rows(
    path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]], fields: Fields
) -> None:
    """Write rows with exactly these columns, atomically; None is written as null.

    Raises:
        KeyError: a row lacks a column.
    """
    import pyarrow
    import pyarrow.json

    schema = pyarrow.schema([(name, _arrow_type(kind)) for name, kind in fields])
    # Through JSON: building arrays from Python values makes pyarrow import pandas (1.2 s).
    lines = "".join(json.dumps({name: row[name] for name, _ in fields}) + "\n" for row in rows)
    if lines:
        options = pyarrow.json.ParseOptions(explicit_schema=schema)
        table = pyarrow.json.read_json(io.BytesIO(lines.encode()), parse_options=options)
    else:
        table = schema.empty_table()
    with open_writer(path, schema) as writer:
        writer.write_table(table)


def frame_table(frame: Any) -> Any:
    """A pandas DataFrame without its index as a pyarrow table.

    Written by `open_writer`, it is read as what `write_frame` writes.
    """
    import pyarrow

    return pyarrow.Table.from_pandas(frame, preserve_index=False)


def write_frame(path: str | os.PathLike[str], frame: Any) -> None:
    """Write a pandas DataFrame without its index, atomically."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


@contextmanager
def open_writer(path: str | os.PathLike[str], schema: Any) -> Iterator[Any]:
    """A pyarrow ParquetWriter; the file appears under its name when all of it is written.

    Args:
        schema: the pyarrow schema; its metadata is kept in the file.
    """
    from pyarrow.parquet import ParquetWriter

    with atomic_path(path) as temporary, ParquetWriter(temporary, schema) as writer:
        yield writer


def read_table(path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> Any:
    """Read a pyarrow table.

    Args:
        columns: the columns to read, in this order; all if not given.

    Raises:
        CodewattError: the file is missing, is not parquet, or lacks a column.
    """
    with _opened(path) as file:
        absent = [name for name in columns or () if name not in file.schema_arrow.names]
        if absent:
            raise CodewattError(f"{path}: no column {', '.join(absent)}")
        table = file.read(columns=None if columns is None else list(columns))
    return table if columns is None else table.select(list(columns))


def read_rows(
    path: str | os.PathLike[str], columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Read rows as dicts of plain values, null as None; see `read_table`."""
    rows: list[dict[str, Any]] = read_table(path, columns).to_pylist()
    return rows


def column_names(path: str | os.PathLike[str]) -> list[str]:
    """The names of a file's columns.

    Raises:
        CodewattError: the file is missing or is not parquet.
    """
    with _opened(path) as file:
        return list(file.schema_arrow.names)


def column_types(path: str | os.PathLike[str]) -> dict[str, str]:
    """Column -> "text", "integer", "real" or "boolean", in the order of the file.

    A type of another kind, such as a list, is given as "text".

    Raises:
        CodewattError: the file is missing or is not parquet.
    """
    from pyarrow import types

    def kind(arrow_type: Any) -> str:
        if types.is_boolean(arrow_type):
            return "boolean"
        if types.is_integer(arrow_type):
            return "integer"
        return "real" if types.is_floating(arrow_type) else "text"

    with _opened(path) as file:
        return {field.name: kind(field.type) for field in file.schema_arrow}


def row_count(path: str | os.PathLike[str]) -> int:
    """The number of rows of a file.

    Raises:
        CodewattError: the file is missing or is not parquet.
    """
    with _opened(path) as file:
        return int(file.metadata.num_rows)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """A pyarrow ParquetFile; what goes wrong in here is one line that names the file."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    if not Path(path).is_file():
        raise CodewattError(f"{path}: no such file")
    try:
        with ParquetFile(path) as file:
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CodewattError(f"{path}: not readable as parquet: {reason}") from None


def _arrow_type(kind: str) -> Any:
    """Arrow's type of an alias such as int32, or of list<int32>."""
    import pyarrow

    if kind.startswith("list<"):
        return pyarrow.list_(_arrow_type(kind.removeprefix("list<").removesuffix(">")))
    return pyarrow.type_for_alias(kind)
