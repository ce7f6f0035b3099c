"""The families of nano's task grammar: each draws one task (docstring, signature, body).

A family's draw depends on its random generator alone. `Draft.key` names what the function
computes, in whatever words: two drafts of one family with one key are the same task.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from codewatt.nano import task_grammar
from codewatt.nano.task_grammar import Piece, chain


@dataclass(frozen=True)
class Draft:
    """A task without its inputs.

    key: what is computed; name: the function's; parameters: names and kinds of its arguments
    ("int", "ints", "text", "words"); docstring: one line; body: lines, not indented;
    used: the pieces, for inputs at their edges; atol: absolute tolerance of the result.
    """

    key: str
    name: str
    parameters: tuple[tuple[str, str], ...]
    docstring: str
    body: tuple[str, ...]
    used: tuple[Piece, ...]
    atol: float = 0.0


def _keys(*parts: Piece | str) -> str:
    return "; ".join(part.key if isinstance(part, Piece) else part for part in parts)


def _in_order(first: Piece, second: Piece) -> list[Piece]:
    """Two conditions in an order of their own, as `a and b` is `b and a`."""
    return sorted((first, second), key=lambda piece: piece.key)


def _say(rng: Random, thing: str, steps: list[Piece]) -> str:
    """The steps in words: "add 2 to n and square it"."""
    said = [step.say("it" if place else thing) for place, step in enumerate(steps)]
    return rng.choice((" and ", ", then ")).join(said)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def number_steps(rng: Random) -> Draft:
    """Two steps on one number."""
    steps = task_grammar.number_steps(rng, 2)
    return Draft(
        key=_keys(*steps),
        name=rng.choice(("compute", "apply")),
        parameters=(("n", "int"),),
        docstring=_sentence(_say(rng, "n", steps)),
        body=(f"return {chain('n', steps)}",),
        used=tuple(steps),
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
    """Two numbers become one, and a step follows."""
    kind, words, code, atom = rng.choice(_PAIRS)
    step = task_grammar.number_step(rng)
    operand = code if atom or step.wraps else f"({code})"
    return Draft(
        key=_keys(kind, step),
        name=rng.choice(("combine", "merge")),
        parameters=(("a", "int"), ("b", "int")),
        docstring=_sentence(step.say(words)),
        body=(f"return {chain(operand, [step])}",),
        used=(step,),
        atol=1e-6 if kind == "average" else 0.0,
    )


def number_branch(rng: Random) -> Draft:
    """One step or another, by a condition."""
    condition = task_grammar.number_condition(rng)
    yes, no = task_grammar.number_steps(rng, 2)
    return Draft(
        key=_keys(condition, yes, no),
        name=rng.choice(("choose", "branch")),
        parameters=(("n", "int"),),
        docstring=_sentence(f"if n is {condition.words}, {yes.say('n')}, else {no.say('n')}"),
        body=(
            f"if {condition.apply('n')}:",
            f"    return {chain('n', [yes])}",
            f"return {chain('n', [no])}",
        ),
        used=(condition, yes, no),
    )


def number_test(rng: Random) -> Draft:
    """Whether a number meets two conditions, or one of them."""
    first, second = task_grammar.number_conditions(rng)
    joint = rng.choice(("and", "or"))
    start = rng.choice(("tell whether", "check that"))
    return Draft(
        key=_keys(joint, *_in_order(first, second)),
        name=rng.choice(("check", "matches")),
        parameters=(("n", "int"),),
        docstring=_sentence(f"{start} n is {first.words} {joint} {second.words}"),
        body=(f"return {first.apply('n')} {joint} {second.apply('n')}",),
        used=(first, second),
    )


def list_map(rng: Random) -> Draft:
    """A step on each number that meets a condition."""
    condition, step = task_grammar.number_condition(rng), task_grammar.number_step(rng)
    return Draft(
        key=_keys(condition, step),
        name=rng.choice(("convert", "update")),
        parameters=(("nums", "ints"),),
        docstring=_sentence(step.say(f"each number in nums that is {condition.words}")),
        body=(f"return [{chain('i', [step])} for i in nums if {condition.apply('i')}]",),
        used=(condition, step),
    )


def list_fold(rng: Random) -> Draft:
    """Sum, largest or smallest of the numbers that meet a condition, after one step."""
    condition, step = task_grammar.number_condition(rng), task_grammar.number_step(rng)
    fold = task_grammar.number_fold(rng)
    inner = f"{chain('i', [step])} for i in nums if {condition.apply('i')}"
    if "," in fold.code:
        inner = f"({inner})"
    each = step.say(f"each number in nums that is {condition.words}")
    return Draft(
        key=_keys(fold, condition, step),
        name=rng.choice(("fold", "collect")),
        parameters=(("nums", "ints"),),
        docstring=_sentence(f"find the {fold.words}: {each}"),
        body=(f"return {fold.apply(inner)}",),
        used=(condition, step),
    )


def list_loop(rng: Random) -> Draft:
    """A loop that adds up what a step makes of the numbers that meet a condition."""
    condition, step = task_grammar.number_condition(rng), task_grammar.number_step(rng)
    each = f"for each number in nums that is {condition.words}"
    return Draft(
        key=_keys(condition, step),
        name=rng.choice(("total", "gather")),
        parameters=(("nums", "ints"),),
        docstring=_sentence(f"{each}, {step.say('it')} and add it to a total"),
        body=(
            "total = 0",
            "for i in nums:",
            f"    if {condition.apply('i')}:",
            f"        total += {chain('i', [step])}",
            "return total",
        ),
        used=(condition, step),
    )


def list_slice(rng: Random) -> Draft:
    """Two steps on a whole list."""
    steps = task_grammar.list_steps(rng, 2)
    return Draft(
        key=_keys(*steps),
        name=rng.choice(("select", "arrange")),
        parameters=(("nums", "ints"),),
        docstring=_sentence(_say(rng, "nums", steps)),
        body=(f"return {chain('nums', steps)}",),
        used=tuple(steps),
    )


def text_steps(rng: Random) -> Draft:
    """Two steps on a string."""
    steps = task_grammar.text_steps(rng, 2)
    return Draft(
        key=_keys(*steps),
        name=rng.choice(("edit", "rewrite")),
        parameters=(("s", "text"),),
        docstring=_sentence(_say(rng, "s", steps)),
        body=(f"return {chain('s', steps)}",),
        used=tuple(steps),
    )


def word_map(rng: Random) -> Draft:
    """A step on each word that meets a condition."""
    condition = task_grammar.word_condition(rng)
    (step,) = task_grammar.text_steps(rng, 1)
    return Draft(
        key=_keys(condition, step),
        name=rng.choice(("map_words", "each_word")),
        parameters=(("words", "words"),),
        docstring=_sentence(step.say(f"each string in words {condition.words}")),
        body=(f"return [{chain('w', [step])} for w in words if {condition.apply('w')}]",),
        used=(condition, step),
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
    source = f"words if {condition.apply('w')}"
    return Draft(
        key=_keys(kind, condition),
        name=rng.choice(("digest", "survey")),
        parameters=(("words", "words"),),
        docstring=_sentence(f"{verb} the strings in words {condition.words}"),
        body=(f"return {code.format(g=source)}",),
        used=(condition,),
    )


FAMILIES: dict[str, Callable[[Random], Draft]] = {
    family.__name__: family
    for family in (
        number_steps, pair_step, number_branch, number_test, list_map, list_fold, list_loop,
        list_slice, text_steps, word_map, word_fold,
    )
}  # fmt: skip
