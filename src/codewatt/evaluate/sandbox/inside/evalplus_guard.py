"""EvalPlus's reliability guard: functions that an untrusted program does not find.

EvalPlus 0.3.1 removes functions such as `os.putenv` and `open` after its own process has imported
most of the standard library, NumPy and pandas, so these libraries still work. A sandbox starts
with nothing imported. Here the functions are restored while a module of that set is imported, when
a program or one of its libraries imports it for the first time. The time of this import does not
count towards the time limit of a call.

The guard makes verdicts equal to EvalPlus's. It is not a security barrier; the sandbox is.
This file runs inside the sandbox, so it imports only the standard library.
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
if TYPE_CHECKING:  # saves an import in every sandbox
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_OS_FUNCTIONS = (
    *("kill", "system", "putenv", "remove", "removedirs", "rmdir", "fchdir", "setuid", "fork"),
    *("forkpty", "killpg", "rename", "renames", "truncate", "replace", "unlink", "fchmod"),
    *("fchown", "chmod", "chown", "chroot", "lchflags", "lchmod", "lchown", "getcwd", "chdir"),
)
_REMOVED_FUNCTIONS: tuple[tuple[Any, str], ...] = (
    *((builtins, name) for name in ("exit", "quit", "open", "help")),
    *((os, name) for name in _OS_FUNCTIONS),
    *((shutil, name) for name in ("rmtree", "move", "chown")),
    (subprocess, "Popen"),
)
_BLOCKED_MODULES = ("ipdb", "joblib", "resource", "psutil", "tkinter")

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
_program_values: list[Any] = []
_originals: list[Any] = []


def install_guard() -> None:
    """Remove the functions and modules, except while a library is imported."""
    _originals[:] = [getattr(owner, name, _ABSENT) for owner, name in _REMOVED_FUNCTIONS]
    for owner, name in _REMOVED_FUNCTIONS:
        setattr(owner, name, None)
    for name in _BLOCKED_MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    sys.meta_path.insert(0, _LibraryFinder())


def _suspend_guard() -> None:
    global _depth
    _depth += 1
    if _depth == 1:
        _program_values[:] = [getattr(owner, name, _ABSENT) for owner, name in _REMOVED_FUNCTIONS]
        _set_functions(_originals)
        for name in _BLOCKED_MODULES:
            if sys.modules.get(name, _ABSENT) is None:
                del sys.modules[name]


def _resume_guard() -> None:
    global _depth
    _depth -= 1
    if _depth == 0:
        _set_functions(_program_values)
        for name in _BLOCKED_MODULES:
            sys.modules[name] = None  # type: ignore[assignment]


def _set_functions(values: list[Any]) -> None:
    for (owner, name), value in zip(_REMOVED_FUNCTIONS, values, strict=True):
        if value is not _ABSENT:
            setattr(owner, name, value)
        elif hasattr(owner, name):
            delattr(owner, name)


class _LibraryFinder:
    """Finds modules as Python does; EvalPlus's own ones are loaded without the guard."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] not in _LOADED_IN_EVALPLUS:
            return None
        spec: ModuleSpec | None = _find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _LibraryLoader(spec.loader)  # type: ignore[assignment]
        return spec


class _LibraryLoader:
    """Loads a module with its own loader, without the guard and without the time limit."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        _suspend_guard()
        try:
            module: ModuleType | None = self._loader.create_module(spec)
        finally:
            _resume_guard()
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__loader__ = module.__spec__.loader = self._loader
        left_s, _ = _setitimer(_REAL, 0)
        _suspend_guard()
        try:
            self._loader.exec_module(module)
            if module.__name__ == "tempfile":
                module.gettempdir()  # EvalPlus has already called it
        finally:
            _resume_guard()
            if left_s > 0:
                _setitimer(_REAL, left_s)
