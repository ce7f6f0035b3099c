"""Code of Python's own standard library: real, at hand everywhere, and no benchmark's."""

import ast
import hashlib
import sysconfig
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from codewatt.corpora.contamination import LIMIT_SHARE, overlaps
from codewatt.corpora.corpus import TextSource, enough
from codewatt.errors import CodewattError

_HELD_OUT_ONE_IN = 5
_BYTES = (200, 4000)  # of a function or class: neither a stub nor most of a sample


class StdlibCode(TextSource):
    """Top-level functions and classes; one file in five is held out."""

    def documents(self, settings: dict[str, Any]) -> list[str]:
        """See `TextSource.documents`. They differ between versions of Python."""
        root = Path(sysconfig.get_path("stdlib"))
        found = list(_apart(root)[settings["part"]])
        if not found:
            raise CodewattError(f"{root}: no Python source; use a text with source: file")
        Random(f"stdlib {settings['seed']}").shuffle(found)
        return enough(found, settings)


@cache
def _apart(root: Path) -> dict[str, list[str]]:
    """The definitions of each part, but for those that the other holds: modules copy each other."""
    found: dict[str, list[str]] = {"calibration": [], "held_out": []}
    for path in sorted([*root.glob("*.py"), *root.glob("*/*.py")]):
        if not path.is_relative_to(root / "site-packages"):
            found[_part(path.relative_to(root))] += _definitions(path)
    one, other = found["calibration"], found["held_out"]
    return {"calibration": _without(one, other), "held_out": _without(other, one)}


def _without(definitions: list[str], others: list[str]) -> list[str]:
    """The definitions that no other holds."""
    shares = overlaps(others, {str(number): text for number, text in enumerate(definitions)})
    held = {int(one.name) for one in shares if one.share > LIMIT_SHARE}
    return [text for number, text in enumerate(definitions) if number not in held]


def _part(path: Path) -> str:
    total = hashlib.sha256(path.as_posix().encode()).digest()
    return "held_out" if total[0] % _HELD_OUT_ONE_IN == 0 else "calibration"


def _definitions(path: Path) -> Iterator[str]:
    """The source of a file's functions and classes; none of a file that cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
        with warnings.catch_warnings(action="ignore"):  # the library's own deprecations
            body = ast.parse(text).body
    except (SyntaxError, UnicodeDecodeError):
        return
    lines = text.splitlines(keepends=True)
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            source = "".join(lines[first - 1 : node.end_lineno])
            if _BYTES[0] <= len(source.encode()) <= _BYTES[1]:
                yield source


SOURCE = StdlibCode()
