"""Whether a text holds a benchmark's tasks: compression must not see what it is judged on.

A program is taken for present in a document if more than four fifths of its runs of eight lexical
tokens stand in it; comments, layout and names of functions do not count. Brown et al. 2020
(appendix C) look for single runs of thirteen words; in generated code single runs are shared by
programs that compute different things: among a thousand of nano's tasks and as many functions that
compute something else, shares reach 0.78, among HumanEval's tasks 0.51.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from codewatt.errors import CodewattError

RUN = 8
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


def runs_of(text: str) -> set[_Run]:
    """The distinct runs of lexical tokens in a text; of a shorter text the text itself."""
    lexemes = _LEXEME.findall(_DEFINED_NAME.sub("def _", _COMMENT.sub("", text)))
    if len(lexemes) <= RUN:
        return {tuple(lexemes)} if lexemes else set()
    return {tuple(lexemes[at : at + RUN]) for at in range(len(lexemes) - RUN + 1)}


def overlaps(documents: Sequence[str], programs: dict[str, str]) -> list[Overlap]:
    """The overlap of each program with the documents, greatest first.

    Args:
        programs: name → source.
    """
    where: dict[_Run, set[int]] = {}
    for number, document in enumerate(documents):
        for run in runs_of(document):
            where.setdefault(run, set()).add(number)
    found = []
    for name, program in programs.items():
        runs = runs_of(program)
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
    """Refuse two texts of which one holds a document of the other.

    Args:
        one, other: their ids. first, second: their documents.

    Raises:
        CodewattError: see `refuse_overlap`.
    """
    refuse_overlap(one, other, overlaps(first, _numbered(second)))
    refuse_overlap(other, one, overlaps(second, _numbered(first)))


def _numbered(documents: Sequence[str]) -> dict[str, str]:
    return {f"document {number}": text for number, text in enumerate(documents, start=1)}
