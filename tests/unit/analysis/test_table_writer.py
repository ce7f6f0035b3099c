"""Tables in parts are equal to tables at once, and kept tasks are the rows that they were."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from codewatt.analysis import table_writer
from codewatt.analysis.columns import TASK, Row
from codewatt.analysis.kept_tasks import KeptTasks
from codewatt.analysis.table_writer import open_table
from codewatt.analysis.tables import to_table, write_csv, write_parquet

#: Rows with absent values, text that CSV quotes, and a part in which a column has no value.
PARTS: list[list[Row]] = [
    [
        {"cell_id": "a", "session": 1, "task_id": 't"0,\n', "energy_j": 0.1, "solved_base": True},
        {"cell_id": "a", "session": 1, "task_id": "t1", "energy_j": None, "solved_base": None},
    ],
    [],
    [{"cell_id": "é", "session": 2, "task_id": "t1"}],
    [{"cell_id": "b", "session": 1, "task_id": "t0", "energy_j": 1e300, "ends_in_loop": False}],
]


def write_parts(folder: Path, parts: list[list[Row]]) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    out = {"task": folder / "task.parquet", "task_csv": folder / "task.csv"}
    with open_table(TASK, out, "task") as writer:
        for part in parts:
            writer.add(part)
    return out


@pytest.mark.parametrize("group", [1, 2, 100])
@pytest.mark.parametrize("parts", [PARTS, []], ids=["rows", "no rows"])
def test_parts_make_the_table_that_all_rows_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int, parts: list[list[Row]]
) -> None:
    monkeypatch.setattr(table_writer, "ROW_GROUP", group)
    out = write_parts(tmp_path / "parts", parts)
    whole = to_table([row for part in parts for row in part], TASK)
    write_parquet(whole, tmp_path / "whole.parquet")
    write_csv(whole, tmp_path / "whole.csv")
    assert out["task_csv"].read_bytes() == (tmp_path / "whole.csv").read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(out["task"]), whole)
    schemas = [pq.read_schema(path) for path in (out["task"], tmp_path / "whole.parquet")]
    assert schemas[0].equals(schemas[1], check_metadata=True)
    sizes = {1: [2, 1, 1], 2: [2, 2], 100: [4]}[group] if parts else []
    found = pq.ParquetFile(out["task"]).metadata
    assert [found.row_group(i).num_rows for i in range(found.num_row_groups)] == sizes


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_parts(tmp_path / name, PARTS) for name in ("first", "second"))
    for name in first:
        assert first[name].read_bytes() == second[name].read_bytes()


def test_a_table_that_is_not_finished_is_not_there(tmp_path: Path) -> None:
    out = {"task": tmp_path / "task.parquet", "task_csv": tmp_path / "task.csv"}
    for path in out.values():
        path.write_text("old")
    with pytest.raises(ValueError, match="unknown column: no_column"):
        write_parts(tmp_path, [PARTS[0], [{"no_column": 1}]])
    assert {path.read_text() for path in out.values()} == {"old"}
    assert sorted(tmp_path.iterdir()) == sorted(out.values())


def test_kept_tasks_are_the_rows_that_were_added() -> None:
    columns = (
        "session", "repeat", "task_id", "domains", "exclusion_reason", "latency_s", "energy_j",
        "generate_evaluate_energy_j", "repeated_4grams_share", "repeated_lines_share",
        "ends_in_loop", "solved_base", "solved_plus",
    )  # fmt: skip

    def row(number: int) -> dict[str, Any]:
        values: list[Any] = [
            1 + number % 3, number % 2, f"t{number % 5}", [None, "Network", "Time"][number % 3],
            [None, "fail: no network"][number % 2],
            0.1 * number, [None, 1e-7 * number][number % 2], 1 / 3, None, 0.0,
            [True, False, None][number % 3], [False, None][number % 2], True,
        ]  # fmt: skip
        return dict(zip(columns, values, strict=True))

    rows = [row(number) for number in range(40)]
    kept = KeptTasks()
    kept.add([{**one, "stop_reason": "eos"} for one in rows[:25]])
    kept.add([{key: value for key, value in one.items() if value is not None} for one in rows[25:]])
    assert list(kept) == rows
    assert list(kept) == rows, "a second time"
    assert (len(kept), kept[-1], kept[3:5]) == (40, rows[-1], rows[3:5])
