"""Finds the Python that runs BigCodeBench's programs.

The programs need Python 3.10 and pinned versions of libraries, so they never run in codewatt's own
environment. `make bigcodebench` makes theirs in the checkout (docs/how-to/bigcodebench.md).
"""

import os
import sys
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.untrusted_files import display_path

VARIABLE = "CODEWATT_BIGCODEBENCH_PYTHON"
"""Environment variable with the path of the interpreter."""

ENVIRONMENT = ".venv-bigcodebench"
"""Directory that `make bigcodebench` makes, beside .venv."""


def benchmark_interpreter(configured: str | None = None) -> Path:
    """The interpreter that the environment variable or the configuration names, or the checkout's.

    Args:
        configured: `bigcodebench_python` of config/config.yaml; None if it is absent.

    Raises:
        CodewattError: there is no such file, or it cannot be executed.
    """
    if given := os.environ.get(VARIABLE):
        return _checked(given, f"{VARIABLE}: ")
    if configured:
        return _checked(configured, "config/config.yaml: bigcodebench_python: ")
    candidates = [folder / ENVIRONMENT / "bin" / "python" for folder in _checkouts()]
    for path in candidates:
        if path.exists():
            return _checked(path)
    raise CodewattError(
        f"BigCodeBench: {display_path(candidates[0])} is missing; it is the Python that runs the "
        f"programs; make it with `make bigcodebench`, or name one in {VARIABLE} or as "
        "bigcodebench_python in config/config.yaml"
    )


def _checkouts() -> list[Path]:
    """Directories that may contain the environment: the current one, and that of codewatt's own."""
    return list(dict.fromkeys((Path.cwd(), Path(sys.prefix).parent)))


def _checked(named: str | Path, source: str = "") -> Path:
    """The absolute path of an interpreter; links, as in virtual environments, are not resolved.

    Raises:
        CodewattError: it is not an executable file.
    """
    path = Path(named)
    if not path.is_file():
        raise CodewattError(
            f"{source}{display_path(path)}: no such file; allowed: path of a Python 3.10"
        )
    if not os.access(path, os.X_OK):
        raise CodewattError(f"{source}{display_path(path)}: is not executable")
    return path.absolute()
