"""Which code a stage's results depend on, and a digest of it.

A rule's params hold one line a module that its script reaches through imports, with a digest of
what the module does. An edited module therefore re-runs exactly the rules that use it, and
Snakemake's reason names the module; a comment, a docstring, a blank line or a fresh checkout
re-runs nothing. Members of a family (quantisers, pruners, engines) are loaded by name, so that
a new or edited member does not make the others' results stale: callers name the member.
"""

import hashlib
from functools import cache
from pathlib import Path

from codewatt.module_sources import keep_answers, module_source

_SOURCE = Path(__file__).resolve().parent.parent


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
    own = f"{script.name} {module_source(script).digest}"
    lines = [f"{name} {module_source(_file_of(name)).digest}" for name in sorted(reached)]
    keep_answers()
    return [own, *lines]


def combined(lines: list[str]) -> str:
    """One short digest for `stage_code`'s lines, as manifests keep it."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """The modules of codewatt that a file imports."""
    return tuple(name for name in module_source(path).imported if _exists(name))


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
