"""A depth is zero when no completion of any repeat passed the base tests of any task."""

import pytest

from codewatt.errors import CodewattError
from codewatt.evaluate.depth_verdict import count_solved_tasks


def _evaluate(*verdicts):
    rows = [dict(zip(("task_id", "repeat", "base", "plus"), v, strict=True)) for v in verdicts]
    return {"schema": 5, "status": "ok", "verdicts": [{**row, "sample": 0} for row in rows]}


@pytest.mark.parametrize(
    ("verdicts", "tasks", "correct"),
    [
        ([("a", 0, "fail", "fail"), ("b", 0, "timeout", "fail")], 2, 0),
        ([("a", 0, "fail", "fail"), ("a", 1, "pass", "fail")], 1, 1),
        ([("a", 0, "pass", "pass"), ("a", 1, "pass", "pass"), ("b", 0, "fail", "fail")], 2, 1),
        ([("a", 0, "fail", "pass")], 1, 0),
    ],
)
def test_the_base_tests_of_any_repeat_decide(verdicts, tasks, correct):
    depth = count_solved_tasks("cell", _evaluate(*verdicts))
    counted = {"tasks": tasks, "correct": correct, "zero": correct == 0}
    assert depth == {"schema": 1, "cell": "cell", **counted}


def test_a_cell_that_could_not_run_solved_nothing_but_is_not_zero():
    record = {"schema": 5, "cell": {"id": "cell"}, "status": "infeasible", "reason": "no memory"}
    depth = count_solved_tasks("cell", record)
    assert depth == {"schema": 1, "cell": "cell", "tasks": None, "correct": None, "zero": False}


def test_no_verdicts_are_an_error():
    with pytest.raises(CodewattError, match=r"cell: evaluate\.json holds no verdicts"):
        count_solved_tasks("cell", _evaluate())
