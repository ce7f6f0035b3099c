"""Draws nano's tasks: simple Python functions with docstrings, for training or held out from it.

A digest of what a task computes (family and constants, not name and wording) decides whether it is
held out: one in ten is. Training draws from the other tasks, the benchmark from those held out, so
no seed can bring a benchmark task into training.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from codewatt.errors import CodewattError
from codewatt.nano.task_families import FAMILIES, Draft
from codewatt.nano.task_inputs import make_inputs

_INDENT = "    "
_HELD_OUT_ONE_IN = 10
_DRAWS_PER_TASK = 2000


@dataclass(frozen=True)
class Problem:
    """One task with HumanEval's fields.

    Attributes:
        family: name of the task family.
        key: identity of what the function computes within the family.
        prompt: signature and docstring with a trailing newline.
        canonical_solution: the body, indented by four spaces.
        entry_point: name of the function.
        base_input, plus_input: argument lists; empty for training.
        atol: absolute tolerance on the output.
    """

    family: str
    key: str
    prompt: str
    canonical_solution: str
    entry_point: str
    base_input: list[list[Any]] = field(default_factory=list)
    plus_input: list[list[Any]] = field(default_factory=list)
    atol: float = 0.0


def training_problems(count: int, seed: int) -> Iterator[Problem]:
    """Yield `count` problems for training, without inputs; none is a held-out task."""
    rng = Random(f"nano training {seed}")
    names = list(FAMILIES)
    for _ in range(count):
        family = rng.choice(names)
        draft = FAMILIES[family](rng)
        while is_held_out(family, draft.key):
            draft = FAMILIES[family](rng)
        yield _problem(family, draft)


def held_out_problems(count: int, seed: int) -> list[Problem]:
    """`count` different held-out problems with inputs, from all families in turn.

    Raises:
        CodewattError: `count` is below 1, or the grammar holds out fewer tasks.
    """
    if count < 1:
        raise CodewattError(f"nano: tasks: expected at least 1, found {count}")
    rng = Random(f"nano held out {seed}")
    families = deque(FAMILIES)
    problems: list[Problem] = []
    seen: set[tuple[str, str]] = set()
    while len(problems) < count and families:
        family = families.popleft()
        draft = _draw_held_out(family, rng, seen)
        if draft is not None:
            families.append(family)
            problems.append(_problem(family, draft, *make_inputs(draft, rng)))
    if len(problems) < count:
        raise CodewattError(f"nano: tasks: expected at most {len(problems)}, found {count}")
    return problems


def is_held_out(family: str, key: str) -> bool:
    """Whether a task is held out for the benchmark: one in ten is, by its sha256."""
    total = hashlib.sha256(f"{family}: {key}".encode()).digest()
    return int.from_bytes(total[:8], "big") % _HELD_OUT_ONE_IN == 0


def _draw_held_out(family: str, rng: Random, seen: set[tuple[str, str]]) -> Draft | None:
    """Draw a held-out task that is not in `seen`, and add it there; None if none was found."""
    for _ in range(_DRAWS_PER_TASK):
        draft = FAMILIES[family](rng)
        if is_held_out(family, draft.key) and (family, draft.key) not in seen:
            seen.add((family, draft.key))
            return draft
    return None


def _problem(
    family: str,
    draft: Draft,
    base: list[list[Any]] | None = None,
    plus: list[list[Any]] | None = None,
) -> Problem:
    parameters = ", ".join(name for name, _ in draft.parameters)
    return Problem(
        family=family,
        key=draft.key,
        prompt=f'def {draft.name}({parameters}):\n{_INDENT}"""{draft.docstring}"""\n',
        canonical_solution="".join(f"{_INDENT}{line}\n" for line in draft.body),
        entry_point=draft.name,
        base_input=base or [],
        plus_input=plus or [],
        atol=draft.atol,
    )
