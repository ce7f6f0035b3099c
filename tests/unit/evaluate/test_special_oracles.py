"""Outputs of MBPP+ tasks are judged as EvalPlus judges them, on generated values."""

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy
import pytest

from codewatt.benchmarks.mbpp_plus_benchmark import OUTPUT_RULES
from codewatt.benchmarks.output_rules import ANY_OUTPUT, EQUAL, NOT_NONE, SAME_SET
from codewatt.benchmarks.output_rules import OUTPUT_RULES as ALL_RULES
from codewatt.benchmarks.tasks import FunctionTask
from codewatt.evaluate.judge import judge
from codewatt.evaluate.outputs.comparison_process import OutputComparer
from codewatt.evaluate.outputs.expected_outputs import ExpectedSuite
from codewatt.evaluate.outputs.output_check import OutputChecker
from codewatt.evaluate.reference_programs import compute_expected
from codewatt.evaluate.sandbox.inside.output_encoder import encode
from codewatt.evaluate.verdicts import Program

Case = tuple[list[Any], str, str]
"""Arguments, output and expected output; the last two as Python source."""

PLAIN = [
    *("None", "True", "False", "0", "1", "0.0", "1.5", "''", "'ab'", "()", "[]", "{}", "[0]"),
    *("(1, 2)", "(2, 1, 1)", "[1, 2]", "[2.0, 1]", "{1, 2}", "{1: 3, 2: 4}", "'ba'", "range(1, 3)"),
    *("[1.0000001, 2.0]", "['a', 'b']", "[[1], [2]]", "[(1, 2)]", "b'ab'", "1j", "frozenset()"),
    *(
        "numpy.array([1, 2])",
        "numpy.array([1, 2, 1])",
        "numpy.zeros((2, 2))",
        "numpy.float64(0)",
        "numpy.bool_(True)",
        "[numpy.int64(2), 1]",
    ),
    *(
        "collections.Counter('ab')",
        "fractions.Fraction(0)",
        "decimal.Decimal(1)",
        "re.match('', '')",
    ),
    *("object()", "[None]", "float('inf')", "10 ** 400", "[True, 2]", "{1: 2}.keys()"),
]
LISTS = ["(1, 2)", "[1, 2]", "{1, 2}", "[]", "()", "['a', 'b']", "[1.0, 2.0]", "(1.0, 2.0)", "[0]"]
NUMBERS = ["0", "1", "False", "0.0", "1e-7", "2e-6", "33", "33.0000005", "-1", "'1'", "None", "[]"]


def cases(entry_point: str) -> list[Case]:
    """Outputs of a task, each beside each expected output."""
    rule = OUTPUT_RULES.get(entry_point, EQUAL)
    if rule == SAME_SET:
        return [([], *pair) for pair in product(PLAIN, LISTS)]
    if rule == NOT_NONE:
        return [([], *pair) for pair in product(PLAIN, ["True", "False"])]
    if rule in (ANY_OUTPUT, EQUAL):
        return [([], *pair) for pair in product(PLAIN, ["True", "0.5", "[1, 2]"])]
    return [case for seed in range(60) for case in number_cases(entry_point, random.Random(seed))]


def number_cases(entry_point: str, draw: random.Random) -> Iterator[Case]:
    """Outputs of one call with two numbers: right by one definition or another, near, or wrong."""
    first: float = draw.choice([draw.randint(0, 9), draw.randint(0, 999)])
    second = draw.choice([draw.randint(0, 9), draw.randint(0, 999)])
    pairs = zip(f"{first:04}", f"{second:04}", strict=True)
    padded = sum(abs(int(one) - int(other)) for one, other in pairs)
    if entry_point == "surface_Area" and draw.random() < 0.3:
        first /= 2
    pyramid = round(first**2 + 2 * first * ((first / 2) ** 2 + second**2) ** 0.5)
    expected = repr(2 * first * second + first**2 if entry_point == "surface_Area" else first)
    for output in (
        *(expected, padded, pyramid, pyramid + 1e-7, f"{expected} + 1e-7", f"{expected} + 1"),
        draw.choice(NUMBERS),
    ):
        yield [first, second], str(output), expected


ENTRIES = [
    *((name, atol) for name in OUTPUT_RULES for atol in (0, 1e-4)),
    *(("volume_sphere", atol) for atol in (0, 1e-4)),
]


@pytest.fixture(scope="module")
def evalplus() -> dict[tuple[str, float], list[bool]]:
    """EvalPlus's verdict on each case."""
    asked = [{"entry_point": n, "atol": atol, "cases": cases(n)} for n, atol in ENTRIES]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("evalplus_mbpp_verdicts.py"))],
        input=json.dumps(asked), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(zip(ENTRIES, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.fixture(scope="module")
def comparer() -> Any:
    with OutputComparer() as shared:
        yield shared


def is_floats(value: Any) -> bool:
    if isinstance(value, (list, tuple)) and value:
        return all(isinstance(item, float) for item in value)
    return isinstance(value, float)


def value_of(source: str) -> Any:
    import collections
    import decimal
    import fractions
    import re

    modules = {"re": re, "collections": collections, "numpy": numpy}
    return eval(source, {**modules, "fractions": fractions, "decimal": decimal})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "atol"), ENTRIES)
