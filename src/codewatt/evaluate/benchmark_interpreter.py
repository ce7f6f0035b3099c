"""The Python environment in which programs that are judged by unit tests run.

It is not codewatt's own: BigCodeBench's tests depend on the versions of 100 libraries.
"""

import os
from pathlib import Path

from codewatt.errors import CodewattError

VARIABLE = "CODEWATT_BIGCODEBENCH_PYTHON"
"""Environment variable that names another python than the one of `make bigcodebench`."""

_FOLDER = ".venv-bigcodebench"


def benchmark_interpreter() -> Path:
    """Absolute path of the python of that environment.

    It is the value of `CODEWATT_BIGCODEBENCH_PYTHON`, or `.venv-bigcodebench/bin/python` in the
    working directory.

    Raises:
        CodewattError: there is no such file.
    """
    given = os.environ.get(VARIABLE, "")
    path = Path(os.path.abspath(given or Path(_FOLDER, "bin", "python")))
    if not os.access(path, os.X_OK):
        where = f"{VARIABLE}: {path}" if given else str(path)
        raise CodewattError(
            f"{where}: no Python environment of the benchmark; make it: make bigcodebench"
        )
    return path
