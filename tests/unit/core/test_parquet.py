"""Rows written and read again, and files that are none."""

import subprocess
import sys
from pathlib import Path

import pandas
import pyarrow
import pytest

from codewatt.errors import CodewattError
from codewatt.parquet import open_writer, read_rows, read_table, write_rows

FIELDS = (("name", "string"), ("count", "int32"), ("values", "list<double>"))
ROWS = [
    {"name": "a", "count": 1, "values": [0.5, 2.0]},
    {"name": None, "count": None, "values": None},
]


@pytest.mark.parametrize("rows", [ROWS, []])
def test_rows_come_back_and_pandas_reads_the_same(tmp_path: Path, rows: list) -> None:
    write_rows(tmp_path / "x.parquet", rows, FIELDS)
    assert read_rows(tmp_path / "x.parquet") == rows
    frame = pandas.read_parquet(tmp_path / "x.parquet")
    assert list(frame.columns) == [name for name, _ in FIELDS]
    assert len(frame) == len(rows)


def test_columns_in_the_order_that_is_given(tmp_path: Path) -> None:
    write_rows(tmp_path / "x.parquet", ROWS, FIELDS)
    table = read_table(tmp_path / "x.parquet", ("count", "name"))
    assert table.column_names == ["count", "name"]
    assert read_rows(tmp_path / "x.parquet", ["name"]) == [{"name": "a"}, {"name": None}]


def test_metadata_is_kept_and_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    schema = pyarrow.schema([("x", pyarrow.int8())], metadata={b"key": b"value"})
    with open_writer(tmp_path / "x.parquet", schema) as writer:
        writer.write_table(schema.empty_table())
    assert read_table(tmp_path / "x.parquet", ["x"]).schema.metadata == {b"key": b"value"}
    with pytest.raises(RuntimeError), open_writer(tmp_path / "y.parquet", schema):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CodewattError, match=r"none\.parquet: no such file"):
        read_rows(tmp_path / "none.parquet")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(CodewattError, match=r"x\.parquet: not readable as parquet: "):
        read_rows(tmp_path / "x.parquet")
    write_rows(tmp_path / "x.parquet", ROWS, FIELDS)
    with pytest.raises(CodewattError, match=r"x\.parquet: no column other, more"):
        read_rows(tmp_path / "x.parquet", ["name", "other", "more"])


def test_neither_way_imports_pandas(tmp_path: Path) -> None:
    code = (
        "import sys; from codewatt.parquet import read_rows, write_rows; "
        "write_rows(sys.argv[1], [{'x': 1}], [('x', 'int32')]); "
        "assert read_rows(sys.argv[1], ['x']) == [{'x': 1}]; assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.parquet")], check=True)
