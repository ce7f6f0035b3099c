"""A table that is written in parts: its rows are never in memory all together."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from os import PathLike
from typing import IO, Any

import pyarrow

from codewatt.analysis.columns import Columns, Row
from codewatt.analysis.tables import to_table
from codewatt.files import atomic_path
from codewatt.parquet import frame_table, open_writer

#: Least number of rows of a Parquet row group, except the last: small groups make large files.
ROW_GROUP = 16_384


class TableWriter:
    """Writes rows to a Parquet and to a CSV file as they come (`open_table`).

    Both files are the same as if all rows were written at once, but for Parquet's row groups. The
    bytes depend on the rows, on their order and on how they are divided into parts.
    """

    def __init__(self, columns: Columns, parquet: Any | None, csv: IO[str] | None) -> None:
        self._columns = columns
        self._parquet = parquet
        self._csv = csv
        self._waiting: list[pyarrow.Table] = []
        if csv is not None:
            to_table([], columns).to_csv(csv, index=False)

    def add(self, rows: Sequence[Row]) -> None:
        """Write more rows (`to_table`)."""
        if not rows:
            return
        frame = to_table(rows, self._columns)
        if self._csv is not None:
            frame.to_csv(self._csv, index=False, header=False)
        if self._parquet is not None:
            self._waiting.append(frame_table(frame))
            if sum(part.num_rows for part in self._waiting) >= ROW_GROUP:
                self.flush()

    def flush(self) -> None:
        """Write the rows that wait for their row group to be full."""
        if self._parquet is not None and self._waiting:
            group = pyarrow.concat_tables(self._waiting)
            self._parquet.write_table(group, row_group_size=group.num_rows)
        self._waiting = []


@contextmanager
def open_table(
    columns: Columns, out: Mapping[str, str | PathLike[str]], name: str
) -> Iterator[TableWriter]:
    """A writer of a table; the files appear under their names when all rows are written.

    Args:
        columns: the table's columns.
        out: paths by name; the table's are `name` (Parquet) and `<name>_csv`, each of which may be
            absent.
    """
    with ExitStack() as stack:
        parquet = csv = None
        if name in out:
            schema = frame_table(to_table([], columns)).schema
            parquet = stack.enter_context(open_writer(out[name], schema))
        if f"{name}_csv" in out:
            path = stack.enter_context(atomic_path(out[f"{name}_csv"]))
            csv = stack.enter_context(path.open("w", encoding="utf-8", newline=""))
        writer = TableWriter(columns, parquet, csv)
        yield writer
        writer.flush()
