"""Nano's tasks: simple Python functions with docstrings, for training and held out from it.

The grammar's tasks are parted once and for all by a digest of what they compute (family and
parameters, whatever the name and the wording): one in ten is held out. Training draws from the
one part and tests from the other, so that no seed can bring a test task into training.
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
    """One task in HumanEval's terms.

    family and key: what is computed; prompt: signature and docstring with a trailing newline;
    canonical_solution: the body, indented by four spaces; entry_point: the function's name;
    base_input, plus_input: argument lists (empty for training); atol: absolute tolerance.
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
    """Yield `count` problems for training, without inputs; none of them computes a held-out one."""
    rng = Random(f"nano training {seed}")
    names = list(FAMILIES)
    for _ in range(count):
        family = rng.choice(names)
        draft = FAMILIES[family](rng)
        while is_held_out(family, draft.key):
            draft = FAMILIES[family](rng)
        yield _problem(family, draft)


def held_out_problems(count: int, seed: int) -> list[Problem]:
    """`count` different held-out problems with inputs, the families taking turns.

    Raises:
        CodewattError: `count` is not positive, or the grammar holds out fewer.
    """
    if count < 1:
        raise CodewattError(f"nano tasks: {count} asked for, at least 1 is needed")
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
        raise CodewattError(f"nano tasks: {count} asked for, at most {len(problems)} can be had")
    return problems


def is_held_out(family: str, key: str) -> bool:
    """Whether a task belongs to the tests: one in ten does, by its sha256."""
    total = hashlib.sha256(f"{family}: {key}".encode()).digest()
    return int.from_bytes(total[:8], "big") % _HELD_OUT_ONE_IN == 0


def _draw_held_out(family: str, rng: Random, seen: set[tuple[str, str]]) -> Draft | None:
    """A held-out draft that is not among `seen`, which it joins; None if none turns up."""
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
