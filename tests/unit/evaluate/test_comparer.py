"""No output costs the judge more than a stated memory and time, and the next one is compared."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewatt.evaluate.outputs.bounded_lines import (
    MAX_BYTES_IN_MEMORY,
    Line,
    LineOnDisk,
    LineReader,
    LineTooLong,
)
from codewatt.evaluate.outputs.comparison_process import OutputComparer
from codewatt.evaluate.outputs.output_equality import RTOL, floats_close, outputs_equal
from codewatt.evaluate.outputs.special_oracles import TestRule
from codewatt.evaluate.sandbox.limited_process import LimitedProcess

JUDGE_BYTES = 400 << 20


@pytest.fixture(scope="module")
def comparer() -> Iterator[OutputComparer]:
    with OutputComparer() as shared:
        yield shared


def differs(comparer: OutputComparer, output: str, expected: str, atol: float = 0.0) -> str | None:
    rule = TestRule(atol=atol)
    return comparer.compare(output.encode(), rule, expected.encode(), 5.0, lambda: None)[0]


@pytest.fixture(scope="module")
def hostile() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("hostile_lines.py"))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_hostile_outputs_are_all_wrong_and_the_next_one_is_compared(
    hostile: dict[str, Any],
) -> None:
    assert len(hostile["said"]) > 20
    assert [name for name, wrong in hostile["said"].items() if wrong is None] == []
    assert hostile["right"] is None


def test_hostile_outputs_take_a_stated_memory(hostile: dict[str, Any]) -> None:
    assert hostile["peak_bytes"] < JUDGE_BYTES - (150 << 20)


def test_equal_hashes_meet_the_limit_on_cpu_time(hostile: dict[str, Any]) -> None:
    for name in ("a set of equal hashes", "a counter of equal hashes"):
        assert "CPU time" in hostile["said"][name]


LONG = """
import json
from pathlib import Path
from codewatt.benchmarks.tasks import FunctionTask
from codewatt.evaluate.reference_programs import compute_expected
from codewatt.evaluate.judge import judge
from codewatt.evaluate.verdicts import Program
from codewatt.evaluate.sandbox.resource_limits import Limits

def peak_bytes():
    # Of this program alone: getrusage's begins with the peak of the process that started it.
    line = next(l for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l)
    return 1024 * int(line.split()[1])

