"""Which modules a fork server imports before any program runs: those that tasks use most.

This saves time only: a program's own import loads any other module.
"""

import ast
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence

from codewatt.benchmarks.tasks import UnittestTask

_MIN_TASKS = 2
#: Their import starts threads, which a forked process does not have, or takes long and is rare.
_NEVER = frozenset({"keras", "tensorflow", "turtle"})


def modules_to_preload(tasks: Sequence[UnittestTask]) -> list[str]:
    """Modules that reference programs and tests of at least two tasks import, most used first.

    Modules of the standard library are left out, because they load fast. A name that is not a
    module (`from numpy import array`) may be among them; the fork server leaves it out.
    """
    counts = Counter(
        name
        for task in tasks
        for name in {*_imported(task.reference_program), *_imported(task.test)}
    )
    wanted = [name for name, count in counts.items() if count >= _MIN_TASKS and _may_load(name)]
    return sorted(wanted, key=lambda name: (-counts[name], name))


def _imported(source: str) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escape sequences that later versions refuse
            tree = ast.parse(source)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            for alias in node.names:
                if alias.name.isidentifier():
                    yield f"{node.module}.{alias.name}"


def _may_load(name: str) -> bool:
    top = name.partition(".")[0]
    return top not in sys.stdlib_module_names and top not in _NEVER
