"""Recognises the benchmark of a task by its task_id."""

import re

#: Benchmark by the part of a task_id before the first "/" or "_", in lower case.
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
    # HumanEval-X: HumanEval in other languages.
    **dict.fromkeys(("python", "cpp", "java", "javascript", "go", "rust"), "HumanEval-X"),
}


def benchmark_of_task(task_id: object) -> str | None:
    """The benchmark of a task_id, such as MBPP+ for "Mbpp/2"; None if unknown."""
    if not isinstance(task_id, str):
        return None
    prefix = re.split(r"[/_]", task_id, maxsplit=1)[0]
    return _PREFIXES.get(prefix.lower())
