"""A digest of what a Python file does, and the codewatt modules that it names in imports.

Every start of Snakemake asks this of each of the package's files, also in every job of a cluster,
and parsing them all takes seconds. The answers are therefore kept in the cache directory. They are
looked up by the sha256 of a file's content, so that an edited file is always parsed anew; a cache
that is missing, damaged or cannot be written costs time and changes no answer.
"""

import ast
import hashlib
import io
import logging
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from codewatt.cache_directory import cache_directory
from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json

_PACKAGE = "codewatt"
#: More answers than this are of old versions of the files; they are dropped at the next write.
_MOST_KEPT = 5000

_logger = logging.getLogger(__name__)
_kept: dict[str, "ModuleSource"] | None = None  # sha256 of a file's content -> the answer
_unwritten = False


class ModuleSource(NamedTuple):
    """What a Python file does and names.

    Attributes:
        digest: 12 hex digits of the sha256 of the text without comments, docstrings, blank lines
            and trailing space.
        imported: dotted names in imports that begin with `codewatt`, and the packages above them,
            sorted; the last part of a name may be an object inside a module.
    """

    digest: str
    imported: tuple[str, ...]


@cache
def module_source(path: Path) -> ModuleSource:
    """Digest and imported names of the Python file at `path`, as it was when first asked."""
    global _unwritten
    content = path.read_bytes()
    key = hashlib.sha256(content).hexdigest()
    kept = _answers()
    if key not in kept:
        text = content.decode("utf-8")
        tree = ast.parse(text)
        kept[key] = ModuleSource(_digest(text, tree), _imported(tree))
        _unwritten = True
    return kept[key]


def keep_answers() -> None:
    """Write the answers to the cache directory, if there are new ones."""
    global _unwritten
    if not _unwritten:
        return
    _unwritten = False
    answers = _answers()
    if len(answers) > _MOST_KEPT:
        answers.clear()
    try:
        write_json(_file(), answers)
    except CodewattError as error:
        _logger.debug("digests of the code are not kept between runs: %s", error)


def forget_answers() -> None:
    """Look at the files and at the cache directory again."""
    global _kept, _unwritten
    _kept, _unwritten = None, False
    module_source.cache_clear()


def _answers() -> dict[str, ModuleSource]:
    """The answers that are kept in the cache directory, and those given since."""
    global _kept
    if _kept is None:
        try:
            _kept = {
                str(key): ModuleSource(str(digest), tuple(map(str, imported)))
                for key, (digest, imported) in read_json(_file()).items()
            }
        except (CodewattError, OSError, ValueError, TypeError, AttributeError):
            _kept = {}
    return _kept


@cache
def _file() -> Path:
    """The file of answers; answers of other versions of this module or of Python do not count."""
    version = hashlib.sha256(Path(__file__).read_bytes())
    version.update(repr(sys.version_info[:3]).encode())
    return cache_directory() / f"module-sources-{version.hexdigest()[:12]}.json"


def _digest(text: str, tree: ast.Module) -> str:
    """Digest of the text, not of the syntax tree: that differs between versions of Python."""
    lines = [line.encode() for line in text.splitlines()]
    for (first, start), (last, end) in [*_comments(text), *_docstrings(tree)]:
        for number in range(first - 1, last):
            line = lines[number]
            left = start if number == first - 1 else 0
            right = end if number == last - 1 else len(line)
            lines[number] = line[:left] + b" " * (right - left) + line[right:]
    code = b"\n".join(stripped for line in lines if (stripped := line.rstrip()))
    return hashlib.sha256(code).hexdigest()[:12]


_Span = tuple[tuple[int, int], tuple[int, int]]  # (line from 1, byte from 0), first and last


def _comments(text: str) -> Iterator[_Span]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            (line, start), (_, end) = token.start, token.end
            before = token.line[:start].encode()
            yield (line, len(before)), (line, len(before) + len(token.line[start:end].encode()))


def _docstrings(tree: ast.Module) -> Iterator[_Span]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            value = first.value
            if isinstance(value.value, str) and value.end_lineno and value.end_col_offset:
                yield (value.lineno, value.col_offset), (value.end_lineno, value.end_col_offset)


def _imported(tree: ast.Module) -> tuple[str, ...]:
    """Names in imports at the top of a file or inside functions, and the packages above them."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == _PACKAGE:
                found.update(".".join(parts[:size]) for size in range(1, len(parts) + 1))
    return tuple(sorted(found))
