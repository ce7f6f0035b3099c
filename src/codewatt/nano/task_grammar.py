"""The words of nano's task grammar: steps and conditions on numbers, lists, text and words.

A piece says the same thing twice: in English (with several wordings) and in Python. Families
(codewatt.nano.task_families) put pieces together into a docstring and a body.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

_LETTERS = "aeorst"


@dataclass(frozen=True)
class Piece:
    """One step or condition.

    key: identity, whatever the wording ("add 3").
    words: the wording that was drawn; a step's has a gap {o} for the object.
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

    def say(self, thing: str) -> str:
        """The piece's words about a thing: "add 2 to it"."""
        return self.words.replace("{o}", thing)

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


def _fill(kind: _Kind, rng: Random) -> Piece:
    """A piece of that kind, its wording and its constant (one digit, not 0 or 1) drawn."""
    constant = rng.randint(2, 9)
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
    _Kind("add {k}", ("add {k} to {o}", "increase {o} by {k}"), "{x} + {k}"),
    _Kind("subtract {k}", ("subtract {k} from {o}", "decrease {o} by {k}"), "{x} - {k}"),
    _Kind("multiply {k}", ("multiply {o} by {k}", "scale {o} by {k}"), "{x} * {k}"),
    _Kind("modulo {k}", ("reduce {o} modulo {k}",), "{x} % {k}"),
    _Kind("divide {k}", ("floor divide {o} by {k}",), "{x} // {k}"),
    _Kind("square", ("square {o}",), "{x} ** 2"),
    _Kind("negate", ("negate {o}", "flip the sign of {o}"), "-{x}"),
    _Kind("abs", ("drop the sign of {o}",), "abs({x})", True, True),
)

_NUMBER_CONDITIONS = (
    _Kind("> {k}", ("greater than {k}", "more than {k}"), "{x} > {k}"),
    _Kind(">= {k}", ("at least {k}",), "{x} >= {k}"),
    _Kind("< {k}", ("less than {k}", "below {k}"), "{x} < {k}"),
    _Kind("<= {k}", ("at most {k}",), "{x} <= {k}"),
    _Kind("!= {k}", ("different from {k}",), "{x} != {k}"),
    _Kind("multiple {k}", ("divisible by {k}",), "{x} % {k} == 0"),
    _Kind("multiple 2", ("even",), "{x} % 2 == 0"),
    _Kind("odd", ("odd",), "{x} % 2 == 1"),
)

_LIST_STEPS = (
    _Kind("first {k}", ("take the first {k} of {o}",), "{x}[:{k}]", False, True),
    _Kind("last {k}", ("take the last {k} of {o}",), "{x}[-{k}:]", False, True),
    _Kind("skip {k}", ("drop the first {k} of {o}",), "{x}[{k}:]", False, True),
    _Kind("drop {k}", ("drop the last {k} of {o}",), "{x}[:-{k}]", False, True),
    _Kind("reverse", ("reverse {o}", "turn {o} around"), "{x}[::-1]", False, True),
    _Kind("sort", ("sort {o}", "put {o} in order"), "sorted({x})", True, True),
)

_TEXT_STEPS = (
    *_LIST_STEPS[:-1],
    _Kind("repeat {k}", ("repeat {o} {k} times",), "{x} * {k}"),
    _Kind("upper", ("make {o} upper case",), "{x}.upper()", False, True),
    _Kind("lower", ("make {o} lower case",), "{x}.lower()", False, True),
    _Kind("swap", ("swap the case of {o}",), "{x}.swapcase()", False, True),
    _Kind("strip", ("strip {o}",), "{x}.strip()", False, True),
)

_LENGTH_CONDITIONS = (
    _Kind("longer {k}", ("longer than {k}",), "len({x}) > {k}", True),
    _Kind("shorter {k}", ("shorter than {k}",), "len({x}) < {k}", True),
    _Kind("length {k}", ("of length {k}",), "len({x}) == {k}", True),
)

_NUMBER_FOLDS = (
    _Kind("sum", ("sum",), "sum({x})", True, True),
    _Kind("max", ("largest",), "max({x}, default=0)", True, True),
    _Kind("min", ("smallest",), "min({x}, default=0)", True, True),
)


def number_step(rng: Random) -> Piece:
    """A step from a number to a number."""
    return _fill(rng.choice(_NUMBER_STEPS), rng)


def number_steps(rng: Random, count: int) -> list[Piece]:
    """Steps in which no two neighbours are of one kind, as "add 2, add 3" is nobody's wish."""
    return _different(rng, count, lambda: number_step(rng))


def number_condition(rng: Random) -> Piece:
    """A condition on a number."""
    return _fill(rng.choice(_NUMBER_CONDITIONS), rng)


def number_conditions(rng: Random) -> tuple[Piece, Piece]:
    """Two conditions of different kinds on one number."""
    first, second = _different(rng, 2, lambda: number_condition(rng))
    return first, second


def number_fold(rng: Random) -> Piece:
    """A fold of numbers; of none it is 0."""
    return _fill(rng.choice(_NUMBER_FOLDS), rng)


def list_steps(rng: Random, count: int) -> list[Piece]:
    """Steps from a list to a list: slices and order."""
    return _different(rng, count, lambda: _fill(rng.choice(_LIST_STEPS), rng))


def text_steps(rng: Random, count: int) -> list[Piece]:
    """Steps from a string to a string."""
    return _different(rng, count, lambda: _text_step(rng))


def _text_step(rng: Random) -> Piece:
    choice = rng.random()
    a = rng.choice(_LETTERS)
    if choice < 0.1:
        return Piece(f"append {a}", f"append '{a}' to {{o}}", f"{{x}} + '{a}'", letters=a)
    if choice < 0.2:
        code = f"{{x}}.replace('{a}', '')"
        return Piece(f"remove {a}", f"remove '{a}' from {{o}}", code, False, True, (), a)
    if choice < 0.3:
        b = rng.choice(_LETTERS.replace(a, ""))
        code = f"{{x}}.replace('{a}', '{b}')"
        return Piece(f"replace {a} {b}", f"replace '{a}' with '{b}' in {{o}}", code, atom=True)
    return _fill(rng.choice(_TEXT_STEPS), rng)


def word_condition(rng: Random) -> Piece:
    """A condition on a word, in words that follow "string": "string longer than 3"."""
    a = rng.choice(_LETTERS)
    if rng.random() < 0.5:
        return _fill(rng.choice(_LENGTH_CONDITIONS), rng)
    return rng.choice(
        (
            Piece(f"starts {a}", f"starting with '{a}'", f"{{x}}.startswith('{a}')", letters=a),
            Piece(f"ends {a}", f"ending with '{a}'", f"{{x}}.endswith('{a}')", letters=a),
            Piece(f"has {a}", f"with '{a}'", f"'{a}' in {{x}}", letters=a),
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
