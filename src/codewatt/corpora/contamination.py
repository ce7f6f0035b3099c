"""Contamination of a corpus with the tasks of a benchmark, or of one corpus with another.

Compression must not see what it is evaluated on. The contamination of a document with a program is
the share of the program's 8-grams of lexical tokens that the document contains; comments, layout
and names of functions are ignored. Above `MAX_SHARE` the program counts as contained.

Brown et al. 2020 (GPT-3, appendix C) search for single 13-grams of words. In generated code,
programs that compute different things share single n-grams: between a thousand tasks of nano and
as many functions that compute something else, shares reach 0.78; between HumanEval's tasks, 0.51.

Lengths: a program of fewer than 8 lexical tokens is searched as one n-gram. Between two corpora,
documents that short are searched together, because one of them (`import os`) says nothing. A
document of at least 1024 lexical tokens is searched in parts of at least 512, because two plain
files may share a half. Of 99 such parts of the held-out part of the corpus stdlib (Python 3.11.7),
none is contained in a definition of its calibration part by more than 0.21. (Definitions that both
parts would contain are in neither; within one part modules copy from each other, up to 0.97.)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codewatt.errors import CodewattError

NGRAM_LENGTH = 8
PART_LENGTH = 512
MAX_SHARE = 0.8
_LEXICAL_TOKEN = re.compile(r"\w+|[^\w\s]")
_COMMENT = re.compile(r"#[^\n]*")
_DEFINED_NAME = re.compile(r"\bdef\s+\w+")
_Ngram = tuple[str, ...]


@dataclass(frozen=True)
class Contamination:
    """Contamination of a corpus with one program.

    Attributes:
        name: name of the program.
        share: largest share of the program's n-grams that one document contains, 0 to 1.
    """

    name: str
    share: float


def measure_contamination(
    documents: Sequence[str], programs: Mapping[str, str]
) -> list[Contamination]:
    """Contamination of documents with each program, largest first.

    Args:
        documents: documents of the corpus.
        programs: name and source code of each program.
    """
    return _measure(documents, {name: _lexical_tokens(text) for name, text in programs.items()})


def require_uncontaminated(corpus: str, other: str, found: Sequence[Contamination]) -> None:
    """Refuse a corpus that contains a program of a benchmark, or a document of another corpus.

    Args:
        corpus: id of the corpus, for the message.
        other: id of the benchmark or the other corpus, for the message.
        found: contamination of the corpus with each program.

    Raises:
        CodewattError: the share of a program is above `MAX_SHARE`.
    """
    contained = [one for one in found if one.share > MAX_SHARE]
    if contained:
        raise CodewattError(
            f"corpus {corpus!r} contains {len(contained)} of {len(found)} programs of {other!r}, "
            f"for example {contained[0].name} ({contained[0].share:.0%} of it); allowed: at most "
            f"{MAX_SHARE:.0%} of each"
        )


def require_disjoint(
    first: str, first_documents: Sequence[str], second: str, second_documents: Sequence[str]
) -> None:
    """Refuse two corpora if one contains a document, or a part of a long document, of the other.

    Args:
        first, second: ids of the corpora, for the message.
        first_documents, second_documents: their documents.

    Raises:
        CodewattError: see `require_uncontaminated`.
    """
    require_uncontaminated(first, second, _measure_corpus(first_documents, second_documents))
    require_uncontaminated(second, first, _measure_corpus(second_documents, first_documents))


def _lexical_tokens(text: str) -> list[str]:
    return _LEXICAL_TOKEN.findall(_DEFINED_NAME.sub("def _", _COMMENT.sub("", text)))


def _ngrams(tokens: Sequence[str], length: int) -> set[_Ngram]:
    """The distinct n-grams of a text; none if it is shorter."""
    return set(zip(*(tokens[start:] for start in range(length)), strict=False))


def _measure(
    documents: Sequence[str], programs: Mapping[str, Sequence[str]]
) -> list[Contamination]:
    """See `measure_contamination`; programs are given as lexical tokens."""
    lengths = {min(len(tokens), NGRAM_LENGTH) for tokens in programs.values() if tokens}
    of_program = {
        name: _ngrams(tokens, min(len(tokens), NGRAM_LENGTH)) for name, tokens in programs.items()
    }
    # Most n-grams of a corpus occur in no program; those are not indexed.
    wanted: set[_Ngram] = set().union(*of_program.values())
    containing: dict[_Ngram, list[int]] = {}
    for number, document in enumerate(documents):
        document_tokens = _lexical_tokens(document)
        for length in lengths:
            for ngram in _ngrams(document_tokens, length) & wanted:
                containing.setdefault(ngram, []).append(number)
    found = []
    for name, ngrams in of_program.items():
        counts: dict[int, int] = {}
        for ngram in ngrams:
            for number in containing.get(ngram, ()):
                counts[number] = counts.get(number, 0) + 1
        share = max(counts.values(), default=0) / len(ngrams) if ngrams else 0.0
        found.append(Contamination(name, share))
    return sorted(found, key=lambda one: (-one.share, one.name))


def _measure_corpus(documents: Sequence[str], others: Sequence[str]) -> list[Contamination]:
    """Contamination of documents with the parts of other documents.

    Short documents give one entry together: the share of them that is contained whole.
    """
    parts = _parts(others)
    short = {name: tokens for name, tokens in parts.items() if 0 < len(tokens) < NGRAM_LENGTH}
    found = _measure(documents, {n: tokens for n, tokens in parts.items() if n not in short})
    if sum(map(len, short.values())) >= NGRAM_LENGTH:
        whole = [one.share == 1.0 for one in _measure(documents, short)]
        together = Contamination(f"{len(short)} short documents together", sum(whole) / len(whole))
        found.append(together)
    return sorted(found, key=lambda one: -one.share)


def _parts(documents: Sequence[str]) -> dict[str, list[str]]:
    """Lexical tokens by name, of each document or of each equal part of a long document."""
    parts: dict[str, list[str]] = {}
    for number, document in enumerate(documents, start=1):
        tokens, name = _lexical_tokens(document), f"document {number}"
        count = max(len(tokens) // PART_LENGTH, 1)
        for part in range(count):
            first, end = part * len(tokens) // count, (part + 1) * len(tokens) // count
            part_name = name if count == 1 else f"{name} (part {part + 1} of {count})"
            parts[part_name] = tokens[first:end]
    return parts
