"""Whether a cell solved any task, which decides whether its model is pruned any deeper."""

from codewatt.errors import CodewattError
from codewatt.evaluate.depth_record import DepthRecord
from codewatt.evaluate.evaluate_record import EvaluateRecord
from codewatt.evaluate.verdicts import PASS


def count_solved_tasks(cell: str, evaluate: EvaluateRecord) -> DepthRecord:
    """Count the tasks of which some completion of some repeat passed the base tests.

    Args:
        cell: its id.
        evaluate: its evaluate.json.

    Returns:
        depth.json.

    Raises:
        CodewattError: there are no verdicts.
    """
    if evaluate["status"] == "infeasible":
        return {"schema": 1, "cell": cell, "tasks": None, "correct": None, "zero": False}
    verdicts = evaluate["verdicts"]
    if not verdicts:
        raise CodewattError(f"{cell}: evaluate.json holds no verdicts: evaluate this cell again")
    solved = {verdict["task_id"] for verdict in verdicts if verdict["base"] == PASS}
    tasks = {verdict["task_id"] for verdict in verdicts}
    return {
        "schema": 1,
        "cell": cell,
        "tasks": len(tasks),
        "correct": len(solved),
        "zero": not solved,
    }
