"""Repetition in completions: repeated n-grams, repeated lines, and loops at the end.

Greedy decoding tends to loops, the more so the more layers are pruned. Correct code contains
repetition too. A share must therefore be compared with that of another variant on the same tasks,
not with zero.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.analysis.columns import REPETITION
from codewatt.analysis.log_scale_statistics import t_interval
from codewatt.analysis.proportions import wilson_interval

#: n of the n-grams: Welleck et al. (2020) report seq-rep-4.
NGRAM = 4
#: A phrase that occurs at least LOOP_TIMES in a row at the end, over at least LOOP_TOKENS tokens,
#: is a loop.
LOOP_TIMES, LOOP_TOKENS = 3, 12

#: Column of the run and cell tables (a mean over tasks) -> column of the task table.
_TASK_COLUMNS = {
    "repeated_4grams_share": "repeated_4grams_share",
    "repeated_lines_share": "repeated_lines_share",
    "loops_share": "ends_in_loop",
}


@dataclass(frozen=True)
class Repetition:
    """Repetition in one completion; None where its tokens or text are unknown or too short.

    The attributes are columns of the task table.
    """

    repeated_4grams_share: float | None = None
    repeated_lines_share: float | None = None
    ends_in_loop: bool | None = None


def measure_repetition(tokens: Sequence[int] | None, text: str | None) -> Repetition:
    """The repetition metrics of a completion.

    Args:
        tokens: its new tokens, without the end-of-sequence token; None if they were not kept.
        text: the completion that is tested, cut at the stop string; None if it was not given.
    """
    return Repetition(
        None if tokens is None else repeated_ngrams_share(tokens),
        None if text is None else repeated_lines_share(text),
        None if tokens is None else ends_in_loop(tokens),
    )


def repeated_ngrams_share(tokens: Sequence[Hashable], n: int = NGRAM) -> float | None:
    """Share of repeated n-grams, seq-rep-n = 1 - |distinct n-grams| / |n-grams|.

    Welleck et al. 2020, arXiv:1908.04319, section 6.1. 0 if no n-gram occurs twice; None for fewer
    than n tokens.
    """
    grams = len(tokens) - n + 1
    if grams < 1:
        return None
    distinct = len(set(zip(*(tokens[i : i + grams] for i in range(n)), strict=True)))
    return 1 - distinct / grams


def repeated_lines_share(text: str) -> float | None:
    """Share of lines that already occurred in the same text.

    The duplicate line fraction of Rae et al. (2021, arXiv:2112.11446, table A1). Blank lines are
    not counted. Lines are compared without trailing white space but with their indentation, which
    has a meaning in Python. None for a text without a line.
    """
    lines = [stripped for line in text.splitlines() if (stripped := line.rstrip())]
    return 1 - len(set(lines)) / len(lines) if lines else None


def ends_in_loop(tokens: Sequence[Hashable]) -> bool:
    """Whether the tokens end in a phrase that occurs at least LOOP_TIMES times in a row.

    After Holtzman et al. (2020, arXiv:1904.09751, figure 9): a phrase is a repetition "when it
    repeats at least three times at the end of the generation". They require phrases of at least
    two tokens, that is six tokens in all. Here a phrase may be a single token, but the loop must
    have at least LOOP_TOKENS tokens: the zeros of a number and a row of closing brackets, which
    many tokenisers split, are no loop. Complexity: linear in the number of tokens.
    """
    matched = _z_function(list(reversed(tokens)))
    return any(
        period + match >= max(LOOP_TIMES * period, LOOP_TOKENS)
        for period, match in enumerate(matched)
        if period
    )


def _z_function(items: list[Hashable]) -> list[int]:
    """Z function: for each position, the length of the longest common prefix with the whole list.

    Gusfield 1997, "Algorithms on Strings, Trees and Sequences", section 1.4.
    """
    size = len(items)
    found = [0] * size
    left = right = 0
    for i in range(1, size):
        length = min(right - i, found[i - left]) if i < right else 0
        while i + length < size and items[length] == items[i + length]:
            length += 1
        found[i] = length
        if i + length > right:
            left, right = i, i + length
    return found


def run_shares(tasks: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """The repetition metrics of a run: the mean over tasks of each task's mean over completions.

    Args:
        tasks: rows of the task table. Completions without a value are not counted.

    Returns:
        repeated_4grams_share, repeated_lines_share and loops_share (fractions); None where no
        completion has a value.
    """
    rows = list(tasks)
    return {name: _mean(_by_task(rows, name)) for name in REPETITION}


def cell_shares(tasks: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """The repetition metrics of a cell over all its repeats, with 95 % intervals over tasks.

    Repeated n-grams and lines have Student's t interval of the mean (`_ci95_`), cut to [0, 1].
    Loops have Wilson's interval of a proportion (`_wilson95_`), as pass@1 has.

    Args:
        tasks: rows of the task table, of all repeats.

    Returns:
        The metrics and the ends of their intervals.
    """
    rows = list(tasks)
    found: dict[str, float | None] = {}
    for name, kind in REPETITION.items():
        values = _by_task(rows, name)
        mean = _mean(values)
        ends = _wilson(mean, len(values)) if kind == "wilson95" else t_interval(values)
        low, high = (max(ends[0], 0.0), min(ends[1], 1.0)) if ends is not None else (None, None)
        found |= {name: mean, f"{name}_{kind}_low": low, f"{name}_{kind}_high": high}
    return found


def _by_task(rows: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    """For each task, the mean of a metric over its completions that have a value."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if (value := row[_TASK_COLUMNS[name]]) is not None:
            values[row["task_id"]].append(float(value))
    return [math.fsum(found) / len(found) for found in values.values()]


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _wilson(share: float | None, tasks: int) -> tuple[float, float] | None:
    return None if share is None else wilson_interval(min(share, 1.0) * tasks, tasks)
