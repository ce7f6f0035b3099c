"""Which benchmark a task belongs to, by the id that its authors gave it."""

import re
from typing import Any

from codewatt.errors import CodewattError

#: What stands before the first "/" of a task's id, in small letters -> the benchmark.
_PREFIXES = {
    "humaneval": "HumanEval+",
    "mbpp": "MBPP+",
    "bigcodebench": "BigCodeBench",
    "bigcodebench-hard": "BigCodeBench",
    "evoeval": "EvoEval",
    "livecodebench": "LiveCodeBench",
    "lcb": "LiveCodeBench",
    "classeval": "ClassEval",
    "ds1000": "DS-1000",
    "apps": "APPS",
    "codecontests": "CodeContests",
    "cruxeval": "CRUXEval",
    "nano": "nano",
    # HumanEval-X and its kin: HumanEval in other languages.
    **dict.fromkeys(("python", "cpp", "java", "javascript", "go", "rust"), "HumanEval-X"),
}


def benchmark_of_task(task_id: object) -> str | None:
    """The benchmark that a task's id names: "Mbpp/2" is of MBPP+; None if it names none."""
    if not isinstance(task_id, str):
        return None
    prefix = re.split(r"[/_]", task_id, maxsplit=1)[0]
    return _PREFIXES.get(prefix.lower())


def refuse_foreign_row(row: dict[str, Any], where: str) -> None:
    """Refuse a row that is not one of HumanEval+: other benchmarks are judged by other rules.

    A row of HumanEval+ has a prompt that begins the function which is called. The prompts of
    MBPP+ only describe it.

    Args:
        where: file and line, for the message.

    Raises:
        CodewattError: the row's id names another benchmark, or its prompt does not begin the
            function.
    """
    task_id, prompt, name = row.get("task_id"), row.get("prompt"), row.get("entry_point")
    found = benchmark_of_task(task_id)
    if found not in (None, "HumanEval+"):
        raise CodewattError(
            f"{where}: task_id {task_id!r:.60} is of {found}; allowed: rows of HumanEval+, as "
            "other benchmarks are judged by other rules"
        )
    if not (isinstance(prompt, str) and isinstance(name, str) and name.isidentifier()):
        return  # reading the row as a task says what is wrong
    if not re.search(rf"^[ \t]*(async[ \t]+)?def[ \t]+{name}[ \t]*\(", prompt, re.MULTILINE):
        raise CodewattError(
            f"{where}: prompt: does not begin the function {name!r}; allowed: rows of HumanEval+, "
            "whose prompts end with its signature and docstring"
        )
