"""EvalPlus's `code_extract`, with the same result and without its cubic cost.

EvalPlus parses every range of lines of a text and keeps the first with the most lines that are not
blank. Most ranges cannot win and are not parsed here:

- A range with no more such lines than the best one so far: EvalPlus drops it after parsing.
- A range that ends in a blank line: without that line it holds as many, and comes earlier. It
  parses if the longer one does, unless a line shortly before ends in a backslash.
- A range that starts right after a blank line: together with the blank line it parses if it does
  alone, holds as many lines, and comes earlier.
"""

from collections.abc import Callable
from itertools import accumulate


def code_extract(text: str, parses: Callable[[str], bool]) -> str:
    """The longest run of lines of a text that is Python, as EvalPlus 0.3.1 finds it.

    Args:
        parses: EvalPlus's `syntax_check`.

    Raises:
        Exception: what `parses` raises on a text that is none (null bytes, lone surrogates).
    """
    lines = text.split("\n")
    if len(lines) > 1:
        parses(text)
    filled_before = [0, *accumulate(bool(line.strip()) for line in lines)]
    best, longest = (0, 0), 0
    for start in range(len(lines)):
        if filled_before[-1] - filled_before[start] <= longest:
            break
        if start > 0 and not lines[start - 1].strip(" \t"):
            continue
        for end in range(start + 1, len(lines)):
            filled = filled_before[end + 1] - filled_before[start]
            if filled <= longest or (end > start + 1 and _adds_nothing(lines, end)):
                continue
            if parses("\n".join(lines[start : end + 1])):
                best, longest = (start, end), filled
    return "\n".join(lines[best[0] : best[1] + 1])


def _adds_nothing(lines: list[str], end: int) -> bool:
    """Whether a range may end in this blank line only if it may end before it.

    A backslash at the end of a line joins the next one, which then has to end in a newline.
    """
    before = (line.rstrip("\r") for line in lines[max(0, end - 2) : end])
    return not lines[end].strip() and not any(line.endswith("\\") for line in before)