TOOLS = '''
import posix
def fd():
    for number in range(3, 1000):
        try:
            if posix.fstat(number).st_mode & 0o170000 == 0o010000: return number
        except OSError: pass
def send(data):
    while data: data = data[posix.write(fd(), data[:1 << 20]):]
'''
CODES = {
    "no end": "def answer(n):\\n    while True: send(b'1' * (1 << 20))\\n",
    "short lines": "def answer(n):\\n    while True: send(b'1\\\\n' * (1 << 19))\\n",
    "just allowed": "def answer(n): send(b'[' + b'[],' * 10_000_000 + b'[]]\\\\n')\\n",
    "a text": "def answer(n): send(b'\\"' + b'x' * 31_000_000 + b'\\"\\\\n')\\n",
    "honest": "def answer(n): return 'x' * (1 << 25)\\n",
}
solution = "def answer(n): return list(range(n))\\n"
task = FunctionTask("T", "", "answer", solution, [[300_000]], [[1]])
expected = compute_expected([task], jobs=1)
before = peak_bytes()
programs = [Program("T", TOOLS + code) for code in CODES.values()]
patient = Limits(min_time_s=120, grace_s=120)
verdicts = judge([task], expected, programs, jobs=2, limits=patient)
after = peak_bytes()
print(json.dumps({
    "statuses": {name: v.base.status for name, v in zip(CODES, verdicts)},
    "why": {name: v.why for name, v in zip(CODES, verdicts)},
    "grown_bytes": after - before, "peak_bytes": after,
}))
"""


def test_long_outputs_take_a_stated_memory_in_the_judge_itself() -> None:
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert set(found["statuses"].values()) == {"fail"}, found["why"]
    assert "too long" in found["why"]["no end"]
    assert found["grown_bytes"] < 50 << 20
    assert found["peak_bytes"] < 150 << 20


# ---------------------------------------------------------------- the helper process


def test_a_helper_that_has_died_is_replaced(comparer: OutputComparer) -> None:
    assert differs(comparer, "1", "1.0") is None
    helper = comparer._helper._process
    assert helper is not None
    helper.send_signal(signal.SIGKILL)
    helper.wait()
    assert "memory than the machine has" in str(differs(comparer, "1", "1.0"))
    assert differs(comparer, "1", "1.0") is None


def test_what_idle_raises_ends_the_helper_and_passes_through() -> None:
    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    flood = ",".join(str(number * ((1 << 61) - 1)) for number in range(1, 100_000))
    with OutputComparer() as comparer, pytest.raises(Stop):
        comparer.compare(f'{{"set":[{flood}]}}'.encode(), TestRule(), b"1", 60.0, stop)


def test_a_helper_that_does_not_start_says_so() -> None:
    from codewatt.errors import CodewattError

    helper = LimitedProcess("codewatt.evaluate.no_such_module", 1 << 20)
    with pytest.raises(CodewattError, match="no_such_module: the helper process did not start"):
        helper.request(0, [], 1.0, lambda: None)
    helper.close()


def test_no_cpu_time_left_is_a_wrong_answer(comparer: OutputComparer) -> None:
    wrong, _ = comparer.compare(b"1", TestRule(), b"1", 0.0, lambda: None)
    assert "used up" in str(wrong)


def test_a_long_line_is_compared_from_its_file(comparer: OutputComparer) -> None:
    line = LineOnDisk()
    text = json.dumps([float(number) for number in range(200_000)]).encode()
    line.write(text)
    expected = json.dumps(list(range(200_000))).encode()
    rule = TestRule()
    assert comparer.compare(line, rule, expected, 10.0, lambda: None)[0] is None
    assert comparer.compare(line, rule, expected[:-2] + b"]", 10.0, lambda: None)[0] is not None


# ---------------------------------------------------------------- what is right, what is wrong


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("[[]]", "[1.0]"),
        ('[{"ndarray":["<f8",[0,2],[]]}]', "[1.0]"),
        ("[[1.0]]", "[1.0000000001]"),
        ("[[1.0000000001]]", "[1.0]"),
        ('{"sub":["str","str_","a\\u0000"]}', '"a"'),
        ('{"ndarray":["<U2",[1],["a\\u0000"]]}', '"a"'),
        ('{"sub":["bytes","bytes_",{"bytes":"6100"}]}', '{"bytes":"61"}'),
    ],
)
def test_wrong_outputs_that_numpy_takes_for_right(
    comparer: OutputComparer, output: str, expected: str
) -> None:
    assert differs(comparer, output, expected, 1e-6) == "wrong output"


@given(
    st.floats() | st.floats(-10, 10), st.floats() | st.floats(-10, 10),
    st.sampled_from([1e-6, 1e-4]), st.floats(-2e-7, 2e-7),
)  # fmt: skip
@settings(max_examples=200)
def test_two_floats_are_close_as_numpy_says(x: float, y: float, atol: float, off: float) -> None:
    with numpy.errstate(all="ignore"):
        for a, b in ((x, y), (y * (1 + off), y), (y + atol, y)):
            assert floats_close(a, b, atol) == numpy.isclose(a, b, rtol=RTOL, atol=atol)


def test_an_array_of_one_value_is_compared_and_others_have_no_truth() -> None:
    from codewatt.evaluate.outputs.output_decoder import decode

    assert outputs_equal(decode(b'{"ndarray":["<i8",[1],[3]]}'), 3, 0)
    with pytest.raises(ValueError, match="ambiguous"):
        outputs_equal(decode(b'{"ndarray":["<i8",[2],[3,3]]}'), 3, 0)


# ---------------------------------------------------------------- lines of any length


@given(
    st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\n", b"")), max_size=6),
    st.lists(st.integers(1, 9), min_size=1),
)
def test_lines_are_the_same_however_they_come(lines: list[bytes], sizes: list[int]) -> None:
    stream, reader = b"".join(line + b"\n" for line in lines), LineReader(lambda: 6)
    found: list[Line] = []
    position = 0
    while position < len(stream):
        size = sizes[len(found) % len(sizes)]
        found += reader.lines(stream[position : position + size])
        position += size
    assert found == lines


def test_a_line_over_its_length_is_refused_before_it_is_whole() -> None:
    reader = LineReader(lambda: 10)
    assert list(reader.lines(b"0123456789\n")) == [b"0123456789"]
    assert list(reader.lines(b"0123456789")) == []
    with pytest.raises(LineTooLong):
        list(reader.lines(b"0"))


def test_long_lines_are_in_a_file_with_their_digest() -> None:
    import hashlib

    text = b"0123456789abcdef" * (MAX_BYTES_IN_MEMORY // 8)
    reader = LineReader(lambda: len(text))
    (line,) = [
        line
        for start in range(0, len(text) + 1, 60_000)
        for line in reader.lines((text + b"\n")[start : start + 60_000])
    ]
    assert isinstance(line, LineOnDisk)
    assert b"".join(line.pieces()) == text
    assert line.sha256() == hashlib.sha256(text).hexdigest()


Judged = Callable[..., list[Any]]


def test_the_reason_names_the_type_that_has_no_value(judge_programs: Judged) -> None:
    (verdict,) = judge_programs(["class Thing: pass\ndef answer(x): return [Thing()]\n"])
    assert verdict.why == (
        "base: test 1: the output contains a value of type Thing, which cannot be compared"
    )
