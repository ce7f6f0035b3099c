"""How much a completion repeats itself: n-grams and lines that came before, and loops at its end.

Greedy decoding falls into loops, and the more so the more of a model was taken away. What is
counted here are facts about the completions; code repeats itself too, so a share means something
against another variant's on the same tasks, not against zero.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.analysis.columns import REPETITION
from codewatt.analysis.log_scale_statistics import t_interval
from codewatt.analysis.proportions import wilson_interval

#: n of the n-grams: seq-rep-4 is what Welleck et al. (2020) report.
NGRAM = 4
#: A phrase that stands this often in a row at the end, over this many tokens, is a loop.
LOOP_TIMES, LOOP_TOKENS = 3, 12

#: Column of a run and of a cell (a mean over tasks) -> of a completion.
_OF_COMPLETION = {
    "repeated_4grams_share": "repeated_4grams_share",
    "repeated_lines_share": "repeated_lines_share",
    "loops_share": "ends_in_loop",
}


@dataclass(frozen=True)
class Repetition:
    """Of one completion; None where its tokens or its text are not known, or are too short."""

    repeated_4grams_share: float | None = None
    repeated_lines_share: float | None = None
    ends_in_loop: bool | None = None


def repetition_of(tokens: Sequence[int] | None, text: str | None) -> Repetition:
    """What is repeated in a completion.

    Args:
        tokens: its new tokens, without the one that ended it; None if they were not kept.
        text: what is judged, cut at the stop string; None if it was not given.
    """
    return Repetition(
        None if tokens is None else repeated_ngrams_share(tokens),
        None if text is None else repeated_lines_share(text),
        None if tokens is None else ends_in_loop(tokens),
    )


def repeated_ngrams_share(tokens: Sequence[Hashable], n: int = NGRAM) -> float | None:
    """seq-rep-n = 1 - |distinct n-grams| / |n-grams| (Welleck et al. 2020, arXiv:1908.04319, 6.1).

    A fraction: 0 when no n-gram comes twice. None for fewer than n tokens.
    """
    grams = len(tokens) - n + 1
    if grams < 1:
        return None
    distinct = len(set(zip(*(tokens[i : i + grams] for i in range(n)), strict=True)))
    return 1 - distinct / grams


def repeated_lines_share(text: str) -> float | None:
    """The share of lines that stood before in the same text.

    The duplicate line fraction of Rae et al. (2021, arXiv:2112.11446, table A1). Blank lines do
    not count; lines are compared without trailing white space, but with their indentation, which
    is part of what a line of Python says. None for a text without a line.
    """
    lines = [stripped for line in text.splitlines() if (stripped := line.rstrip())]
    return 1 - len(set(lines)) / len(lines) if lines else None


def ends_in_loop(tokens: Sequence[Hashable]) -> bool:
    """Whether the tokens end in a phrase that stands there LOOP_TIMES times in a row, or more.

    After Holtzman et al. (2020, arXiv:1904.09751, figure 9): a phrase is a repetition "when it
    repeats at least three times at the end of the generation". They ask for phrases of two tokens
    at least, so for six tokens in all; here they must take up LOOP_TOKENS, so that the zeros of a
    number and a row of closing brackets, which many tokenisers split, are no loop, and a phrase
    may then be a single token. Takes O(tokens).
    """
    matched = _matches(list(reversed(tokens)))
    return any(
        period + match >= max(LOOP_TIMES * period, LOOP_TOKENS)
        for period, match in enumerate(matched)
        if period
    )


def _matches(items: list[Hashable]) -> list[int]:
    """Z function: for each position, how many items from there on equal those from the first on.

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
    """The figures of a run: means over tasks, of a task's mean over its completions.

    Args:
        tasks: rows of the task table. Completions without a value are left out.

    Returns:
        repeated_4grams_share, repeated_lines_share and loops_share (fractions); None where no
        completion has a value.
    """
    rows = list(tasks)
    return {name: _mean(_by_task(rows, name)) for name in REPETITION}


def cell_shares(tasks: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """The figures of a cell, over all its repeats, with 95 % intervals over tasks.

    Of repeated n-grams and lines Student's t-interval of the mean (`_ci95_`), cut to [0, 1], where
    shares are; of loops Wilson's of a proportion (`_wilson95_`), as for pass@1.

    Args:
        tasks: rows of the task table, of all repeats.
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
    """The mean of a figure over each task's completions that have a value."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if (value := row[_OF_COMPLETION[name]]) is not None:
            values[row["task_id"]].append(float(value))
    return [math.fsum(found) / len(found) for found in values.values()]


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _wilson(share: float | None, tasks: int) -> tuple[float, float] | None:
    return None if share is None else wilson_interval(min(share, 1.0) * tasks, tasks)
