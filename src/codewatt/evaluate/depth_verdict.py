"""Whether a cell solved anything: what decides if its model is pruned any deeper."""

from typing import Any

from codewatt.errors import CodewattError
from codewatt.evaluate.verdicts import PASS


def judge_depth(cell: str, evaluate: dict[str, Any]) -> dict[str, Any]:
    """The tasks that a cell solved, from the verdicts on its completions.

    Args:
        cell: its id.
        evaluate: its evaluate.json; of a cell that could not run, the record that says so.

    Returns:
        depth.json. correct: tasks of which some completion of some repeat passed the base tests;
        None for a cell that could not run. zero: pass@1 is 0. The same verdicts give the same
        text, so that a cell which is judged again makes nothing after it stale.

    Raises:
        CodewattError: there are no verdicts.
    """
    if evaluate.get("status") == "infeasible":
        return {"cell": cell, "tasks": None, "correct": None, "zero": False}
    verdicts = evaluate.get("verdicts")
    if not verdicts:
        raise CodewattError(f"{cell}: evaluate.json holds no verdicts: evaluate this cell again")
    solved = {verdict["task_id"] for verdict in verdicts if verdict["base"] == PASS}
    tasks = {verdict["task_id"] for verdict in verdicts}
    return {"cell": cell, "tasks": len(tasks), "correct": len(solved), "zero": not solved}
