"""Corpus source `stdlib`: code of Python's standard library, which every installation has."""

import ast
import hashlib
import sysconfig
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

from codewatt.corpora.contamination import MAX_SHARE, measure_contamination
from codewatt.corpora.corpus import CorpusSource, select_documents
from codewatt.corpora.corpus_record import CorpusSettings
from codewatt.errors import CodewattError

_HELD_OUT_ONE_IN = 5
_BYTES = (200, 4000)  # size of a function or class: neither a stub nor most of a sequence


class StdlibCode(CorpusSource):
    """Top-level functions and classes; one file in five belongs to the held-out part."""

    def documents(self, settings: CorpusSettings) -> list[str]:
        """See `CorpusSource.documents`; the documents depend on the version of Python."""
        root = Path(sysconfig.get_path("stdlib"))
        found = list(_disjoint_parts(root)[settings["part"]])
        if not found:
            raise CodewattError(
                f"{root}: contains no Python source code; use a corpus with source: file"
            )
        Random(f"stdlib {settings['seed']}").shuffle(found)
        return select_documents(found, settings)


@cache
def _disjoint_parts(root: Path) -> dict[str, list[str]]:
    """Definitions of each part, without those that the other part contains as a copy."""
    found: dict[str, list[str]] = {"calibration": [], "held_out": []}
    for path in sorted([*root.glob("*.py"), *root.glob("*/*.py")]):
        if not path.is_relative_to(root / "site-packages"):
            found[_part(path.relative_to(root))] += _definitions(path)
    one, other = found["calibration"], found["held_out"]
    return {"calibration": _without(one, other), "held_out": _without(other, one)}


def _without(definitions: list[str], others: list[str]) -> list[str]:
    """The definitions that none of the others contains."""
    shares = measure_contamination(
        others, {str(number): text for number, text in enumerate(definitions)}
    )
    contained = {int(one.name) for one in shares if one.share > MAX_SHARE}
    return [text for number, text in enumerate(definitions) if number not in contained]


def _part(path: Path) -> str:
    total = hashlib.sha256(path.as_posix().encode()).digest()
    return "held_out" if total[0] % _HELD_OUT_ONE_IN == 0 else "calibration"


def _definitions(path: Path) -> Iterator[str]:
    """Yield the source of a file's functions and classes; nothing if it cannot be parsed."""
    try:
        text = path.read_text(encoding="utf-8")
        with warnings.catch_warnings(action="ignore"):  # deprecated syntax in the library
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
