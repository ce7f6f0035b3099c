"""Which code a stage's results depend on, and a digest of it.

A rule's params hold one line a module that its script reaches through imports, with a digest of
what the module does. An edited module therefore re-runs exactly the rules that use it, and
Snakemake's reason names the module; a comment, a docstring, a blank line or a fresh checkout
re-runs nothing. Members of a family (quantisers, pruners, engines) are loaded by name, so that
a new or edited member does not make the others' results stale: callers name the member.
"""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_SOURCE = Path(__file__).resolve().parent.parent
_PACKAGE = "codewatt"


def stage_code(script: str | Path, members: tuple[str, ...] = ()) -> list[str]:
    """'module digest' for a script and all codewatt modules that it reaches, sorted.

    Args:
        script: the rule's script; it stands in the list under its file name.
        members: dotted names of modules that the stage loads by name.
    """
    script = Path(script)
    reached: set[str] = set()
    waiting = [*members, *_imports(script)]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += _imports(_file_of(module))
    own = f"{script.name} {_digest(script)}"
    return [own, *(f"{module} {_digest(_file_of(module))}" for module in sorted(reached))]


def combined(lines: list[str]) -> str:
    """One short digest for `stage_code`'s lines, as manifests keep it."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@cache
def _digest(path: Path) -> str:
    """Digest of a module's text without comments, docstrings, blank lines and trailing space.

    Of the text, not of the syntax tree: that differs between versions of Python.
    """
    text = path.read_text(encoding="utf-8")
    lines = [line.encode() for line in text.splitlines()]
    for (first, start), (last, end) in [*_comments(text), *_docstrings(text)]:
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


def _docstrings(text: str) -> Iterator[_Span]:
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            value = first.value
            if isinstance(value.value, str) and value.end_lineno and value.end_col_offset:
                yield (value.lineno, value.col_offset), (value.end_lineno, value.end_col_offset)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """codewatt modules that a file imports, at its top or inside functions, and their packages."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
    return tuple(sorted(name for name in found if _exists(name)))


def _exists(module: str) -> bool:
    """Whether a dotted name is a module of this package (and not a name inside one)."""
    try:
        _file_of(module)
    except ModuleNotFoundError:
        return False
    return True


@cache
def _file_of(module: str) -> Path:
    base = _SOURCE.joinpath(*module.split("."))
    for candidate in (base.with_name(base.name + ".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    raise ModuleNotFoundError(module)
