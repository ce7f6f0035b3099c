"""`codewatt evaluate` on samples in a directory, and where its files cannot be written."""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codewatt.benchmarks.tasks import FunctionTask, write_tasks
from codewatt.errors import CodewattError
from codewatt.evaluate import evaluate_command
from codewatt.evaluate.evaluate_command import add_arguments, run
from codewatt.evaluate.sample_files import read_samples
from codewatt.files import read_json, write_jsonl

TASKS = [
    FunctionTask("T/0", "def add(x):\n", "add", "    return x + 1\n", [[1], [2]], [[3]]),
    FunctionTask("T/1", "def double(x):\n", "double", "    return 2 * x\n", [[1]], [[5]]),
]
PROGRAMS = {task.task_id: task.prompt + task.canonical_solution for task in TASKS}
SAID = "pass@1: base 1.000, plus 1.000"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_tasks(tmp_path / "tasks.jsonl", TASKS)
    rows = [{"task_id": key, "solution": code} for key, code in PROGRAMS.items()]
    write_jsonl(tmp_path / "samples.jsonl", rows)
    return tmp_path


def evaluate(folder: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = ["--benchmark", "humaneval_plus", "--dataset", str(folder / "tasks.jsonl")]
    given += ["--samples", str(folder / "samples.jsonl"), "--out", str(folder / "out.json")]
    return run(parser.parse_args([*given, "--jobs", "2", *more]))


@pytest.fixture
def never_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(*_: object, **__: object) -> None:
        raise AssertionError("it was judged")

    monkeypatch.setattr(evaluate_command, "judge", judge)
    monkeypatch.setattr(evaluate_command, "_expected", judge)


def make_directory(root: Path) -> dict[str, list[str]]:
    """EvalPlus's directory of twelve programs a task; task -> its programs in order."""
    programs: dict[str, list[str]] = {}
    for task_id in PROGRAMS:
        below = root / task_id.replace("/", "_")
        below.mkdir(parents=True)
        programs[task_id] = [f"{PROGRAMS[task_id]}# {number} é\n" for number in range(12)]
        for number, code in enumerate(programs[task_id]):
            (below / f"{number}.py").write_text(code, encoding="utf-8", newline="\r\n")
        (below / "notes.txt").write_text("not a program")
    (root / "README").write_text("not a task")
    (root / "empty").mkdir()
    return programs


def test_a_directory_is_read_as_evalplus_reads_it(tmp_path: Path) -> None:
    from evalplus.data.utils import load_solutions

    made = make_directory(tmp_path / "samples")
    samples = read_samples(tmp_path / "samples", TASKS)
    theirs = sorted(
        (row["task_id"], row["solution"]) for row in load_solutions(tmp_path / "samples")
    )
    assert sorted((sample.task_id, sample.solution) for sample in samples) == theirs
    for task_id, programs in made.items():
        mine = [sample for sample in samples if sample.task_id == task_id]
        assert [sample.solution for sample in mine] == programs
        assert [sample.sample for sample in mine] == list(range(12))


def test_a_directory_is_judged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_directory(folder / "samples")
    assert evaluate(folder, "--samples", str(folder / "samples")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == SAID
    assert [len(rows) for rows in read_json(folder / "out.json")["eval"].values()] == [12, 12]


def no_program(root: Path) -> None:
    (root / "T_0").mkdir(parents=True)


def unknown_task(root: Path) -> None:
    make_directory(root)
    (root / "Mbpp_2").mkdir()
    (root / "Mbpp_2" / "0.py").write_text("x")


def not_utf8(root: Path) -> None:
    make_directory(root)
    (root / "T_1" / "3.py").write_bytes(b"\n# caf\xe9\n")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_program, "samples: no program found; allowed: one directory for each task, "),
        (unknown_task, r"Mbpp_2/0\.py: task_id: 'Mbpp/2' is not in the benchmark, but of MBPP\+"),
        (not_utf8, r"T_1/3\.py:2: not readable as text: byte 0xe9 is not UTF-8"),
    ],
)
def test_a_directory_of_something_else_is_one_line(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(tmp_path / "samples")
    with pytest.raises(CodewattError, match=said) as refused:
        read_samples(tmp_path / "samples", TASKS)
    assert "\n" not in str(refused.value)


def test_the_line_of_a_bad_row_counts_blank_lines(folder: Path) -> None:
    good = json.dumps({"task_id": "T/0", "solution": "x"})
    text = f"\n{good}\r\n\n\n" + json.dumps({"task_id": "Mbpp/3\x1b[2J", "solution": "x"})
    (folder / "samples.jsonl").write_text(text)
    with pytest.raises(CodewattError, match=r"samples\.jsonl:5: task_id: .*but of MBPP") as refused:
        evaluate(folder)
    assert "\x1b" not in str(refused.value)


@pytest.mark.usefixtures("never_judged")
def test_an_output_that_cannot_be_is_found_before_judging(folder: Path) -> None:
    (folder / "file").write_text("")
    (folder / "directory").mkdir()
    for out, said in {
        "directory": "directory: is a directory",
        "file/out.json": "a part of its path is a file; allowed: directories",
        "/dev/null": "/dev/null: is not a regular file",
        "/proc/out.json": "/proc/out.json: cannot be written: ",
        "x" * 256: "cannot be written: File name too long",
    }.items():
        before = sorted(folder.rglob("*"))
        with pytest.raises(CodewattError, match=said):
            evaluate(folder, "--out", str(folder / out))
        assert sorted(folder.rglob("*")) == before


_LIMITED = """
import resource, sys
from codewatt.cli import main
from codewatt.evaluate import evaluate_command
evaluate_command._expected = evaluate_command.judge = lambda *_, **__: sys.exit("judged")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
sys.exit(main(sys.argv[1:]))
"""


def test_a_disk_without_room_is_found_before_judging(folder: Path) -> None:
    """A limit on the size of files stands in for a disk that is nearly full."""
    rows = [{"task_id": key, "solution": f"{code}# {'x' * 5000}"} for key, code in PROGRAMS.items()]
    write_jsonl(folder / "samples.jsonl", rows)
    given = ["evaluate", "--benchmark", "humaneval_plus", "--dataset", folder / "tasks.jsonl"]
    given += ["--samples", folder / "samples.jsonl", "--out", folder / "out.json"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", _LIMITED, *given], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == f"codewatt: {folder / 'out.json'}: cannot be written: " + (
        "File too large"
    )
    assert not list(folder.glob(".out*"))


def test_what_was_judged_is_kept_if_the_output_is_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another process put a directory where the result file was to be."""
    monkeypatch.chdir(folder)
    judged = evaluate_command.judge

    def judge(*arguments: Any, **named: Any) -> Any:
        (folder / "out.json").mkdir()
        return judged(*arguments, **named)

    monkeypatch.setattr(evaluate_command, "judge", judge)
    with pytest.raises(
        CodewattError, match=r"out\.json: is a directory.*the results were written to"
    ) as said:
        evaluate(folder)
    kept = Path(str(said.value).rpartition("the results were written to ")[2])
    assert [rows[0]["plus_status"] for rows in read_json(kept)["eval"].values()] == ["pass"] * 2
    assert capsys.readouterr().out.splitlines()[-1] == SAID


@pytest.mark.parametrize("cache", ["file", "/proc/nothing", "file/below"])
def test_a_cache_that_cannot_be_is_done_without(
    folder: Path,
    cache: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / cache))
    assert evaluate(folder) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == SAID
    assert "codewatt: expected outputs are not cached: " in said.err


def test_a_dataset_that_can_be_read_once_only_is_refused(folder: Path) -> None:
    with pytest.raises(CodewattError, match="/dev/stdin: is not a regular file"):
        evaluate(folder, "--dataset", "/dev/stdin")


def test_home_is_put_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    more = ("--dataset", "~/tasks.jsonl", "--samples", "~/samples.jsonl", "--out", "~/there.json")
    assert evaluate(folder, *more) == 0
    assert (folder / "there.json").is_file()
