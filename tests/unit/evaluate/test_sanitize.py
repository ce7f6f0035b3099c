"""The sanitiser's result is EvalPlus's, and one program's cost is its own."""

import json
import subprocess
import sys
from typing import Any

import pytest
from evalplus.sanitize import code_extract as evalplus_code_extract
from evalplus.sanitize import sanitize as evalplus_sanitize
from evalplus.syncheck import syntax_check
from hypothesis import given, settings
from hypothesis import strategies as st

from codewatt.evaluate import sanitize
from codewatt.evaluate.code_extract import code_extract
from codewatt.evaluate.sandbox.limited_process import LimitedProcess, RequestRefused

GOOD = "def add(a, b):\n    return a + b\n"

LINES = [
    *("", "", "   ", "\t", "x = 1", "x = 1", "if x:", "    y = 2", "  z", "def f():", "    return"),
    *("'''", '"""', "(", ")", "x = 1 \\", "\\", "# note", "    # note", "else:", "\x0c", "\r"),
    *("\xa0", "x = 1 \\\r", "@f", "]", "words that are no code", "import os", "\x0b", "class A:"),
]  # fmt: skip


@given(st.lists(st.sampled_from(LINES), max_size=9), st.text("x=1 \n\\'", max_size=9))
@settings(max_examples=600)
@pytest.mark.filterwarnings("ignore")
def test_the_extracted_code_is_what_evalplus_extracts(lines: list[str], more: str) -> None:
    text = "\n".join([*lines, more])
    assert code_extract(text, syntax_check) == evalplus_code_extract(text)


@pytest.mark.parametrize("text", ["", "x", "\n", "\n\n", "x\n", "\nx", "(", "(\n)", "x\n\n(\n\n"])
def test_so_it_does_for_the_shortest_texts(text: str) -> None:
    assert code_extract(text, syntax_check) == evalplus_code_extract(text)


def test_few_ranges_are_parsed() -> None:
    """EvalPlus parses n^2 / 2 ranges of n lines, each in a time that grows with n."""
    parsed: list[str] = []

    def parses(text: str) -> bool:
        parsed.append(text)
        return bool(syntax_check(text))

    assert code_extract(GOOD + "\n" * 4500, parses) == GOOD.rstrip("\n")
    assert len(parsed) < 10
    parsed.clear()
    assert code_extract("broken (\n" + GOOD + "\n" * 4500 + "more )", parses) == GOOD.rstrip("\n")
    assert len(parsed) < 40


def test_programs_come_back_in_order_and_blank_lines_cost_nothing() -> None:
    asked = [(GOOD + "\n" * 4500, "add"), (GOOD + "print(add(1, 2))\n", "add"), ("", "add")]
    cleaned = sanitize.sanitize_all([*asked, asked[1]], jobs=1)
    assert cleaned == [GOOD.strip(), GOOD.strip(), "", GOOD.strip()]


def test_a_program_over_its_time_is_left_as_it_is_and_the_others_are_sanitised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sanitize, "CPU_S", 0.5)
    slow = "\n".join(f"words {number} (" for number in range(3000)) + "\n"
    asked = [(GOOD + "print(1)\n", "add"), (slow, "add"), ("x = 1\n" + GOOD, "add")]
    assert sanitize.sanitize_all(asked, jobs=1) == [GOOD.strip(), slow, GOOD.strip()]


def test_a_program_over_its_memory_is_refused() -> None:
    helper = LimitedProcess("codewatt.evaluate.sanitize", 16 << 20)
    text = json.dumps(["x = [" + "1, " * 2_000_000 + "]\ny = 1\n", "y", "evalplus"]).encode()
    with pytest.raises(RequestRefused, match="memory"):
        helper.request(len(text), [text], 600.0, lambda: None)
    text = json.dumps([GOOD, "add", "evalplus"]).encode()
    assert json.loads(helper.request(len(text), [text], 600.0, lambda: None)[0]) == GOOD.strip()
    helper.close()


@pytest.mark.parametrize("text", ["x = 1\n'\ud800'\n", "x = '\ud800'\n\0\n"])
def test_texts_that_evalplus_breaks_on_are_left_as_they_are(text: str) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        evalplus_sanitize(text, "x")
    assert sanitize.sanitize_code(text, "x") == text


@pytest.mark.parametrize("text", ["x = 1\n\0\n", "(" * 3000 + "\n" + GOOD, GOOD + "@\n\n(\n"])
def test_odd_texts_are_sanitised_as_by_evalplus(text: str) -> None:
    assert sanitize.sanitize_code(text, "add") == evalplus_sanitize(text, "add")


def test_a_missing_sanitiser_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "evalplus.py").write_text("raise ImportError('no tree-sitter here')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(sys.path)}")
    done = subprocess.run(
        [sys.executable, "-m", "codewatt.evaluate.sanitize", "1000000"],
        input=b"", capture_output=True, check=False,
    )  # fmt: skip
    assert done.stdout.decode().strip() == (
        "EvalPlus's sanitiser cannot be imported: no tree-sitter here"
    )
