"""The Python that judges BigCodeBench is the named one, or that of the checkout."""

import os
import sys
from pathlib import Path

import pytest

from codewatt.errors import CodewattError
from codewatt.evaluate.benchmark_interpreter import VARIABLE, benchmark_interpreter


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "elsewhere" / ".venv"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def interpreter(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(sys.executable, path)
    return path


def test_the_variable_precedes_the_configuration_which_precedes_the_checkout(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = interpreter(nowhere / "elsewhere/.venv-bigcodebench/bin/python")
    assert benchmark_interpreter() == beside
    here = interpreter(nowhere / ".venv-bigcodebench/bin/python")
    assert benchmark_interpreter() == here, "the link itself, not what it points at"
    configured = interpreter(nowhere / "configured")
    assert benchmark_interpreter("configured") == configured
    monkeypatch.setenv(VARIABLE, str(interpreter(nowhere / "named")))
    assert benchmark_interpreter("configured") == nowhere / "named"


def test_what_is_missing_is_said_in_one_line(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CodewattError, match=r"python is missing; .*`make bigcodebench`"):
        benchmark_interpreter()
    with pytest.raises(CodewattError, match=r"config\.yaml: bigcodebench_python: x: no such file"):
        benchmark_interpreter("x")
    (nowhere / "text").write_text("")
    monkeypatch.setenv(VARIABLE, "text")
    with pytest.raises(CodewattError, match=f"{VARIABLE}: text: is not executable"):
        benchmark_interpreter()
