"""EvalPlus's guard: functions that a judged program does not find, and libraries that still work.

EvalPlus 0.3.1 takes functions such as `os.putenv` and `open` away after its own process has loaded
most of the standard library, NumPy and pandas, so these have kept what they need. A sandbox starts
with nothing loaded. Here a module of that set gets the functions back while it is loaded, whenever
a program, or a library that the program uses, first imports it; its time does not count.

This makes verdicts equal. It is no barrier and is not meant as one: the sandbox is.
This file is read inside the sandbox, so it imports nothing but the standard library.
"""

from __future__ import annotations

import builtins
import importlib
import os
import shutil
import signal
import subprocess
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # a module less to load, for every program
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_OS = (
    *("kill", "system", "putenv", "remove", "removedirs", "rmdir", "fchdir", "setuid", "fork"),
    *("forkpty", "killpg", "rename", "renames", "truncate", "replace", "unlink", "fchmod"),
    *("fchown", "chmod", "chown", "chroot", "lchflags", "lchmod", "lchown", "getcwd", "chdir"),
)
_TAKEN: tuple[tuple[Any, str], ...] = (
    *((builtins, name) for name in ("exit", "quit", "open", "help")),
    *((os, name) for name in _OS),
    *((shutil, name) for name in ("rmtree", "move", "chown")),
    (subprocess, "Popen"),
)
_MODULES_TAKEN = ("ipdb", "joblib", "resource", "psutil", "tkinter")

# Third-party packages that `import evalplus.evaluate` of EvalPlus 0.3.1 loads.
EVALPLUS_PACKAGES = frozenset(
    {
        *("anyio", "appdirs", "datasets", "dateutil", "dill", "filelock", "fsspec", "h11"),
        *("httpcore", "httpx", "huggingface_hub", "idna", "multiprocess", "numpy", "packaging"),
        *("pandas", "psutil", "pyarrow", "pytz", "requests", "rich", "six", "tempdir"),
        *("termcolor", "tqdm", "tree_sitter", "tree_sitter_python", "typing_extensions"),
        *("urllib3", "wget", "xxhash", "yaml", "certifi", "charset_normalizer"),
    }
)
_LOADED_IN_EVALPLUS = sys.stdlib_module_names | EVALPLUS_PACKAGES

_ABSENT = object()
_external: Any = importlib._bootstrap_external  # type: ignore[attr-defined]
_find_spec, _setitimer, _REAL = _external.PathFinder.find_spec, signal.setitimer, signal.ITIMER_REAL

_depth = 0
_of_program: list[Any] = []
_originals: list[Any] = []


def take_away() -> None:
    """Put the guard up, and have libraries loaded without it."""
    _originals[:] = [getattr(owner, name, _ABSENT) for owner, name in _TAKEN]
    for owner, name in _TAKEN:
        setattr(owner, name, None)
    for name in _MODULES_TAKEN:
        sys.modules[name] = None  # type: ignore[assignment]
    sys.meta_path.insert(0, _Finder())


def _lift() -> None:
    global _depth
    _depth += 1
    if _depth == 1:
        _of_program[:] = [getattr(owner, name, _ABSENT) for owner, name in _TAKEN]
        _put(_originals)
        for name in _MODULES_TAKEN:
            if sys.modules.get(name, _ABSENT) is None:
                del sys.modules[name]


def _restore() -> None:
    global _depth
    _depth -= 1
    if _depth == 0:
        _put(_of_program)
        for name in _MODULES_TAKEN:
            sys.modules[name] = None  # type: ignore[assignment]


def _put(values: list[Any]) -> None:
    for (owner, name), value in zip(_TAKEN, values, strict=True):
        if value is not _ABSENT:
            setattr(owner, name, value)
        elif hasattr(owner, name):
            delattr(owner, name)


class _Finder:
    """Finds modules where Python does, and has some of them loaded without the guard."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] not in _LOADED_IN_EVALPLUS:
            return None
        spec: ModuleSpec | None = _find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    """Loads a module by its own loader, without the guard and without the time limit of a call."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        _lift()
        try:
            module: ModuleType | None = self._loader.create_module(spec)
        finally:
            _restore()
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__loader__ = module.__spec__.loader = self._loader
        left_s, _ = _setitimer(_REAL, 0)
        _lift()
        try:
            self._loader.exec_module(module)
            if module.__name__ == "tempfile":
                module.gettempdir()  # known in EvalPlus, which works in a temporary directory
        finally:
            _restore()
            if left_s > 0:
                _setitimer(_REAL, left_s)
