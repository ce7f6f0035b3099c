"""pass@k in every table is the number that EvalPlus itself prints for the same result file."""

import gzip
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from codewatt.evaluate.eval_results import pass_at_k_table
from codewatt.evaluate.verdicts import SuiteVerdict, Verdict
from tests.unit.analysis.conftest import Study, tables

pytestmark = pytest.mark.data

GREENLLMS = [
    f"greenllms/samples/samples_{run}-sanitized_eval_results.json.gz"
    for run in ("Phi2_128", "Phi2_128_3", "3b_256", "3b_128_8bit")
]
EVALPLUS = [
    f"evalplus_recorded/{dataset}-meta-llama-3-8b{kind}_eval_results.json.gz"
    for dataset in ("humaneval", "mbpp")
    for kind in ("", "-instruct")
]
JOULES = (300.0,)
#: EvalPlus prints pass@k for these k.
KS = (1, 10)


def recorded(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Task → (base status, plus status) of each sample."""
    rows = json.loads(gzip.decompress(path.read_bytes()))["eval"]
    return {
        task: [(sample["base_status"], sample["plus_status"]) for sample in samples]
        for task, samples in rows.items()
    }


def evalplus_prints(
    verdicts: dict[str, list[tuple[str, str]]],
    dataset: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> dict[str, dict[int, float]]:
    """{"base": {k: pass@k}, "plus": {k: pass@k}} as EvalPlus's own command prints them."""
    from evalplus.evaluate import evaluate

    content = {
        task: [
            {"task_id": task, "base_status": base, "plus_status": plus} for base, plus in samples
        ]
        for task, samples in verdicts.items()
    }
    (folder / "x_eval_results.json").write_text(json.dumps({"date": "", "eval": content}))
    capsys.readouterr()
    evaluate(dataset, samples=str(folder / "x.jsonl"))
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    found: dict[str, dict[int, float]] = {}
    for line in said.splitlines():
        if re.fullmatch(rf"{dataset}\+? \(base.*\)", line):
            numbers = found.setdefault("plus" if "+" in line else "base", {})
        elif (match := re.fullmatch(r"pass@(\d+):\t(\d\.\d{3})", line)) is not None:
            numbers[int(match[1])] = float(match[2])
    return found


def tables_of(verdicts: dict[str, list[tuple[str, str]]], folder: Path) -> dict[str, Any]:
    """The tables of a study with one cell that got these verdicts."""
    tasks = sorted(verdicts)
    samples = len(verdicts[tasks[0]])

    def judged(contents: dict[str, Any]) -> None:
        kept = []
        for row in contents["evaluate"]["verdicts"]:
            task = tasks[int(row["task_id"][1:])]
            row["base"], row["plus"] = verdicts[task][row["sample"]]
            suites = [SuiteVerdict(row[name], 1) for name in ("base", "plus")]
            kept.append(Verdict(row["task_id"], *suites))
        contents["evaluate"]["by_repeat"] = [{"repeat": 0, **pass_at_k_table(kept, KS)}]

    study = Study(folder)
    study.cell(tasks=len(tasks), samples=samples, joules_per_run=JOULES, edit=judged)
    return tables(study)


def compare(made: dict[str, Any], printed: dict[str, dict[int, float]]) -> None:
    """Each table's figures against the printed ones, which have three decimals."""
    assert set(printed) == {"base", "plus"}
    (run,), (cell,) = made["run"], made["cell"]
    for tests, numbers in printed.items():
        by_task: dict[str, list[bool]] = defaultdict(list)
        for row in made["task"]:
            by_task[row["task_id"]].append(row[f"solved_{tests}"])
        solved = sum(sum(found) / len(found) for found in by_task.values()) / len(by_task)
        for figure in (run[f"pass_at_1_{tests}"], cell[f"pass_at_1_{tests}"], solved):
            assert figure == pytest.approx(numbers[1], abs=5.1e-4)
        completions = len(made["task"])
        assert run[f"correct_{tests}"] == pytest.approx(numbers[1] * completions, abs=0.51)
        per_task = cell[f"j_per_correct_task_{tests}"]
        assert per_task == pytest.approx(JOULES[0] / (numbers[1] * completions), rel=0.01)
        if 10 in numbers:
            assert cell[f"pass_at_10_{tests}"] == pytest.approx(numbers[10], abs=5.1e-4)


@pytest.mark.parametrize("name", [*GREENLLMS, *EVALPLUS])
def test_the_tables_agree_with_what_evalplus_prints(
    name: str, test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts = recorded(test_data / name)
    dataset = "mbpp" if "mbpp" in name else "humaneval"
    printed = evalplus_prints(verdicts, dataset, tmp_path, capsys)
    compare(tables_of(verdicts, tmp_path), printed)


def test_some_recorded_program_passes_plus_and_not_base(test_data: Path) -> None:
    """The data can tell the two definitions of plus apart."""
    assert any(
        base != "pass" and plus == "pass"
        for name in (*GREENLLMS, *EVALPLUS)
        for samples in recorded(test_data / name).values()
        for base, plus in samples
    )


def test_several_samples_agree_at_pass_at_10_too(
    test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twelve samples a task: the four runs, each three times."""
    files = [recorded(test_data / name) for name in GREENLLMS]
    verdicts = {task: [file[task][0] for file in files] * 3 for task in files[0]}
    printed = evalplus_prints(verdicts, "humaneval", tmp_path, capsys)
    assert 10 in printed["plus"]
    compare(tables_of(verdicts, tmp_path), printed)
