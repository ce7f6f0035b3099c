"""The words of nano's task grammar: steps and conditions on numbers, lists, text and words.

A piece says the same thing twice: in English (with several wordings) and in Python. Families
(codewatt.nano.families) put pieces together into a docstring and a body.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

_LETTERS = "abcdeorst"


@dataclass(frozen=True)
class Piece:
    """One step or condition.

    key: identity, whatever the wording ("add 3").
    words: the wording that was drawn.
    code: Python with {x} for the operand.
    wraps: the operand stands within brackets or quotes of its own, as in `abs({x})`.
    atom: the result needs no brackets when a further step is applied to it.
    edges: integers at which the piece changes its mind, for inputs that try them.
    letters: characters that the piece looks for, for the same purpose.
    """

    key: str
    words: str
    code: str
    wraps: bool = False
    atom: bool = False
    edges: tuple[int, ...] = ()
    letters: str = ""

    def apply(self, operand: str) -> str:
        """The piece's code on an operand that is already safe to use."""
        return self.code.replace("{x}", operand)


def chain(operand: str, steps: list[Piece]) -> str:
    """The code that applies the steps to a name, one after the other, bracketed where needed."""
    code, atom = operand, True
    for step in steps:
        code = step.apply(code if atom or step.wraps else f"({code})")
        atom = step.atom
    return code


@dataclass(frozen=True)
class _Kind:
    """A kind of piece with a gap for one constant: {k} in the key, the wordings and the code."""

    key: str
    words: tuple[str, ...]
    code: str
    wraps: bool = False
    atom: bool = False


def _fill(kind: _Kind, rng: Random, constant: int) -> Piece:
    text = str(constant)
    has_gap = "{k}" in kind.key
    return Piece(
        key=kind.key.replace("{k}", text),
        words=rng.choice(kind.words).replace("{k}", text),
        code=kind.code.replace("{k}", text),
        wraps=kind.wraps,
        atom=kind.atom,
        edges=(constant,) if has_gap else (0,),
    )


_NUMBER_STEPS = (
    _Kind("add {k}", ("add {k}", "increase it by {k}"), "{x} + {k}"),
    _Kind("subtract {k}", ("subtract {k}", "decrease it by {k}"), "{x} - {k}"),
    _Kind("multiply {k}", ("multiply by {k}", "scale it by {k}"), "{x} * {k}"),
    _Kind("modulo {k}", ("reduce it modulo {k}",), "{x} % {k}"),
    _Kind("square", ("square it", "raise it to the power of 2"), "{x} ** 2"),
    _Kind("negate", ("negate it", "flip its sign"), "-{x}"),
    _Kind("abs", ("take its absolute value", "drop its sign"), "abs({x})", True, True),
)

_NUMBER_CONDITIONS = (
    _Kind("> {k}", ("greater than {k}", "more than {k}"), "{x} > {k}"),
    _Kind(">= {k}", ("at least {k}", "{k} or more"), "{x} >= {k}"),
    _Kind("< {k}", ("less than {k}", "below {k}"), "{x} < {k}"),
    _Kind("<= {k}", ("at most {k}", "{k} or less"), "{x} <= {k}"),
    _Kind("!= {k}", ("not {k}", "different from {k}"), "{x} != {k}"),
    _Kind("multiple {k}", ("divisible by {k}", "a multiple of {k}"), "{x} % {k} == 0"),
    _Kind("even", ("even",), "{x} % 2 == 0"),
    _Kind("odd", ("odd",), "{x} % 2 == 1"),
)

_LIST_STEPS = (
    _Kind("first {k}", ("keep the first {k}", "take the first {k}"), "{x}[:{k}]", atom=True),
    _Kind("last {k}", ("keep the last {k}", "take the last {k}"), "{x}[-{k}:]", atom=True),
    _Kind("skip {k}", ("drop the first {k}", "skip the first {k}"), "{x}[{k}:]", atom=True),
    _Kind("drop {k}", ("drop the last {k}", "leave out the last {k}"), "{x}[:-{k}]", atom=True),
    _Kind("every {k}", ("keep every item number {k}", "take steps of {k}"), "{x}[::{k}]", atom=True),
    _Kind("reverse", ("reverse the order", "turn it around"), "{x}[::-1]", atom=True),
)

_SORT_STEPS = (
    _Kind("sort", ("sort it", "put it in order"), "sorted({x})", True, True),
    _Kind("sort down", ("sort it downwards",), "sorted({x}, reverse=True)", True, True),
    _Kind("unique", ("remove duplicates",), "list(dict.fromkeys({x}))", True, True),
)

_TEXT_STEPS = (
    _Kind("first {k}", ("keep the first {k} characters",), "{x}[:{k}]", atom=True),
    _Kind("last {k}", ("keep the last {k} characters",), "{x}[-{k}:]", atom=True),
    _Kind("skip {k}", ("drop the first {k} characters",), "{x}[{k}:]", atom=True),
    _Kind("repeat {k}", ("repeat it {k} times", "write it {k} times"), "{x} * {k}"),
    _Kind("reverse", ("reverse it", "turn it around"), "{x}[::-1]", atom=True),
    _Kind("upper", ("make it upper case", "capitalise every letter"), "{x}.upper()", atom=True),
    _Kind("lower", ("make it lower case",), "{x}.lower()", atom=True),
    _Kind("swap", ("swap upper and lower case",), "{x}.swapcase()", atom=True),
    _Kind("strip", ("strip blanks at both ends",), "{x}.strip()", atom=True),
)

