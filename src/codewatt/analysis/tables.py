"""Conversion of rows to tables and back, and table files; absent values stay absent."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import pandas as pd

from codewatt.analysis.columns import Columns, Row
from codewatt.files import atomic_path
from codewatt.parquet import write_frame


def to_table(rows: Sequence[Row], columns: Columns) -> pd.DataFrame:
    """A table with exactly `columns`, in their order and with their types.

    Args:
        rows: column -> value; a missing key is an absent value (NA).
        columns: column -> dtype.

    Raises:
        ValueError: a row has a key that is not among the columns.
    """
    unknown = sorted({key for row in rows for key in row} - set(columns))
    if unknown:
        raise ValueError(f"unknown column: {', '.join(unknown)}")
    data: dict[str, Any] = {
        name: pd.array([row.get(name) for row in rows], dtype=dtype)  # type: ignore[call-overload]
        for name, dtype in columns.items()
    }
    return pd.DataFrame(data, columns=list(columns))


def to_rows(table: pd.DataFrame) -> list[Row]:
    """The rows of a table as dicts of Python values; absent values are None."""
    return [
        {str(name): None if _absent(value) else _plain(value) for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def write_parquet(table: pd.DataFrame, path: str | PathLike[str]) -> None:
    """Write a table as Parquet, atomically."""
    write_frame(path, table)


def write_csv(table: pd.DataFrame, path: str | PathLike[str]) -> None:
    """Write a table as CSV (UTF-8, with a header; absent values are empty), atomically."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)


def _absent(value: Any) -> bool:
    return bool(pd.isna(value))


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
