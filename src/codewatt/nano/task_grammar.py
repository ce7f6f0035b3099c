"""The pieces of nano's task grammar: steps and conditions on numbers, lists, strings and words.

A piece has the same meaning in English (with several wordings) and in Python. Task families
(`task_families`) combine pieces into a docstring and a function body.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

_LETTERS = "aeorst"


@dataclass(frozen=True)
class Piece:
    """One step or condition.

    Attributes:
        key: identity, independent of the wording, such as "add 3".
        wording: the drawn English wording; that of a step contains {o} for the operand.
        code: Python expression with {x} for the operand.
        encloses_operand: whether the code brackets the operand itself, as in `abs({x})`.
        is_atomic: whether a further step can be applied to the code without brackets.
        boundary_values: integers at which the result changes its form, for edge-case inputs.
        letters: characters that the piece tests for, for edge-case inputs.
    """

    key: str
    wording: str
    code: str
    encloses_operand: bool = False
    is_atomic: bool = False
    boundary_values: tuple[int, ...] = ()
    letters: str = ""

    def describe(self, operand: str) -> str:
        """The wording with an operand, such as "add 2 to it"."""
        return self.wording.replace("{o}", operand)

    def code_for(self, operand: str) -> str:
        """The code with an operand that needs no further brackets."""
        return self.code.replace("{x}", operand)


def apply_steps(operand: str, steps: list[Piece]) -> str:
    """Code that applies steps to a name one after another, with brackets where needed."""
    code, is_atomic = operand, True
    for step in steps:
        code = step.code_for(code if is_atomic or step.encloses_operand else f"({code})")
        is_atomic = step.is_atomic
    return code


@dataclass(frozen=True)
class _PieceTemplate:
    """A template of pieces; {k} in key, wordings and code stands for a constant."""

    key: str
    wordings: tuple[str, ...]
    code: str
    encloses_operand: bool = False
    is_atomic: bool = False


def _draw_piece(template: _PieceTemplate, rng: Random) -> Piece:
    """A piece of a template with a random wording and a random constant from 2 to 9."""
    constant = rng.randint(2, 9)
    text = str(constant)
    has_constant = "{k}" in template.key
    return Piece(
        key=template.key.replace("{k}", text),
        wording=rng.choice(template.wordings).replace("{k}", text),
        code=template.code.replace("{k}", text),
        encloses_operand=template.encloses_operand,
        is_atomic=template.is_atomic,
        boundary_values=(constant,) if has_constant else (0,),
    )


_NUMBER_STEPS = (
    _PieceTemplate("add {k}", ("add {k} to {o}", "increase {o} by {k}"), "{x} + {k}"),
    _PieceTemplate("subtract {k}", ("subtract {k} from {o}", "decrease {o} by {k}"), "{x} - {k}"),
    _PieceTemplate("multiply {k}", ("multiply {o} by {k}", "scale {o} by {k}"), "{x} * {k}"),
    _PieceTemplate("modulo {k}", ("reduce {o} modulo {k}",), "{x} % {k}"),
    _PieceTemplate("divide {k}", ("floor divide {o} by {k}",), "{x} // {k}"),
    _PieceTemplate("square", ("square {o}",), "{x} ** 2"),
    _PieceTemplate("negate", ("negate {o}", "flip the sign of {o}"), "-{x}"),
    _PieceTemplate("abs", ("drop the sign of {o}",), "abs({x})", True, True),
)

_NUMBER_CONDITIONS = (
    _PieceTemplate("> {k}", ("greater than {k}", "more than {k}"), "{x} > {k}"),
    _PieceTemplate(">= {k}", ("at least {k}",), "{x} >= {k}"),
    _PieceTemplate("< {k}", ("less than {k}", "below {k}"), "{x} < {k}"),
    _PieceTemplate("<= {k}", ("at most {k}",), "{x} <= {k}"),
    _PieceTemplate("!= {k}", ("different from {k}",), "{x} != {k}"),
    _PieceTemplate("multiple {k}", ("divisible by {k}",), "{x} % {k} == 0"),
    _PieceTemplate("multiple 2", ("even",), "{x} % 2 == 0"),
    _PieceTemplate("odd", ("odd",), "{x} % 2 == 1"),
)

_LIST_STEPS = (
    _PieceTemplate("first {k}", ("take the first {k} of {o}",), "{x}[:{k}]", False, True),
    _PieceTemplate("last {k}", ("take the last {k} of {o}",), "{x}[-{k}:]", False, True),
    _PieceTemplate("skip {k}", ("drop the first {k} of {o}",), "{x}[{k}:]", False, True),
    _PieceTemplate("drop {k}", ("drop the last {k} of {o}",), "{x}[:-{k}]", False, True),
    _PieceTemplate("reverse", ("reverse {o}", "turn {o} around"), "{x}[::-1]", False, True),
    _PieceTemplate("sort", ("sort {o}", "put {o} in order"), "sorted({x})", True, True),
)

_TEXT_STEPS = (
    *_LIST_STEPS[:-1],
    _PieceTemplate("repeat {k}", ("repeat {o} {k} times",), "{x} * {k}"),
    _PieceTemplate("upper", ("make {o} upper case",), "{x}.upper()", False, True),
    _PieceTemplate("lower", ("make {o} lower case",), "{x}.lower()", False, True),
    _PieceTemplate("swap", ("swap the case of {o}",), "{x}.swapcase()", False, True),
    _PieceTemplate("strip", ("strip {o}",), "{x}.strip()", False, True),
)

_LENGTH_CONDITIONS = (
    _PieceTemplate("longer {k}", ("longer than {k}",), "len({x}) > {k}", True),
    _PieceTemplate("shorter {k}", ("shorter than {k}",), "len({x}) < {k}", True),
    _PieceTemplate("length {k}", ("of length {k}",), "len({x}) == {k}", True),
)

_NUMBER_FOLDS = (
    _PieceTemplate("sum", ("sum",), "sum({x})", True, True),
    _PieceTemplate("max", ("largest",), "max({x}, default=0)", True, True),
    _PieceTemplate("min", ("smallest",), "min({x}, default=0)", True, True),
)


def number_step(rng: Random) -> Piece:
    """A step from a number to a number."""
    return _draw_piece(rng.choice(_NUMBER_STEPS), rng)


def number_steps(rng: Random, count: int) -> list[Piece]:
    """Steps of which no two adjacent ones have the same template, such as "add 2, add 3"."""
    return _draw_different(rng, count, lambda: number_step(rng))


def number_condition(rng: Random) -> Piece:
    """A condition on a number."""
    return _draw_piece(rng.choice(_NUMBER_CONDITIONS), rng)


def number_conditions(rng: Random) -> tuple[Piece, Piece]:
    """Two conditions of different kinds on one number."""
    first, second = _draw_different(rng, 2, lambda: number_condition(rng))
    return first, second


def number_fold(rng: Random) -> Piece:
    """A reduction of numbers to one number; 0 for an empty list."""
    return _draw_piece(rng.choice(_NUMBER_FOLDS), rng)


def list_steps(rng: Random, count: int) -> list[Piece]:
    """Steps from a list to a list: slicing and sorting."""
    return _draw_different(rng, count, lambda: _draw_piece(rng.choice(_LIST_STEPS), rng))


def text_steps(rng: Random, count: int) -> list[Piece]:
    """Steps from a string to a string."""
    return _draw_different(rng, count, lambda: _text_step(rng))


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
        return Piece(f"replace {a} {b}", f"replace '{a}' with '{b}' in {{o}}", code, is_atomic=True)
    return _draw_piece(rng.choice(_TEXT_STEPS), rng)


def word_condition(rng: Random) -> Piece:
    """A condition on a word; its wording follows "string", as in "string longer than 3"."""
    a = rng.choice(_LETTERS)
    if rng.random() < 0.5:
        return _draw_piece(rng.choice(_LENGTH_CONDITIONS), rng)
    return rng.choice(
        (
            Piece(f"starts {a}", f"starting with '{a}'", f"{{x}}.startswith('{a}')", letters=a),
            Piece(f"ends {a}", f"ending with '{a}'", f"{{x}}.endswith('{a}')", letters=a),
            Piece(f"has {a}", f"with '{a}'", f"'{a}' in {{x}}", letters=a),
            Piece(f"lacks {a}", f"without '{a}'", f"'{a}' not in {{x}}", letters=a),
        )
    )


def _draw_different(rng: Random, count: int, draw: Callable[[], Piece]) -> list[Piece]:
    steps: list[Piece] = []
    while len(steps) < count:
        step = draw()
        if not steps or step.key.split()[0] != steps[-1].key.split()[0]:
            steps.append(step)
    return steps
