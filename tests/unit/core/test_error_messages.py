"""Errors are one line that a terminal shows as it is; what broke is in the log."""

import errno
import subprocess
import sys
import zlib

import pytest

from codewatt import cli
from codewatt.error_messages import describe, printable, show
from codewatt.errors import CodewattError

HOSTILE = "a\x1b[31mred\x1b]0;title\x07 \x9b2J \u202egnp.exe \u2066 \r\n\tb\u2028c \ud800 \x00"


def test_nothing_that_moves_a_terminal_is_left():
    shown = printable(HOSTILE)
    assert shown.isprintable()
    assert r"\x1b[31mred\x1b]0;title\x07" in shown
    assert r"\u202egnp.exe" in shown
    assert r"\ud800" in shown
    shown.encode()


def test_an_answer_keeps_its_lines_and_nothing_else(capsys):
    show(f"one\n  two  {HOSTILE}\n")
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "one"
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("text", ["plain", "שלום", "naïve 日本", "👩\u200d💻", "a  b"])
def test_ordinary_text_stays_as_it_is(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), "a/b: Permission denied"),
        (OSError("a library's own text"), "a library's own text"),
        (MemoryError(), "out of memory"),
        (RecursionError("maximum"), "nested too deeply"),
        (ModuleNotFoundError("No module named 'vllm'"), "No module named 'vllm'"),
        (EOFError("cut"), "a compressed file is damaged: cut"),
        (zlib.error("Error -3"), "a compressed file is damaged: Error -3"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "os error 28"),
        (CodewattError("its own"), "its own"),
    ],
)
def test_what_is_not_the_programs_fault_is_described(error, said):
    assert said in describe(error)


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("y"), AssertionError()])
def test_an_error_of_the_program_is_not(error):
    assert describe(error) is None


_SCRIPT = """
from types import SimpleNamespace
from codewatt.errors import CodewattError
from codewatt.logs import rule_log
with rule_log(SimpleNamespace(rule="generate", log=[{log!r}], output=["results/x.json"])):
    raise {error}
"""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("CodewattError('bad \\x1b[2J input')", r"ERROR: bad \x1b[2J input"),
        (
            "OSError(28, 'No space left on device')",
            "ERROR: results/x.json: No space left on device; free disk space, then run the same "
            "command again",
        ),
        (
            "PermissionError(13, 'Permission denied', '/data/model')",
            "ERROR: /data/model: Permission denied",
        ),
        ("MemoryError()", "ERROR: results/x.json: out of memory: the machine has too little for "
         "this input"),
    ],
)  # fmt: skip
def test_a_rule_that_fails_says_one_line_and_logs_where(tmp_path, error, said):
    log = tmp_path / "log"
    script = _SCRIPT.format(log=str(log), error=error)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [said]
    assert said.removeprefix("ERROR: ") in log.read_text()
    assert ("Traceback" in log.read_text()) == ("Codewatt" not in error)


def test_an_error_of_the_program_leaves_its_traceback(tmp_path):
    script = _SCRIPT.format(log=str(tmp_path / "log"), error="KeyError('\\x1b[2J')")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "Traceback" in (tmp_path / "log").read_text()
    assert "\x1b" not in (tmp_path / "log").read_text()


def test_a_log_that_cannot_be_written_is_one_line(tmp_path):
    script = _SCRIPT.format(log=str(tmp_path / "none" / "log"), error="KeyError()")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "No such file or directory" in line


def test_the_command_line_says_one_printable_line(tmp_path, capsys):
    study = tmp_path / "st\x1b[2J.yaml"
    study.write_text("study: 'a\\e[31m'\n", encoding="utf-8")
    for given in (study, tmp_path / "absent\n.yaml", tmp_path):
        assert cli.main(["study", str(given)]) == 1
        said = capsys.readouterr().err
        assert said.startswith("codewatt: ")
        assert said.endswith("\n")
        assert said[:-1].isprintable()
