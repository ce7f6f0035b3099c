"""Inputs of nano's tasks: a few ordinary ones (base tests), and more edge cases (plus tests)."""

from collections.abc import Callable
from random import Random
from typing import Any

from codewatt.files import canonical_json
from codewatt.nano.task_families import Draft

BASE_INPUTS = 3
PLUS_INPUTS = 16
_WORDS = (
    "apple", "banana", "cherry", "dog", "elephant", "fig", "grape", "house", "igloo", "lemon",
    "moon", "night", "orange", "pear", "river", "stone", "table", "umbrella", "sun", "tree",
)  # fmt: skip
_EDGE_WORDS = ("", "a", "A", "Bob", "aeiou", "x1y2", "noon", "ABBA", "tomato", "blueberry pie")
_EDGE_TEXTS = ("", " ", "a", "Z", "007", "  padded  ", "aaaa", "MiXeD CaSe 42", "tab\tend", "é")


def make_inputs(draft: Draft, rng: Random) -> tuple[list[list[Any]], list[list[Any]]]:
    """Argument lists of a task's base and plus tests; all are different."""
    seen: set[str] = set()
    base = _collect(draft, rng, BASE_INPUTS, _ORDINARY, seen)
    plus = _collect(draft, rng, PLUS_INPUTS, _EDGE_CASES, seen)
    return base, plus


def _collect(
    draft: Draft, rng: Random, count: int, makers: dict[str, "_Maker"], seen: set[str]
) -> list[list[Any]]:
    found: list[list[Any]] = []
    while len(found) < count:
        arguments = [makers[kind](draft, rng) for _, kind in draft.parameters]
        text = canonical_json(arguments)
        if text not in seen:
            seen.add(text)
            found.append(arguments)
    return found


def _boundary_values(draft: Draft) -> list[int]:
    """Boundary values of the pieces, and the integers next to them."""
    around = {
        edge + d for piece in draft.pieces for edge in piece.boundary_values for d in (-1, 0, 1)
    }
    return sorted(around | {-1, 0, 1})


def _letters(draft: Draft) -> str:
    return "".join(piece.letters for piece in draft.pieces) or "a"


def _int(draft: Draft, rng: Random) -> int:
    return rng.randint(1, 40)


def _edge_int(draft: Draft, rng: Random) -> int:
    if rng.random() < 0.6:
        edge = rng.choice(_boundary_values(draft))
        return edge if rng.random() < 0.8 else -edge
    return rng.choice((rng.randint(-60, -1), rng.randint(41, 120), 1000, -999))


def _ints(draft: Draft, rng: Random) -> list[int]:
    return [rng.randint(1, 40) for _ in range(rng.randint(5, 8))]


def _edge_ints(draft: Draft, rng: Random) -> list[int]:
    size = rng.choice((0, 1, 2, 3, 6, 12))
    return [
        _edge_int(draft, rng) if rng.random() < 0.6 else rng.randint(-20, 40) for _ in range(size)
    ]


def _text(draft: Draft, rng: Random) -> str:
    words = [rng.choice(_WORDS) for _ in range(rng.randint(2, 3))]
    return " ".join(words).capitalize()


def _edge_text(draft: Draft, rng: Random) -> str:
    if rng.random() < 0.4:
        return rng.choice(_EDGE_TEXTS)
    alphabet = _letters(draft) * 3 + "abcXYZ 19 aeiouAEI"
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 16)))


def _words(draft: Draft, rng: Random) -> list[str]:
    return rng.sample(_WORDS, rng.randint(5, 7))


def _edge_words(draft: Draft, rng: Random) -> list[str]:
    return [_edge_word(draft, rng) for _ in range(rng.choice((0, 1, 3, 5, 9)))]


def _edge_word(draft: Draft, rng: Random) -> str:
    choice = rng.random()
    if choice < 0.2:
        return rng.choice(_EDGE_WORDS)
    if choice < 0.4:
        return rng.choice(_WORDS)
    alphabet = _letters(draft) * 2 + "bcdknrst"
    size = max(0, rng.choice([edge for edge in _boundary_values(draft) if edge <= 12]))
    if rng.random() < 0.5:
        size = rng.randint(1, 8)
    return "".join(rng.choice(alphabet) for _ in range(size))


_Maker = Callable[[Draft, Random], Any]
_ORDINARY: dict[str, _Maker] = {"int": _int, "ints": _ints, "text": _text, "words": _words}
_EDGE_CASES: dict[str, _Maker] = {
    "int": _edge_int, "ints": _edge_ints, "text": _edge_text, "words": _edge_words,
}  # fmt: skip