def test_each_output_gets_the_verdict_of_evalplus(
    name: str, atol: float, evalplus: dict[tuple[str, float], list[bool]], comparer: OutputComparer
) -> None:
    found = cases(name)
    expected = [value_of(source) for _, _, source in found]
    task = FunctionTask("Mbpp/1", "", name, "", [], [], atol, OUTPUT_RULES.get(name, EQUAL))
    suite = ExpectedSuite(
        [encode(value).encode() for value in expected],
        [0.0] * len(found),
        next((index for index, value in enumerate(expected) if is_floats(value)), None),
    )

    def recompute(index: int) -> bytes:
        raise AssertionError

    inputs = [arguments for arguments, _, _ in found]
    checker = OutputChecker(task, inputs, suite, recompute, comparer, lambda: None)
    ours = [
        checker.mismatch(index, encode(value_of(output)).encode()) is None
        for index, (_, output, _) in enumerate(found)
    ]
    wanted = evalplus[name, atol]
    assert len(wanted) == len(found)
    different = [
        (case, right) for case, right, own in zip(found, wanted, ours, strict=True) if right != own
    ]
    assert different == []
    assert sum(wanted) > 0
    assert sum(wanted) < len(wanted) or task.output_rule == ANY_OUTPUT


def test_every_rule_of_mbpp_plus_is_tested() -> None:
    used = {OUTPUT_RULES.get(name, EQUAL) for name, _ in ENTRIES}
    assert used == set(ALL_RULES) - {"polynomial_root"}
    assert Counter([Fraction(1), Decimal(1)])  # the types that the sources above name


def verdict(task: FunctionTask, *codes: str) -> list[str]:
    """Statuses on the base tests, by the whole judge."""
    expected = compute_expected([task], jobs=1)
    programs = [Program(task.task_id, code) for code in codes]
    return [found.base.status for found in judge([task], expected, programs, jobs=1)]


def test_arguments_arrive_with_their_types() -> None:
    code = (
        "def f(a, b, c, d):\n"
        "    assert (a, b, c, d) == ((1, 2), 1j, [{1}, {}], {'x': (3, [4])}), (a, b, c, d)\n"
        "    return [type(x).__name__ for x in (a, b, *c, d['x'])]\n"
    )
    types = ["tuple", "complex", "list[set]", "dict[tuple]"]
    inputs = [[[1, 2], "1j", [[1, 1], []], {"x": [3, [4]]}]]
    task = FunctionTask("T/1", "", "f", code, inputs, [], 0, EQUAL, types)
    right = "def f(*_): return ['tuple', 'complex', 'set', 'dict', 'tuple']\n"
    assert verdict(task, code, right, right.replace("set", "list")) == ["pass", "pass", "fail"]


def test_a_match_object_is_something_and_none_is_not() -> None:
    code = "import re\ndef f(text): return re.search('ab', text)\n"
    task = FunctionTask("T/1", "", "f", code, [["cab"], ["x"]], [], 0, NOT_NONE)
    assert verdict(
        task,
        code,
        "def f(text): return 'ab' in text\n",
        "def f(text): return text if 'ab' in text else None\n",
        "def f(text): return text\n",
        "def f(text): return None\n",
        "def f(text): return object() if 'ab' in text else None\n",
        "def f(text): return 'x' * 10 ** 6 if 'ab' in text else None\n",
    ) == ["pass", "pass", "pass", "fail", "fail", "pass", "pass"]


def test_items_of_iterators_count_as_in_evalplus() -> None:
    task = FunctionTask("T/1", "", "f", "def f(x): return [1, 2]\n", [[0]], [], 0, SAME_SET)
    assert verdict(
        task,
        "def f(x): return (i for i in (2, 1, 1))\n",
        "def f(x): return map(int, '21')\n",
        "def f(x): return {'a': 1, 'b': 2}.values()\n",
        "def f(x): return iter([1, 2, 3])\n",
        "def f(x): return iter([[1], [2]])\n",
        "def f(x): return object()\n",
        "def f(x):\n    yield 1\n    raise ValueError\n",
    ) == ["pass", "pass", "pass", "fail", "fail", "fail", "fail"]


def test_an_output_with_too_many_items_is_compared_by_its_digest() -> None:
    """300,000 tuples have no encoding; the second test makes the judge ask for whole outputs."""
    code = "def f(n): return [(i, str(i)) for i in range(n)]\n"
    task = FunctionTask("T/1", "", "f", code, [[300_000], [5_000]], [])
    expected = compute_expected([task], jobs=1)["T/1"]["base"].lines
    text = "[" + ",".join(f'{{"tuple":[{i},"{i}"]}}' for i in range(300_000)) + "]"
    assert expected[0].startswith(b"#")
    assert expected[0].endswith(f" {len(text)}".encode())
    assert verdict(
        task,
        code,
        "def f(n): return [(float(i) if n < 9000 else i, str(i)) for i in range(n)]\n",
        "def f(n): return [(i, str(i)) for i in range(n - 1)] + [(0, '')]\n",
        "def f(n): return tuple((i, str(i)) for i in range(n))\n",
        "def f(n): return [[i, str(i)] for i in range(n)]\n",
        "def f(n): return [(i, float('nan')) for i in range(n)]\n",
    ) == ["pass", "pass", "fail", "fail", "fail", "fail"]
