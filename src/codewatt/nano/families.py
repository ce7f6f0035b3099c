"""The families of nano's task grammar: each draws one task (docstring, signature, body).

A family's draw depends on its random generator alone. `Draft.key` names what the function
computes, in whatever words: two drafts of one family with one key are the same task.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from codewatt.nano import pieces
from codewatt.nano.pieces import Piece, chain


@dataclass(frozen=True)
class Draft:
    """A task without its inputs.

    key: what is computed; name: the function's; parameters: names and kinds of its arguments
    ("int", "count", "ints", "text", "words"); docstring: one line; body: lines, not indented;
    used: the pieces, for inputs at their edges; atol: absolute tolerance of the result.
    """

    key: str
    name: str
    parameters: tuple[tuple[str, str], ...]
    docstring: str
    body: tuple[str, ...]
    used: tuple[Piece, ...]
    atol: float = 0.0


def _keys(*parts: Piece | str | None) -> str:
    return "; ".join(
        part.key if isinstance(part, Piece) else str(part) for part in parts if part is not None
    )


def _used(*parts: Piece | None) -> tuple[Piece, ...]:
    return tuple(part for part in parts if part is not None)


def _then(rng: Random, steps: list[Piece]) -> str:
    """The steps in words: "add 2, square it and negate it"."""
    *most, last = [step.words for step in steps]
    joint = rng.choice((" and ", ", then "))
    return ", ".join(most) + joint + last if most else last


def _integer(rng: Random) -> str:
    return "n"


def _integers(rng: Random) -> str:
    return "nums"


def number_steps(rng: Random) -> Draft:
    """Two or three steps on one number."""
    n, steps = _integer(rng), pieces.number_steps(rng, 2)
    return Draft(
        key=_keys(*steps),
        name=rng.choice(("transform", "compute", "apply_steps", "change_number")),
        parameters=((n, "int"),),
        docstring=rng.choice(("Take {n}, {s}.", "Start with {n}, {s}.")).format(
            n=n, s=_then(rng, steps)
        ),
        body=(f"return {chain(n, steps)}",),
        used=tuple(steps),
    )


_PAIRS = (
    ("sum", "the sum of {a} and {b}", "{a} + {b}", False),
    ("difference", "{a} minus {b}", "{a} - {b}", False),
    ("product", "the product of {a} and {b}", "{a} * {b}", False),
    ("larger", "the larger of {a} and {b}", "max({a}, {b})", True),
    ("smaller", "the smaller of {a} and {b}", "min({a}, {b})", True),
    ("distance", "the distance of {a} and {b}", "abs({a} - {b})", True),
)


def pair_steps(rng: Random) -> Draft:
    """Two numbers become one, and one or two steps follow."""
    a, b = "a", "b"
    kind, words, code, atom = rng.choice(_PAIRS)
    steps = pieces.number_steps(rng, 1)
    operand = code.format(a=a, b=b)
    bare = atom or steps[0].wraps
    body = chain("{p}", steps).replace("{p}", operand if bare else f"({operand})", 1)
    text = rng.choice(("Take {w}, {s}.", "Compute {w}, {s}."))
    return Draft(
        key=_keys(kind, *steps),
        name=rng.choice(("combine", "mix_pair", "compute_pair", "join_numbers")),
        parameters=((a, "int"), (b, "int")),
        docstring=text.format(w=words.format(a=a, b=b), s=_then(rng, steps)),
        body=(f"return {body}",),
        used=tuple(steps),
    )


def number_branch(rng: Random) -> Draft:
    """One step or another, by a condition."""
    n, condition = _integer(rng), pieces.number_condition(rng)
    yes, no = pieces.number_steps(rng, 2)
    text = rng.choice(("If {n} is {c}, {y}, otherwise {o}.", "When {n} is {c}, {y}, else {o}."))
    return Draft(
        key=_keys(condition, yes, no),
        name=rng.choice(("choose", "branch", "adjust", "pick_step")),
        parameters=((n, "int"),),
        docstring=text.format(n=n, c=condition.words, y=yes.words, o=no.words),
        body=(
            f"if {condition.apply(n)}:",
            f"    return {chain(n, [yes])}",
            f"return {chain(n, [no])}",
        ),
        used=(condition, yes, no),
    )


def number_test(rng: Random) -> Draft:
    """Whether a number meets two conditions, or one of them."""
    n = _integer(rng)
    first, second = pieces.number_condition(rng), pieces.number_condition(rng)
    while second.key.split()[0] == first.key.split()[0]:
        second = pieces.number_condition(rng)
    joint = rng.choice(("and", "or"))
    text = rng.choice(("Tell whether {n} is {a} {j} {b}.", "Check if {n} is {a} {j} {b}."))
    return Draft(
        key=_keys(joint, *sorted((first, second), key=lambda piece: piece.key)),
        name=rng.choice(("is_good", "check", "matches", "test_number")),
        parameters=((n, "int"),),
        docstring=text.format(n=n, a=first.words, j=joint, b=second.words),
        body=(f"return {first.apply(n)} {joint} {second.apply(n)}",),
        used=(first, second),
    )


def list_map(rng: Random) -> Draft:
    """One or two steps on each number that meets a condition."""
    nums, condition = _integers(rng), pieces.number_condition(rng)
    steps = pieces.number_steps(rng, 1)
    text = rng.choice(
        ("For each number in {l} that is {c}, {s}.", "Take the numbers of {l} that are {c}, {s}.")
    )
    return Draft(
        key=_keys(condition, *steps),
        name=rng.choice(("convert", "map_numbers", "transform_list", "update_all")),
        parameters=((nums, "ints"),),
        docstring=text.format(l=nums, c=condition.words, s=_then(rng, steps)),
        body=(f"return [{chain('i', steps)} for i in {nums} if {condition.apply('i')}]",),
        used=(condition, *steps),
    )


def list_fold(rng: Random) -> Draft:
    """Sum, largest or smallest of the numbers that meet a condition, after one step."""
    nums, condition = _integers(rng), pieces.number_condition(rng)
    fold, step = pieces.number_fold(rng), pieces.number_step(rng)
    text = rng.choice(
        (
            "For each number in {l} that is {c}, {s}, and return the {f}.",
            "Take the numbers of {l} that are {c}, {s}, and give the {f}.",
        )
    )
    inner = f"{chain('i', [step])} for i in {nums} if {condition.apply('i')}"
    if "," in fold.code:
        inner = f"({inner})"
    return Draft(
        key=_keys(fold, condition, step),
        name=rng.choice(("fold", "reduce_list", "summarise", "collect")),
        parameters=((nums, "ints"),),
        docstring=text.format(l=nums, c=condition.words, s=step.words, f=fold.words),
        body=(f"return {fold.apply(inner)}",),
        used=(condition, step),
    )


def list_loop(rng: Random) -> Draft:
    """A loop that adds up one step or another, by a condition."""
    nums, condition = _integers(rng), pieces.number_condition(rng)
    start = rng.choice((0, 1, 10, 100))
    step = pieces.number_step(rng)
    text = rng.choice(
        (
            "Start a total at {t} and loop over {l}: if a number is {c}, {s} and add it.",
            "Loop over {l} with a total of {t}: if a number is {c}, {s} and add it.",
        )
    )
    return Draft(
        key=_keys(str(start), condition, step),
        name=rng.choice(("accumulate", "loop_total", "run_total", "gather")),
        parameters=((nums, "ints"),),
        docstring=text.format(t=start, l=nums, c=condition.words, s=step.words),
        body=(
            f"total = {start}",
            f"for i in {nums}:",
            f"    if {condition.apply('i')}:",
            f"        total += {chain('i', [step])}",
            "return total",
        ),
        used=(condition, step),
    )


def list_slice(rng: Random) -> Draft:
    """Two or three steps on a whole list."""
    nums, steps = _integers(rng), pieces.list_steps(rng, 2)
    return Draft(
        key=_keys(*steps),
        name=rng.choice(("arrange", "slice_list", "select", "reorder")),
        parameters=((nums, "ints"),),
        docstring=rng.choice(("Take the list {l}, {s}.", "From the list {l}, {s}.")).format(
            l=nums, s=_then(rng, steps)
        ),
        body=(f"return {chain(nums, steps)}",),
        used=tuple(steps),
    )


def list_average(rng: Random) -> Draft:
    """The average of the numbers that meet a condition, after one step; 0.0 of none."""
    nums, condition = _integers(rng), pieces.number_condition(rng)
    step = pieces.number_step(rng)
    text = rng.choice(
        (
            "Average the numbers of {l} that are {c}, or give 0.0 if there are none, {s}.",
            "Give the mean of the numbers in {l} that are {c}, 0.0 for none, {s}.",
        )
    )
    return Draft(
        key=_keys(condition, step),
        name=rng.choice(("average", "mean_of", "find_mean", "mean_value")),
        parameters=((nums, "ints"),),
        docstring=text.format(l=nums, c=condition.words, s=step.words),
        body=(
            f"kept = [i for i in {nums} if {condition.apply('i')}]",
            "mean = sum(kept) / len(kept) if kept else 0.0",
            f"return {chain('mean', [step])}",
        ),
        used=(condition, step),
        atol=1e-6,
    )


def range_list(rng: Random) -> Draft:
    """One or two steps on each number from 1 to n that meets a condition."""
    n, condition = _integer(rng), pieces.number_condition(rng, 9)
    steps = pieces.number_steps(rng, 1)
    text = rng.choice(
        (
            "For each number from 1 to {n} that is {c}, {s}.",
            "List the numbers from 1 to {n} that are {c}, {s}.",
        )
    )
    return Draft(
        key=_keys(condition, *steps),
        name=rng.choice(("sequence", "build_range", "make_list", "up_to")),
        parameters=((n, "count"),),
        docstring=text.format(n=n, c=condition.words, s=_then(rng, steps)),
        body=(
            f"return [{chain('i', steps)} for i in range(1, {n} + 1) if {condition.apply('i')}]",
        ),
        used=(condition, *steps),
    )


def text_steps(rng: Random) -> Draft:
    """Two or three steps on a string."""
    text, steps = "s", pieces.text_steps(rng, 2)
    return Draft(
        key=_keys(*steps),
        name=rng.choice(("edit", "rewrite", "format_text", "change_text")),
        parameters=((text, "text"),),
        docstring=rng.choice(("Take the string {t}, {s}.", "With the string {t}, {s}.")).format(
            t=text, s=_then(rng, steps)
        ),
        body=(f"return {chain(text, steps)}",),
        used=tuple(steps),
    )


def text_letters(rng: Random) -> Draft:
    """Count or keep the characters that meet a condition, after one step on the string."""
    text, condition = "s", pieces.letter_condition(rng)
    (step,) = pieces.text_steps(rng, 1)
    inner = chain(text, [step])
    count = rng.random() < 0.5
    verb = rng.choice(("count", "find the number of")) if count else rng.choice(("keep", "join"))
    start = rng.choice(("Take the string", "With the string"))
    code = (
        f"sum({condition.apply('c')} for c in {inner})"
        if count
        else f"''.join(c for c in {inner} if {condition.apply('c')})"
    )
    return Draft(
        key=_keys("count" if count else "keep", condition, step),
        name=rng.choice(("letters", "scan_text", "characters", "pick_letters")),
        parameters=((text, "text"),),
        docstring=f"{start} {text}, {step.words} and {verb} the {condition.words}.",
        body=(f"return {code}",),
        used=(condition, step),
    )


def word_map(rng: Random) -> Draft:
    """A step on each word that meets a condition."""
    words, condition = "words", pieces.word_condition(rng)
    steps = pieces.text_steps(rng, 1)
    text = rng.choice(
        ("For each string of {l} {c}, {s}.", "Take each string in {l} {c} and {s}.")
    )
    return Draft(
        key=_keys(condition, *steps),
        name=rng.choice(("edit_words", "map_words", "rewrite_all", "each_word")),
        parameters=((words, "words"),),
        docstring=text.format(l=words, c=condition.words, s=_then(rng, steps)),
        body=(f"return [{chain('w', steps)} for w in {words} if {condition.apply('w')}]",),
        used=(condition, *steps),
    )


_WORD_FOLDS = (
    ("letters", "count the letters of all strings", "sum(len(w) for w in {g})"),
    ("longest", "find the length of the longest string", "max((len(w) for w in {g}), default=0)"),
    ("count", "count the strings", "sum(1 for w in {g})"),
    ("initials", "join the first letters of the strings", "''.join(w[:1] for w in {g})"),
    ("lengths", "map the strings to their lengths", "{{w: len(w) for w in {g}}}"),
    ("ends", "map the strings to their last letters", "{{w: w[-1:] for w in {g}}}"),
)


def word_fold(rng: Random) -> Draft:
    """One result from the words that meet one or two conditions."""
    words = "words"
    first, second = pieces.word_condition(rng), pieces.word_condition(rng)
    while second.key.split()[0] == first.key.split()[0]:
        second = pieces.word_condition(rng)
    kind, verb, code = rng.choice(_WORD_FOLDS)
    joint = rng.choice(("and", "or"))
    source = f"{words} if {first.apply('w')} {joint} {second.apply('w')}"
    text = rng.choice(("In {l}, {v} {a} {j} {b}.", "From {l}, {v} {a} {j} {b}."))
    return Draft(
        key=_keys(kind, joint, *sorted((first, second), key=lambda piece: piece.key)),
        name=rng.choice(("digest", "word_stats", "measure", "survey")),
        parameters=((words, "words"),),
        docstring=text.format(l=words, v=verb, a=first.words, j=joint, b=second.words),
        body=(f"return {code.format(g=source)}",),
        used=(first, second),
    )


FAMILIES: dict[str, Callable[[Random], Draft]] = {
    family.__name__: family
    for family in (
        number_steps, pair_steps, number_branch, number_test, list_map, list_fold, list_loop,
        list_slice, list_average, range_list, text_steps, text_letters, word_map, word_fold,
    )
}  # fmt: skip
