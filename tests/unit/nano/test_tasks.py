"""Nano's tasks: HumanEval's form, apart from training, and right about themselves."""

import copy
from typing import Any

import pytest

from codewatt.benchmarks.nano_benchmark import NanoBenchmark
from codewatt.benchmarks.tasks import FunctionTask, read_tasks, write_tasks
from codewatt.errors import CodewattError
from codewatt.nano.task_families import FAMILIES
from codewatt.nano.task_sampling import Problem, held_out_problems, is_held_out, training_problems
from codewatt.nano_settings import NanoSettings

_DEFAULT = NanoSettings(architecture="starcoder2")


@pytest.fixture(scope="module")
def training() -> list[Problem]:
    """What a model of default settings is trained on."""
    return list(training_problems(_DEFAULT.steps * _DEFAULT.batch_size, _DEFAULT.seed))


@pytest.fixture(scope="module")
def held_out() -> list[Problem]:
    return held_out_problems(330, seed=0)


def _signature_and_docstring(problem: Problem) -> tuple[str, str]:
    signature, docstring, _ = problem.prompt.split('"""')
    return signature.partition("(")[2], docstring


def test_training_never_shows_a_held_out_task(
    training: list[Problem], held_out: list[Problem]
) -> None:
    for view in (
        lambda problem: (problem.family, problem.key),
        lambda problem: problem.prompt,
        _signature_and_docstring,
        lambda problem: problem.canonical_solution,
    ):
        assert not set(map(view, training)) & set(map(view, held_out))


@pytest.mark.parametrize("seed", [1, 2, 77])
def test_no_seed_mixes_the_two_parts(seed: int) -> None:
    assert not any(is_held_out(p.family, p.key) for p in training_problems(500, seed))
    assert all(is_held_out(p.family, p.key) for p in held_out_problems(60, seed))


def test_the_same_seed_gives_the_same_problems_and_another_seed_others() -> None:
    assert held_out_problems(40, 5) == held_out_problems(40, 5)
    assert held_out_problems(40, 5) != held_out_problems(40, 6)
    assert list(training_problems(40, 5)) == list(training_problems(40, 5))
    assert list(training_problems(40, 5)) != list(training_problems(40, 6))


def test_more_tasks_begin_with_the_fewer(held_out: list[Problem]) -> None:
    assert held_out_problems(50, seed=0) == held_out[:50]


def test_families_take_turns_and_no_task_comes_twice(held_out: list[Problem]) -> None:
    assert {problem.family for problem in held_out[: len(FAMILIES)]} == set(FAMILIES)
    assert len({(problem.family, problem.key) for problem in held_out}) == len(held_out)


def test_prompts_have_humanevals_form(held_out: list[Problem]) -> None:
    for problem in held_out:
        assert problem.prompt.startswith(f"def {problem.entry_point}(")
        assert problem.prompt.endswith('."""\n')
        assert all(line.startswith("    ") for line in problem.canonical_solution.splitlines())
        assert problem.canonical_solution.endswith("\n")


def test_canonical_solutions_answer_every_input(held_out: list[Problem]) -> None:
    for problem in held_out:
        assert len(problem.base_input) < len(problem.plus_input)
        for arguments in problem.base_input + problem.plus_input:
            _call(problem, problem.canonical_solution, arguments)


@pytest.mark.parametrize(
    ("said", "right", "wrong"),
    [("at least ", " >= ", " > "), ("less than ", " < ", " <= "), ("longer than ", " > ", " >= ")],
)
def test_plus_inputs_catch_more_slips_at_the_edge_than_base(
    held_out: list[Problem], said: str, right: str, wrong: str
) -> None:
    caught = {"base": 0, "plus": 0}
    concerned = [p for p in held_out if said in p.prompt and right in p.canonical_solution]
    assert len(concerned) >= 5
    for problem in concerned:
        slip = problem.canonical_solution.replace(right, wrong)
        for name, inputs in (("base", problem.base_input), ("plus", problem.plus_input)):
            caught[name] += any(
                _call(problem, slip, arguments)
                != _call(problem, problem.canonical_solution, arguments)
                for arguments in inputs
            )
    assert caught["base"] < caught["plus"]


def _call(problem: Problem, body: str, arguments: list[Any]) -> Any:
    """Run a body of the grammar's own making; no model wrote it."""
    names: dict[str, Any] = {}
    exec(problem.prompt + body, names)
    return names[problem.entry_point](*copy.deepcopy(arguments))


def test_benchmark_writes_humaneval_rows(tmp_path: Any) -> None:
    tasks = NanoBenchmark().tasks({"tasks": 30, "seed": 3})
    assert [task.task_id for task in tasks[:2]] == ["Nano/0", "Nano/1"]
    assert len({task.task_id for task in tasks}) == 30
    write_tasks(tmp_path / "tasks.jsonl.gz", tasks)
    assert read_tasks(tmp_path / "tasks.jsonl.gz") == tasks
    assert all(FunctionTask.from_row(task.to_row(), "here") == task for task in tasks)


@pytest.mark.parametrize(
    "settings", [{"task": 3}, {"tasks": "3"}, {"tasks": True}, {"tasks": 0}, {"tasks": -1}]
)
def test_benchmark_refuses_wrong_settings_in_one_line(settings: dict[str, Any]) -> None:
    with pytest.raises(CodewattError) as caught:
        NanoBenchmark().tasks(settings)
    assert "\n" not in str(caught.value)
    assert "nano" in str(caught.value)


def test_more_tasks_than_there_are_is_an_error_that_says_how_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "codewatt.nano.task_sampling.FAMILIES", {"number_steps": FAMILIES["number_steps"]}
    )
    with pytest.raises(CodewattError, match=r"expected at most \d+"):
        held_out_problems(1000, seed=0)
