"""The task families of nano's grammar: each draws one task (docstring, signature, body).

The drawn task depends only on the random generator. `Draft.key` identifies what the function
computes, independent of the wording: two drafts of a family with the same key are the same task.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from codewatt.nano import task_grammar
from codewatt.nano.task_grammar import Piece, apply_steps


@dataclass(frozen=True)
class Draft:
    """A task without its inputs.

    Attributes:
        key: identity of what the function computes.
        name: name of the function.
        parameters: names and types of its parameters ("int", "ints", "text", "words").
        docstring: one line.
        body: lines of the body, not indented.
        pieces: the pieces of the task, for edge-case inputs.
        atol: absolute tolerance on the output.
    """

    key: str
    name: str
    parameters: tuple[tuple[str, str], ...]
    docstring: str
    body: tuple[str, ...]
    pieces: tuple[Piece, ...]
    atol: float = 0.0


def _join_keys(*parts: Piece | str) -> str:
    return "; ".join(part.key if isinstance(part, Piece) else part for part in parts)


def _sorted_by_key(first: Piece, second: Piece) -> list[Piece]:
    """Two conditions in a fixed order, because `a and b` is the same as `b and a`."""
    return sorted((first, second), key=lambda piece: piece.key)


def _describe_steps(rng: Random, operand: str, steps: list[Piece]) -> str:
    """The steps in English, such as "add 2 to n and square it"."""
    described = [step.describe("it" if index else operand) for index, step in enumerate(steps)]
    return rng.choice((" and ", ", then ")).join(described)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def number_steps(rng: Random) -> Draft:
    """Two steps on one number."""
    steps = task_grammar.number_steps(rng, 2)
    return Draft(
        key=_join_keys(*steps),
        name=rng.choice(("compute", "apply")),
        parameters=(("n", "int"),),
        docstring=_sentence(_describe_steps(rng, "n", steps)),
        body=(f"return {apply_steps('n', steps)}",),
        pieces=tuple(steps),
    )


_PAIRS = (
    ("sum", "the sum of a and b", "a + b", False),
    ("difference", "the difference of a and b", "a - b", False),
    ("product", "the product of a and b", "a * b", False),
    ("larger", "the larger of a and b", "max(a, b)", True),
    ("smaller", "the smaller of a and b", "min(a, b)", True),
    ("average", "the average of a and b", "(a + b) / 2", False),
)


def pair_step(rng: Random) -> Draft:
    """Combine two numbers into one and apply a step."""
    kind, words, code, is_atomic = rng.choice(_PAIRS)
    step = task_grammar.number_step(rng)
    operand = code if is_atomic or step.encloses_operand else f"({code})"
    return Draft(
        key=_join_keys(kind, step),
        name=rng.choice(("combine", "merge")),
        parameters=(("a", "int"), ("b", "int")),
        docstring=_sentence(step.describe(words)),
        body=(f"return {apply_steps(operand, [step])}",),
        pieces=(step,),
        atol=1e-6 if kind == "average" else 0.0,
    )


def number_branch(rng: Random) -> Draft:
    """One of two steps, selected by a condition."""
    condition = task_grammar.number_condition(rng)
    yes, no = task_grammar.number_steps(rng, 2)
    return Draft(
        key=_join_keys(condition, yes, no),
        name=rng.choice(("choose", "branch")),
        parameters=(("n", "int"),),
        docstring=_sentence(
            f"if n is {condition.wording}, {yes.describe('n')}, else {no.describe('n')}"
        ),
        body=(
            f"if {condition.code_for('n')}:",
            f"    return {apply_steps('n', [yes])}",
            f"return {apply_steps('n', [no])}",
        ),
        pieces=(condition, yes, no),
    )


def number_test(rng: Random) -> Draft:
    """Whether a number meets both of two conditions, or at least one."""
    first, second = task_grammar.number_conditions(rng)
    joint = rng.choice(("and", "or"))
    start = rng.choice(("tell whether", "check that"))
    return Draft(
        key=_join_keys(joint, *_sorted_by_key(first, second)),
        name=rng.choice(("check", "matches")),
        parameters=(("n", "int"),),
        docstring=_sentence(f"{start} n is {first.wording} {joint} {second.wording}"),
        body=(f"return {first.code_for('n')} {joint} {second.code_for('n')}",),
        pieces=(first, second),
    )


def list_map(rng: Random) -> Draft:
    """A step on each number that meets a condition."""
    condition, step = task_grammar.number_condition(rng), task_grammar.number_step(rng)
    return Draft(
        key=_join_keys(condition, step),
        name=rng.choice(("convert", "update")),
        parameters=(("nums", "ints"),),
        docstring=_sentence(step.describe(f"each number in nums that is {condition.wording}")),
        body=(f"return [{apply_steps('i', [step])} for i in nums if {condition.code_for('i')}]",),
        pieces=(condition, step),
    )


def list_fold(rng: Random) -> Draft:
    """Sum, largest or smallest of the numbers that meet a condition, after one step."""
    condition, step = task_grammar.number_condition(rng), task_grammar.number_step(rng)
    fold = task_grammar.number_fold(rng)
    inner = f"{apply_steps('i', [step])} for i in nums if {condition.code_for('i')}"
    if "," in fold.code:
        inner = f"({inner})"
    each = step.describe(f"each number in nums that is {condition.wording}")
    return Draft(
        key=_join_keys(fold, condition, step),
        name=rng.choice(("fold", "collect")),
        parameters=(("nums", "ints"),),
        docstring=_sentence(f"find the {fold.wording}: {each}"),
        body=(f"return {fold.code_for(inner)}",),
        pieces=(condition, step),
    )


def list_loop(rng: Random) -> Draft:
    """A loop that sums the results of a step on the numbers that meet a condition."""
    condition, step = task_grammar.number_condition(rng), task_grammar.number_step(rng)
    each = f"for each number in nums that is {condition.wording}"
    return Draft(
        key=_join_keys(condition, step),
        name=rng.choice(("total", "gather")),
        parameters=(("nums", "ints"),),
        docstring=_sentence(f"{each}, {step.describe('it')} and add it to a total"),
        body=(
            "total = 0",
            "for i in nums:",
            f"    if {condition.code_for('i')}:",
            f"        total += {apply_steps('i', [step])}",
            "return total",
        ),
        pieces=(condition, step),
    )


def list_slice(rng: Random) -> Draft:
    """Two steps on a whole list."""
    steps = task_grammar.list_steps(rng, 2)
    return Draft(
        key=_join_keys(*steps),
        name=rng.choice(("select", "arrange")),
        parameters=(("nums", "ints"),),
        docstring=_sentence(_describe_steps(rng, "nums", steps)),
        body=(f"return {apply_steps('nums', steps)}",),
        pieces=tuple(steps),
    )


def text_steps(rng: Random) -> Draft:
    """Two steps on a string."""
    steps = task_grammar.text_steps(rng, 2)
    return Draft(
        key=_join_keys(*steps),
        name=rng.choice(("edit", "rewrite")),
        parameters=(("s", "text"),),
        docstring=_sentence(_describe_steps(rng, "s", steps)),
        body=(f"return {apply_steps('s', steps)}",),
        pieces=tuple(steps),
    )


def word_map(rng: Random) -> Draft:
    """A step on each word that meets a condition."""
    condition = task_grammar.word_condition(rng)
    (step,) = task_grammar.text_steps(rng, 1)
    return Draft(
        key=_join_keys(condition, step),
        name=rng.choice(("map_words", "each_word")),
        parameters=(("words", "words"),),
        docstring=_sentence(step.describe(f"each string in words {condition.wording}")),
        body=(f"return [{apply_steps('w', [step])} for w in words if {condition.code_for('w')}]",),
        pieces=(condition, step),
    )


_WORD_FOLDS = (
    ("letters", "add the lengths of", "sum(len(w) for w in {g})"),
    ("count", "count", "sum(1 for w in {g})"),
    ("initials", "join the first letters of", "''.join(w[:1] for w in {g})"),
    ("lengths", "map to their lengths", "{{w: len(w) for w in {g}}}"),
)


def word_fold(rng: Random) -> Draft:
    """One result from the words that meet a condition."""
    condition = task_grammar.word_condition(rng)
    kind, verb, code = rng.choice(_WORD_FOLDS)
    source = f"words if {condition.code_for('w')}"
    return Draft(
        key=_join_keys(kind, condition),
        name=rng.choice(("digest", "survey")),
        parameters=(("words", "words"),),
        docstring=_sentence(f"{verb} the strings in words {condition.wording}"),
        body=(f"return {code.format(g=source)}",),
        pieces=(condition,),
    )


FAMILIES: dict[str, Callable[[Random], Draft]] = {
    family.__name__: family
    for family in (
        number_steps, pair_step, number_branch, number_test, list_map, list_fold, list_loop,
        list_slice, text_steps, word_map, word_fold,
    )
}  # fmt: skip
