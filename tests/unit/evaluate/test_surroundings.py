"""Programs find the libraries, and get the verdicts, that they have in EvalPlus's own process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from codewatt.benchmarks.tasks import FunctionTask
from codewatt.evaluate.judge import judge
from codewatt.evaluate.reference_programs import compute_expected, modules_to_preload
from codewatt.evaluate.verdicts import Program
from tests.unit.evaluate.conftest import PATIENT

ADD = "def f(x): return x + 1\n"
ONE_MORE = "[2, 3]"

# name: (program, the expected outputs of f(1) and f(2))
LIBRARIES = {
    "scipy": "from scipy import stats\ndef f(x): return float(stats.tmean([x, x + 2]))\n",
    "scipy in the call": "def f(x):\n    from scipy import stats\n"
    "    return float(stats.tmean([x, x + 2]))\n",
    "a name that is put together": "import importlib\ndef f(x):\n"
    "    return int(importlib.import_module('num' + 'py').int64(x) + 1)\n",
    "pandas": "import pandas\ndef f(x): return int(pandas.Series([x]).sum()) + 1\n",
    "matplotlib": f"import matplotlib.pyplot\n{ADD}",
    "networkx": f"import networkx\n{ADD}",
    "yaml": "import yaml\ndef f(x): return yaml.safe_load(str(x)) + 1\n",
    "a temporary file": "import tempfile\ndef f(x):\n"
    "    with tempfile.TemporaryFile('w') as stream: stream.write('x')\n    return x + 1\n",
    "a named temporary file": "import tempfile\ndef f(x):\n"
    "    with tempfile.NamedTemporaryFile('w') as stream: stream.write('x')\n    return x + 1\n",
    "a temporary directory": "import tempfile\ndef f(x):\n"
    "    with tempfile.TemporaryDirectory(): return x + 1\n",
    "gzip": "import gzip\ndef f(x): return len(gzip.decompress(gzip.compress(b'x' * x))) + 1\n",
    "a gzip file": "import gzip\ndef f(x):\n"
    "    with gzip.open('x.gz', 'wt') as stream: stream.write('1')\n    return x + 1\n",
    "packers": f"import bz2, lzma, tarfile, zipfile, tokenize\n{ADD}",
    "threads": "from concurrent.futures import ThreadPoolExecutor\ndef f(x):\n"
    "    with ThreadPoolExecutor() as pool: return list(pool.map(lambda v: v + 1, [x]))[0]\n",
    "processes": "from multiprocessing import Pool\ndef f(x):\n"
    "    with Pool(1) as pool: return pool.map(abs, [x + 1])[0]\n",
    "asyncio": "import asyncio\nasync def g(x): return x + 1\ndef f(x): return asyncio.run(g(x))\n",
    "rare modules": f"import shelve, dbm, mailbox, uuid, webbrowser, doctest, pdb\n{ADD}",
    "psutil": f"import psutil\n{ADD}",
    "resource": f"import resource\n{ADD}",
    "open after NumPy": "def f(x):\n    import numpy\n    open('x')\n    return x + 1\n",
    "unlink after NumPy": "import numpy\nfrom pathlib import Path\ndef f(x):\n"
    "    Path('a').write_text('x')\n    Path('a').unlink()\n    return x + 1\n",
    "a path": "from pathlib import Path\ndef f(x):\n"
    "    Path('a').write_text('x')\n    return x + 1\n",
}
VALUES = {
    "sympy Integer": ("import sympy\ndef f(x): return sympy.Integer(x) + 1\n", ONE_MORE),
    "sympy Rational": (
        "import sympy\ndef f(x): return sympy.Rational(x, 4)\n",
        "[__import__('fractions').Fraction(x, 4) for x in (1, 2)]",
    ),
    "sympy in a list": ("import sympy\ndef f(x): return [sympy.Integer(x)]\n", "[[1], [2]]"),
    "sympy Float": ("import sympy\ndef f(x): return sympy.Float(x) / 2\n", "[0.5, 1.0]"),
    "sympy floats that are near": (
        *("import sympy\ndef f(x): return [sympy.Float(x) / 3]\n", "[[1 / 3], [2 / 3]]"),
    ),
    "sympy, wrong": ("import sympy\ndef f(x): return sympy.Integer(x)\n", ONE_MORE),
    "sympy true": ("import sympy\ndef f(x): return sympy.true\n", "[True, True]"),
    "sympy pi": ("import sympy\ndef f(x): return sympy.pi\n", "[3.14, 3.14]"),
    "mpmath": ("import mpmath\ndef f(x): return mpmath.mpf(x) + 1\n", ONE_MORE),
    "mpmath of a float": ("import mpmath\ndef f(x): return mpmath.mpf('0.1')\n", "[0.1, 0.1]"),
    "mpmath of more digits": (
        "import mpmath\nmpmath.mp.dps = 50\ndef f(x): return mpmath.mpf('0.1')\n", "[0.1, 0.1]",
    ),
    "near mpmath of more digits": (
        "import mpmath\nmpmath.mp.dps = 50\ndef f(x): return [mpmath.mpf('0.1')]\n",
        "[[0.1], [0.1]]",
    ),
    "mpmath complex": ("import mpmath\ndef f(x): return mpmath.mpc(x, 1)\n", "[1 + 1j, 2 + 1j]"),
    "longdouble": ("import numpy as np\ndef f(x): return np.longdouble(x) + 1\n", ONE_MORE),
    "longdouble of more digits": (
        "import numpy as np\ndef f(x): return np.longdouble('0.1')\n", "[0.1, 0.1]",
    ),
    "longdoubles that are near": (
        "import numpy as np\ndef f(x): return [np.longdouble('0.1')]\n", "[[0.1], [0.1]]",
    ),
    "matrix": ("import numpy as np\ndef f(x): return np.matrix([[x + 1]])\n", ONE_MORE),
    "matrix, wrong": ("import numpy as np\ndef f(x): return np.matrix([[x]])\n", ONE_MORE),
    "larger matrix": ("import numpy as np\ndef f(x): return np.matrix([[x, 1]])\n", "[[1, 1]] * 2"),
    "masked array": ("import numpy as np\ndef f(x): return np.ma.array([x + 1])\n", ONE_MORE),
    "ChainMap": (
        "from collections import ChainMap\ndef f(x): return ChainMap({x: 1}, {0: 0})\n",
        "[{1: 1, 0: 0}, {2: 1, 0: 0}]",
    ),
    "memoryview": ("def f(x): return memoryview(b'ab')\n", "[b'ab', b'ab']"),
    "array": ("from array import array\ndef f(x): return array('i', [x])\n", "[[1], [2]]"),
    "sortedcontainers": (
        "from sortedcontainers import SortedList\ndef f(x): return SortedList([3, x])\n",
        "[[1, 3], [2, 3]]",
    ),
    "a list with its own equality": (
        "class L(list):\n    def __eq__(self, other): return list.__eq__(self, other)\n"
        "def f(x): return L([x])\n", "[[1], [2]]",
    ),
    "a number with its own equality": (
        "class N:\n    def __init__(self, n): self.n = n\n    def __index__(self): return self.n\n"
        "    def __eq__(self, other): return self.n == other\n"
        "def f(x): return N(x + 1)\n", ONE_MORE,
    ),
    "a mapping of its own": (
        "from collections.abc import Mapping\nclass M(Mapping):\n"
        "    def __init__(self, d): self.d = d\n    def __len__(self): return len(self.d)\n"
        "    def __iter__(self): return iter(self.d)\n"
        "    def __getitem__(self, k): return self.d[k]\n"
        "def f(x): return M({x: 1})\n", "[{1: 1}, {2: 1}]",
    ),
    "a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n"
        "def f(x): return P(x)\n", ONE_MORE,
    ),
    "NumPy's int64": ("import numpy as np\ndef f(x): return np.int64(x + 1)\n", ONE_MORE),
    "NumPy's float32": ("import numpy as np\ndef f(x): return np.float32(0.1)\n", "[0.1, 0.1]"),
    "NumPy numbers in a list": (
        "import numpy as np\ndef f(x): return list(np.arange(x))\n", "[[0], [0, 1]]",
    ),
    "NumPy and Python numbers": (
        "import numpy as np\ndef f(x): return [*np.arange(x), x]\n", "[[0, 1], [0, 1, 2]]",
    ),
    "a million NumPy numbers": (
        "import numpy as np\ndef f(x): return list(np.arange(1_000_000))\n",
        "[list(range(1_000_000))] * 2",
    ),
    "NumPy's text": ("import numpy as np\ndef f(x): return np.str_('a')\n", "['a', 'a']"),
    "datetime": ("import datetime\ndef f(x): return datetime.timedelta(1)\n", ONE_MORE),
    "a pandas Series": ("import pandas\ndef f(x): return pandas.Series([x])\n", "[[1], [2]]"),
    "a path": ("from pathlib import Path\ndef f(x): return Path('a')\n", "['a', 'a']"),
    "an enumeration": (
        "from enum import Enum\nclass E(Enum):\n    A = 2\ndef f(x): return E.A\n", ONE_MORE,
    ),
}  # fmt: skip


def ours(programs: dict[str, tuple[str, str]]) -> dict[str, str]:
    tasks = {
        expected: FunctionTask(
            expected, "", "f", f"def f(x): return ({expected})[x - 1]\n", [[1], [2]], []
        )
        for _, expected in programs.values()
    }
    outputs = compute_expected(list(tasks.values()), jobs=2, limits=PATIENT)
    claims = [Program(expected, code) for code, expected in programs.values()]
    verdicts = judge(list(tasks.values()), outputs, claims, jobs=2, limits=PATIENT)
    return {name: verdict.base.status for name, verdict in zip(programs, verdicts, strict=True)}


def evalplus(programs: dict[str, tuple[str, str]], *preload: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("evalplus_verdicts.py")), *preload],
        input=json.dumps(programs), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_libraries_work_or_fail_as_in_evalplus() -> None:
    programs = {name: (code, ONE_MORE) for name, code in LIBRARIES.items()}
    found = ours(programs)
    assert found == evalplus(programs)
    for name in ("scipy", "scipy in the call", "a temporary file", "a name that is put together"):
        assert found[name] == "pass"


def test_values_of_other_types_are_right_where_evalplus_says_so() -> None:
    found = ours(VALUES)
    assert found == evalplus(VALUES, "sympy", "mpmath", "pandas", "sortedcontainers")
    assert {found[name] for name in VALUES if name.startswith("a million")} == {"pass"}
    assert {found[name] for name in VALUES if name.endswith("wrong")} == {"fail"}


def test_sympy_numbers_equal_floats_of_their_value() -> None:
    """A meant difference: sympy calls Rational(1, 4) and 0.25 unequal, and so does EvalPlus."""
    programs = {
        "right": ("import sympy\ndef f(x): return sympy.Rational(x, 4)\n", "[0.25, 0.5]"),
        "wrong": ("import sympy\ndef f(x): return sympy.Rational(x, 5)\n", "[0.25, 0.5]"),
    }
    assert ours(programs) == {"right": "pass", "wrong": "fail"}


LIES = """
def f(x): return Lie()
class Lie{base}:
    __hash__ = None
    def __eq__(self, other): return True
    def __len__(self): return 1
"""


@pytest.mark.parametrize(
    "body",
    [
        "    pass\n",
        "    def __index__(self): return 5\n",
        "    def __float__(self): return 5.5\n",
        "    def __iter__(self): return iter([5])\n    def __getitem__(self, i): return 5\n",
        "    def keys(self): return [5]\n    def __iter__(self): return iter([5])\n"
        "    def __getitem__(self, i): return 5\n",
        "    numerator, denominator = 5, 1\n",
        "    def __bool__(self): raise ValueError\n",
    ],
)
def test_an_equality_that_lies_gains_nothing(body: str) -> None:
    """EvalPlus passes each of these; here it is worth the plain value that it names, or none."""
    programs = {
        base: (LIES.format(base=base) + body, "[[7], [8]]")
        for base in ("", "(int)", "(str)", "(list)")
    }
    assert set(ours(programs).values()) == {"fail"}


def test_slow_libraries_that_are_named_are_loaded_once_for_both_suites() -> None:
    assert modules_to_preload("import numpy as np\nx = __import__('pandas')") == ("numpy", "pandas")
    assert modules_to_preload("import math") == ()
