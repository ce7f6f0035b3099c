"""BigCodeBench is read from upstream's formats, recognised by its content, and cut to a subset."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from codewatt.benchmarks import bigcodebench_dataset
from codewatt.benchmarks.bigcodebench_benchmark import BigCodeBench
from codewatt.benchmarks.bigcodebench_dataset import (
    content_digest,
    domains_of,
    hard_task_ids,
    read_dataset,
)
from codewatt.benchmarks.tasks import read_tasks, write_tasks
from codewatt.errors import CodewattError
from codewatt.files import write_jsonl
from tests.support.bigcodebench import bigcodebench_row

REBUILT = "bigcodebench/BigCodeBench-v0.1.4-rebuilt.jsonl.gz"


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        write_jsonl(path, rows)
    return path


@pytest.mark.parametrize("name", ["data.jsonl", "data.jsonl.gz", "data.parquet"])
def test_each_format_gives_the_same_tasks(tmp_path: Path, name: str) -> None:
    # In the order of a file that was sorted by text.
    path = write(tmp_path / name, [bigcodebench_row(number) for number in (0, 10, 2)])
    tasks = BigCodeBench().tasks({"path": path, "pinned": False})
    assert [task.task_id for task in tasks] == [f"BigCodeBench/{n}" for n in (0, 2, 10)]
    row = bigcodebench_row()
    assert tasks[0].prompt == tasks[0].complete_prompt == row["complete_prompt"]
    assert tasks[0].reference_program == row["complete_prompt"] + row["canonical_solution"]
    assert (tasks[0].libraries, tasks[0].domains) == (["os"], ["System"])
    write_tasks(tmp_path / "tasks.jsonl.gz", tasks)
    assert read_tasks(tmp_path / "tasks.jsonl.gz") == tasks


def test_the_split_chooses_the_prompt_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "data.jsonl", [bigcodebench_row()])
    (task,) = BigCodeBench().tasks({"path": path, "pinned": False, "split": "instruct"})
    assert task.prompt == bigcodebench_row()["instruct_prompt"]
    assert task.program_start == bigcodebench_row()["complete_prompt"]


def test_the_subset_hard_is_cut_before_the_number_of_tasks(tmp_path: Path) -> None:
    path = write(tmp_path / "data.jsonl", [bigcodebench_row(number) for number in range(20)])
    settings = {"path": path, "pinned": False, "subset": "hard"}
    hard = [f"BigCodeBench/{number}" for number in (13, 15, 17, 19)]
    assert [task.task_id for task in BigCodeBench().tasks(settings)] == hard
    assert [task.task_id for task in BigCodeBench().tasks({**settings, "tasks": 2})] == hard[:2]
    easy = write(tmp_path / "easy.jsonl", [bigcodebench_row(0)])
    with pytest.raises(CodewattError, match=r"easy\.jsonl: contains no task of the subset 'hard'"):
        BigCodeBench().tasks({**settings, "path": easy})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task_id": "HumanEval/0"}, "task_id 'HumanEval/0' belongs to HumanEval+; allowed: rows"),
        ({"task_id": "BigCodeBench/x"}, "task_id 'BigCodeBench/x'; allowed: rows of BigCodeBench"),
        ({"test": 3}, "test: expected a string, found 3"),
        ({"test": "\ud800"}, "test: expected a string"),
        ({"libs": "['os', 'nosuch']"}, "libs: found 'nosuch'; allowed"),
        ({"libs": "[os"}, "libs: not a list of module names"),
        ({"entry_point": "no name"}, "entry_point: expected a function name"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "data.jsonl"
    rows = [bigcodebench_row(1), bigcodebench_row(**changes)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(CodewattError) as error:
        BigCodeBench().tasks({"path": path, "pinned": False})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_columns_and_duplicates_are_refused(tmp_path: Path) -> None:
    row = bigcodebench_row()
    del row["code_prompt"]
    with pytest.raises(CodewattError, match=r"data\.jsonl:1: code_prompt: .* found nothing"):
        read_dataset(write(tmp_path / "data.jsonl", [row]))
    with pytest.raises(CodewattError, match=r"data\.parquet: no column code_prompt"):
        read_dataset(write(tmp_path / "data.parquet", [row]))
    twice = [bigcodebench_row(), bigcodebench_row()]
    with pytest.raises(CodewattError, match=r"data\.jsonl:2: duplicate task_id"):
        read_dataset(write(tmp_path / "data.jsonl", twice))
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(CodewattError, match=r"text\.parquet: not readable as parquet"):
        read_dataset(tmp_path / "text.parquet")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "chat"}, "split 'chat'; allowed: complete, instruct"),
        ({"subset": "easy"}, "subset 'easy'; allowed: full, hard"),
        ({"mini": True}, "unknown setting 'mini'; allowed: path, pinned, split, subset, tasks"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(CodewattError, match=message):
        BigCodeBench().tasks(settings)


def test_another_version_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "data.jsonl", [bigcodebench_row()])
    with pytest.raises(CodewattError, match=r"is not BigCodeBench v0\.1\.4 \(1 tasks"):
        BigCodeBench().tasks({"path": path})
    found = content_digest(read_dataset(path))
    monkeypatch.setitem(bigcodebench_dataset._VERSIONS, found, "v0.1.2")
    for pinned in (True, False):
        with pytest.raises(CodewattError, match=r"is BigCodeBench v0\.1\.2 .*; allowed: v0\.1\.4"):
            BigCodeBench().tasks({"path": path, "pinned": pinned})


def test_a_download_is_kept_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    content = write(tmp_path / "data.parquet", [bigcodebench_row()]).read_bytes()
    asked: list[str] = []

    def download_file(url: str) -> bytes:
        asked.append(url)
        return content

    monkeypatch.setattr(bigcodebench_dataset, "download_file", download_file)
    with pytest.raises(CodewattError, match=r"is not BigCodeBench v0\.1\.4"):
        BigCodeBench().tasks({})
    assert asked == [bigcodebench_dataset._URL]
    found = content_digest([{**read_dataset(tmp_path / "data.parquet")[0], "libs": ["os", "os"]}])
    monkeypatch.setitem(bigcodebench_dataset._VERSIONS, found, "v0.1.4")
    assert len(BigCodeBench().tasks({})) == 1
    assert len(asked) == 1


def test_domains_are_those_of_the_libraries() -> None:
    assert domains_of(["random", "numpy", "itertools"]) == ["Computation", "General"]
    assert len(hard_task_ids()) == 148


@pytest.mark.data
def test_the_rebuilt_dataset_has_the_pinned_content_and_upstreams_domains(test_data: Path) -> None:
    tasks = BigCodeBench().tasks({"path": test_data / REBUILT})
    assert [task.task_id for task in tasks] == [f"BigCodeBench/{n}" for n in range(1140)]
    upstream = json.loads((test_data / "bigcodebench/task2domain.json").read_text())
    assert {task.task_id: task.domains for task in tasks} == {
        task_id: sorted(set(domains)) for task_id, domains in upstream.items()
    }
    hard = json.loads((test_data / "bigcodebench/hard_task_ids.json").read_text())
    cut = BigCodeBench().tasks({"path": test_data / REBUILT, "subset": "hard"})
    assert [task.task_id for task in cut] == hard


@pytest.mark.data
def test_the_first_release_is_refused_by_name(test_data: Path) -> None:
    path = test_data / "bigcodebench/BigCodeBench-v0.1.0_hf.jsonl.gz"
    with pytest.raises(CodewattError, match=r"is BigCodeBench v0\.1\.0_hf \(1140 tasks"):
        BigCodeBench().tasks({"path": path, "pinned": False})
