"""Whether a text holds a benchmark's tasks: compression must not see what it is judged on.

A program is taken for present in a document if more than four fifths of its runs of eight lexical
tokens stand in it; comments, layout and names of functions do not count. Brown et al. 2020
(appendix C) look for single runs of thirteen words; in generated code single runs are shared by
programs that compute different things: among a thousand of nano's tasks and as many functions that
compute something else, shares reach 0.78, among HumanEval's tasks 0.51.

A program of fewer than eight lexical tokens is looked for as one run. Of two texts, documents of
fewer are looked for together, as one of them alone (`import os`) says nothing. One of 1024 lexical
tokens or more is looked for in parts of 512 or some more, as a file of plain text may share half of
itself. Of 99 runs of 512 in the held-out part of the text stdlib (Python 3.11.7) none is in a
definition of its calibration part by more than 0.21. (Of what both would hold neither has any;
within one part modules do copy from each other, up to 0.97.)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codewatt.errors import CodewattError

RUN = 8
PART = 512
LIMIT_SHARE = 0.8
_LEXEME = re.compile(r"\w+|[^\w\s]")
_COMMENT = re.compile(r"#[^\n]*")
_DEFINED_NAME = re.compile(r"\bdef\s+\w+")
_Run = tuple[str, ...]


@dataclass(frozen=True)
class Overlap:
    """How much of one program stands in a text.

    name: the program's. share: the greatest share of its runs that one document holds.
    """

    name: str
    share: float


def overlaps(documents: Sequence[str], programs: dict[str, str]) -> list[Overlap]:
    """The overlap of each program with the documents, greatest first.

    Args:
        programs: name → source.
    """
    return _overlaps(documents, {name: _lexemes(text) for name, text in programs.items()})


def _lexemes(text: str) -> list[str]:
    return _LEXEME.findall(_DEFINED_NAME.sub("def _", _COMMENT.sub("", text)))


def _runs(lexemes: Sequence[str], length: int) -> set[_Run]:
    """The distinct runs of so many lexical tokens; of a shorter text there is none."""
    return {tuple(lexemes[at : at + length]) for at in range(len(lexemes) - length + 1)}


def _overlaps(documents: Sequence[str], programs: Mapping[str, Sequence[str]]) -> list[Overlap]:
    """See `overlaps`; of each program the lexical tokens."""
    lengths = {min(len(lexemes), RUN) for lexemes in programs.values() if lexemes}
    where: dict[_Run, set[int]] = {}
    for number, document in enumerate(documents):
        held = _lexemes(document)
        for length in lengths:
            for run in _runs(held, length):
                where.setdefault(run, set()).add(number)
    found = []
    for name, lexemes in programs.items():
        runs = _runs(lexemes, min(len(lexemes), RUN)) if lexemes else set()
        counts: dict[int, int] = {}
        for run in runs:
            for number in where.get(run, ()):
                counts[number] = counts.get(number, 0) + 1
        found.append(Overlap(name, max(counts.values(), default=0) / len(runs) if runs else 0.0))
    return sorted(found, key=lambda one: (-one.share, one.name))


def refuse_overlap(text: str, other: str, found: Sequence[Overlap]) -> None:
    """Refuse a text that holds another's programs.

    Args:
        text, other: their ids, for the message.
        found: of `overlaps`.

    Raises:
        CodewattError: a program's share is above the limit.
    """
    held = [one for one in found if one.share > LIMIT_SHARE]
    if held:
        raise CodewattError(
            f"text {text!r} holds {len(held)} of {len(found)} programs of {other!r}, e.g. "
            f"{held[0].name} ({held[0].share:.0%} of it); allowed: at most {LIMIT_SHARE:.0%} of one"
        )


def refuse_shared(one: str, first: Sequence[str], other: str, second: Sequence[str]) -> None:
    """Refuse two texts of which one holds a document of the other, or a part of a long one.

    Args:
        one, other: their ids. first, second: their documents.

    Raises:
        CodewattError: see `refuse_overlap`.
    """
    refuse_overlap(one, other, _held(first, second))
    refuse_overlap(other, one, _held(second, first))


def _held(documents: Sequence[str], others: Sequence[str]) -> list[Overlap]:
    """The overlap of others' parts with documents; of short ones the share that is held whole."""
    parts = _parts(others)
    short = {name: lexemes for name, lexemes in parts.items() if 0 < len(lexemes) < RUN}
    found = _overlaps(documents, {n: lexemes for n, lexemes in parts.items() if n not in short})
    if sum(map(len, short.values())) >= RUN:
        whole = [one.share == 1.0 for one in _overlaps(documents, short)]
        found.append(Overlap(f"{len(short)} short documents together", sum(whole) / len(whole)))
    return sorted(found, key=lambda one: -one.share)


def _parts(documents: Sequence[str]) -> dict[str, list[str]]:
    """Name -> lexical tokens of each document, or of each of the equal parts of a long one."""
    parts: dict[str, list[str]] = {}
    for number, document in enumerate(documents, start=1):
        lexemes, name = _lexemes(document), f"document {number}"
        count = max(len(lexemes) // PART, 1)
        for part in range(count):
            first, end = part * len(lexemes) // count, (part + 1) * len(lexemes) // count
            named = name if count == 1 else f"{name} (part {part + 1} of {count})"
            parts[named] = lexemes[first:end]
    return parts
