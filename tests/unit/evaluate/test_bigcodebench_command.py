"""`codewatt evaluate --benchmark bigcodebench` writes bigcodebench's two result files."""

import json
import sys
from pathlib import Path

import pytest

from codewatt.cli import main
from codewatt.evaluate.benchmark_interpreter import VARIABLE
from codewatt.files import write_jsonl
from tests.support.bigcodebench import bigcodebench_row

RIGHT = "import os\ndef task_func(path):\n    return sorted(os.listdir(path))\n"
WRONG = "def task_func(path):\n    return []\n"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command on three tasks; the reference solution of the third one fails."""
    monkeypatch.setenv(VARIABLE, sys.executable)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = [bigcodebench_row(number) for number in range(3)]
    rows[2]["canonical_solution"] = "    return None"
    write_jsonl(tmp_path / "data.jsonl", rows)
    samples = [
        {"task_id": f"BigCodeBench/{number}", "solution": code}
        for number, code in ((0, RIGHT), (0, WRONG), (1, WRONG), (1, WRONG), (2, RIGHT), (2, RIGHT))
    ]
    write_jsonl(tmp_path / "m--bigcodebench-complete.jsonl", samples)
    return [
        "evaluate", "--benchmark", "bigcodebench", "--dataset", str(tmp_path / "data.jsonl"),
        "--samples", str(tmp_path / "m--bigcodebench-complete.jsonl"),
        "--out", str(tmp_path / "m_eval_results.json"), "--jobs", "1",
    ]  # fmt: skip


def test_verdicts_and_pass_at_k_are_written(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--sanitize"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pass@1 0.250 (2 of 3 tasks)",
        "1 task is excluded, as its reference solution does not pass here: BigCodeBench/2",
    ]
    found = json.loads((tmp_path / "m_eval_results.json").read_text())["eval"]
    assert {name: [row["status"] for row in rows] for name, rows in found.items()} == {
        "BigCodeBench/0": ["pass", "fail"],
        "BigCodeBench/1": ["fail", "fail"],
    }
    assert found["BigCodeBench/0"][0]["solution"] == (
        f"{bigcodebench_row()['code_prompt']}\n    pass\n{RIGHT.strip()}"
    )
    assert json.loads((tmp_path / "m_pass_at_k.json").read_text()) == {
        "pass@1": 0.25,
        "model": "m",
        "split": "complete",
        "subset": "full",
        "calibrated": True,
        "gt_pass_rate": pytest.approx(2 / 3),
        "failed_tasks": ["BigCodeBench/2"],
    }


def test_outcomes_of_reference_solutions_are_cached(command: list[str], tmp_path: Path) -> None:
    assert main(command) == 0
    (kept,) = (tmp_path / "cache/codewatt").glob("references-*.json.gz")
    before = kept.stat().st_mtime_ns
    assert main([*command, "--no-calibrate"]) == 0
    assert kept.stat().st_mtime_ns == before
    assert json.loads((tmp_path / "m_pass_at_k.json").read_text())["calibrated"] is False


def test_a_missing_environment_is_one_line(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    assert main(command) != 0
    said = capsys.readouterr().err
    assert said.startswith(f"codewatt: {VARIABLE}: ")
    assert said.count("\n") == 1