_LENGTH_CONDITIONS = (
    _Kind("longer {k}", ("longer than {k}", "with more than {k} letters"), "len({x}) > {k}", True),
    _Kind("shorter {k}", ("shorter than {k}",), "len({x}) < {k}", True),
    _Kind("length {k}", ("of length {k}", "with exactly {k} letters"), "len({x}) == {k}", True),
    _Kind("at least {k}", ("with at least {k} letters",), "len({x}) >= {k}", True),
)

_NUMBER_FOLDS = (
    _Kind("sum", ("sum", "total"), "sum({x})", True, True),
    _Kind("max", ("largest", "maximum"), "max({x}, default=0)", True, True),
    _Kind("min", ("smallest", "minimum"), "min({x}, default=0)", True, True),
)


def number_step(rng: Random, largest: int = 9) -> Piece:
    """A step from a number to a number; its constant lies between 2 and `largest`."""
    return _fill(rng.choice(_NUMBER_STEPS), rng, rng.randint(2, largest))


def number_steps(rng: Random, count: int, largest: int = 9) -> list[Piece]:
    """Steps in which no two neighbours are of one kind, as "add 2, add 3" is nobody's wish."""
    return _different(rng, count, lambda: number_step(rng, largest))


def number_condition(rng: Random, largest: int = 9) -> Piece:
    """A condition on a number; its constant lies between 2 and `largest`."""
    if rng.random() < 0.15:
        low = rng.randint(0, largest // 2)
        high = rng.randint(low + 1, largest)
        words = f"between {low} and {high}"
        return Piece(words, words, f"{low} <= {{x}} <= {high}", edges=(low, high))
    return _fill(rng.choice(_NUMBER_CONDITIONS), rng, rng.randint(2, largest))


def number_fold(rng: Random) -> Piece:
    """A fold of numbers; of none it is 0."""
    return _fill(rng.choice(_NUMBER_FOLDS), rng, 0)


def list_steps(rng: Random, count: int) -> list[Piece]:
    """Steps from a list to a list: slices, order, duplicates."""
    kinds = _LIST_STEPS + _SORT_STEPS
    return _different(rng, count, lambda: _fill(rng.choice(kinds), rng, rng.randint(2, 9)))


def text_steps(rng: Random, count: int) -> list[Piece]:
    """Steps from a string to a string."""
    return _different(rng, count, lambda: _text_step(rng))


def _text_step(rng: Random) -> Piece:
    choice = rng.random()
    a, b = rng.sample(_LETTERS, 2)
    if choice < 0.1:
        words = rng.choice((f"append '{a}'", f"put '{a}' at the end"))
        return Piece(f"append {a}", words, f"{{x}} + '{a}'", letters=a)
    if choice < 0.2:
        words = rng.choice((f"replace '{a}' with '{b}'", f"change each '{a}' to '{b}'"))
        return Piece(f"replace {a} {b}", words, f"{{x}}.replace('{a}', '{b}')", False, True, (), a)
    if choice < 0.3:
        words = rng.choice((f"remove every '{a}'", f"delete each '{a}'"))
        return Piece(f"remove {a}", words, f"{{x}}.replace('{a}', '')", False, True, (), a)
    return _fill(rng.choice(_TEXT_STEPS), rng, rng.randint(2, 9))


def letter_condition(rng: Random) -> Piece:
    """A condition on one character."""
    a, b = rng.sample(_LETTERS, 2)
    return rng.choice(
        (
            Piece("vowel", "vowels", "{x} in 'aeiou'", letters="aeiouAEIOU"),
            Piece("digit", "digits", "{x}.isdigit()", letters="0159"),
            Piece("upper", "capital letters", "{x}.isupper()", letters="ABYZ"),
            Piece(f"= {a}", f"characters '{a}'", f"{{x}} == '{a}'", letters=a + a.upper()),
            Piece(f"!= {a}", f"characters other than '{a}'", f"{{x}} != '{a}'", letters=a),
            Piece(f"in {a}{b}", f"characters '{a}' or '{b}'", f"{{x}} in '{a}{b}'", letters=a + b),
            Piece(f"before {a}", f"characters before '{a}'", f"{{x}} < '{a}'", letters=a),
        )
    )


def word_condition(rng: Random) -> Piece:
    """A condition on a word, to follow a plural noun: "words longer than 3"."""
    a = rng.choice(_LETTERS)
    if rng.random() < 0.5:
        return _fill(rng.choice(_LENGTH_CONDITIONS), rng, rng.randint(2, 9))
    return rng.choice(
        (
            Piece(f"starts {a}", f"starting with '{a}'", f"{{x}}.startswith('{a}')", letters=a),
            Piece(f"ends {a}", f"ending in '{a}'", f"{{x}}.endswith('{a}')", letters=a),
            Piece(f"has {a}", f"that contain '{a}'", f"'{a}' in {{x}}", letters=a),
            Piece(f"lacks {a}", f"without '{a}'", f"'{a}' not in {{x}}", letters=a),
        )
    )


def _different(rng: Random, count: int, draw: Callable[[], Piece]) -> list[Piece]:
    steps: list[Piece] = []
    while len(steps) < count:
        step = draw()
        if not steps or step.key.split()[0] != steps[-1].key.split()[0]:
            steps.append(step)
    return steps
