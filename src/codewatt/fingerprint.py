"""Which code a stage's results depend on, and a digest of it.

A rule's params hold one line a module that its script reaches through imports, with a digest of
what the module does. An edited module therefore re-runs exactly the rules that use it, and
Snakemake's reason names the module; a comment, a docstring, a reformatting or a fresh checkout
re-runs nothing. Members of a family (quantisers, pruners, engines) are loaded by name, so that
a new or edited member does not make the others' results stale: callers name the member.
"""

import ast
import hashlib
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
    """Digest of a module without comments, docstrings and layout."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:12]


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
