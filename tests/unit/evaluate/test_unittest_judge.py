"""Programs judged by unit tests: upstream's rules, in a sandbox, with this interpreter."""

import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from codewatt.benchmarks.tasks import UnittestTask, write_tasks
from codewatt.errors import CodewattError
from codewatt.evaluate.benchmark_interpreter import VARIABLE, benchmark_interpreter
from codewatt.evaluate.evaluate_cell import evaluate_cell
from codewatt.evaluate.evaluate_record import EnvironmentRecord
from codewatt.evaluate.expected_file import write_expected_file
from codewatt.evaluate.reference_runs import (
    ReferenceRun,
    describe_environment,
    read_references,
    run_references,
    write_references,
)
from codewatt.evaluate.sandbox.fork_server import ForkServer
from codewatt.evaluate.sandbox.unittest_view import find_interpreter
from codewatt.evaluate.unittest_judge import judge_unittests
from codewatt.evaluate.unittest_modules import modules_to_preload
from codewatt.evaluate.unittest_run import (
    UNITTEST_LIMITS,
    CannotIsolate,
    ProgramRunner,
    UnittestOutcome,
)
from codewatt.evaluate.verdicts import Program, Verdict
from codewatt.files import write_jsonl
from tests.support.unittest_tasks import TASK_ID, task

INTERPRETER = Path(sys.executable)
LIMITS = replace(UNITTEST_LIMITS, min_time_s=60, memory_bytes=2 << 30)
HEAD = "import unittest\nclass TestCases(unittest.TestCase):\n"
TEST = HEAD + "    def test_one(self):\n        self.assertEqual(task_func(1), 2)\n"
SOLUTION = "def task_func(x):\n    return x + 1\n"


def judged(
    test: str, codes: list[str], ran: tuple[str, ...] = ("test_one",), skipped: tuple[str, ...] = ()
) -> list[Verdict]:
    return judge_unittests(
        [task(test)],
        [Program(TASK_ID, code) for code in codes],
        interpreter=INTERPRETER,
        references={TASK_ID: ReferenceRun("pass", 0.01, None, ran, skipped)},
        jobs=2,
        limits=LIMITS,
    )


def status(test: str, code: str = SOLUTION, **named: tuple[str, ...]) -> tuple[str, str | None]:
    """Status and reason."""
    (verdict,) = judged(test, [code], **named)
    assert verdict.base is not None
    assert verdict.plus is None
    return verdict.base.status, verdict.why


def method(body: str, name: str = "test_one") -> str:
    """Tests of one method."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return HEAD + f"    def {name}(self):\n{lines}"


def test_identical_programs_run_once(tmp_path: Path) -> None:
    done: list[int] = []
    started: list[bool] = []
    programs = [Program(TASK_ID, SOLUTION)] * 3 + [Program(TASK_ID, "def task_func(x): pass")]
    verdicts = judge_unittests(
        [task(TEST)],
        programs,
        interpreter=INTERPRETER,
        references={TASK_ID: ReferenceRun("pass", 0.01, None, ("test_one",), ())},
        jobs=1,
        limits=LIMITS,
        on_done=done.append,
        on_start=started.append,
    )
    assert [v.base.status for v in verdicts if v.base] == ["pass", "pass", "pass", "fail"]
    assert sorted(done) in ([1, 4], [3, 4])
    assert started == [True]


def test_failures_and_errors_count_and_have_their_reasons() -> None:
    test = (
        HEAD
        + "    def test_one(self):\n        self.assertEqual(task_func(1), 2)\n"
        + "    def test_two(self):\n        task_func('x')\n"
        + "    def test_three(self):\n        self.assertTrue(True)\n"
    )
    (verdict,) = judged(test, ["def task_func(x):\n    return 1 / (x != 1)\n"], ("test_one",))
    assert verdict.base is not None
    assert verdict.base.status == "fail"
    assert verdict.base.failed_tests == {"test_one": "ZeroDivisionError: division by zero"}
    assert verdict.base.tests_run == 3


@pytest.mark.parametrize(
    ("body", "skipped"),
    [
        ("self.skipTest('not here')", ("test_one",)),
        ("with self.subTest(1):\n    self.skipTest('not here')", ("test_one [1]",)),
    ],
)
def test_a_test_that_the_reference_skips_too_is_no_failure(
    body: str, skipped: tuple[str, ...]
) -> None:
    (verdict,) = judged(method(body), [SOLUTION], skipped=skipped)
    assert verdict.status("base") == "pass", verdict.why


def test_an_expected_failure_and_an_unexpected_success_pass() -> None:
    for body in ("self.fail()", "pass"):
        test = method(body).replace("    def test", "    @unittest.expectedFailure\n    def test")
        assert status(test) == ("pass", None)


def test_no_tests_pass_if_the_reference_has_none() -> None:
    assert status(HEAD + "    pass\n", ran=()) == ("pass", None)


def test_an_exception_outside_a_test_fails_as_all() -> None:
    (verdict,) = judged(TEST, ["raise ValueError('early')"])
    assert verdict.base is not None
    assert verdict.base.failed_tests == {"ALL": "ValueError: early"}
    assert status(TEST, "def task_func(x:\n")[0] == "fail"
    assert "AttributeError" in (status("import unittest\n")[1] or "")


def test_a_test_class_may_keep_data_under_any_name() -> None:
    setup = "    @classmethod\n    def setUpClass(cls):\n        cls.test_data = [1]\n"
    assert status(method("self.assertEqual(self.test_data, [1])") + setup) == ("pass", None)


@pytest.mark.parametrize(
    "body",
    [
        "self.assertRaises(OSError, input)",
        "import os, signal\nos.kill(1, signal.SIGKILL)",
        "import os\nself.assertEqual(os.system('killall python'), 0)",
        "import subprocess\n"
        "self.assertEqual(subprocess.run(['echo', 'a'], capture_output=True).stdout, b'a\\n')",
        "import subprocess\nself.assertEqual(subprocess.check_output(['ps']), b'')",
        "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\nchild.terminate()\n"
        "self.assertEqual(child.wait(5), -15)",
        "import os, time\nself.assertEqual((os.environ['TZ'], time.tzname[0]), ('UTC', 'UTC'))",
        "self.assertEqual((__name__, __file__), ('__test__', '__test__.py'))",
        "self.assertIsNone(exit)",
        "import io\nfrom unittest.mock import patch\n"
        "with patch('sys.stdout', new=io.StringIO()) as out:\n    print('a')\n"
        "self.assertEqual(out.getvalue(), 'a\\n')",
        "from unittest.mock import patch, mock_open\n"
        "with patch('builtins.open', mock_open(read_data='a')):\n"
        "    self.assertEqual(open('b').read(), 'a')",
    ],
)
def test_a_program_runs_as_upstream_runs_it(body: str) -> None:
    assert status(method(body)) == ("pass", None)


@pytest.mark.parametrize(
    "body",
    [
        "import socket, threading\nserver = socket.create_server(('localhost', 0))\n"
        "client = socket.create_connection(server.getsockname(), 5)\n"
        "server.accept()[0].sendall(b'a')\nself.assertEqual(client.recv(1), b'a')",
        "import multiprocessing\nvalue = multiprocessing.Value('i', 1)\n"
        "child = multiprocessing.Process(target=lambda: setattr(value, 'value', 2))\n"
        "child.start()\nchild.join()\nself.assertEqual(value.value, 2)",
        "import multiprocessing\nwith multiprocessing.Pool(2) as pool:\n"
        "    self.assertEqual(pool.map(abs, [-1, 2]), [1, 2])",
        "import os, tempfile\nwith tempfile.TemporaryDirectory() as folder:\n"
        "    open(os.path.join(folder, 'a'), 'w').close()\nopen('b', 'w').close()\n"
        "self.assertEqual(os.listdir('.'), ['b'])",
        "import os\nself.assertGreater(len(os.listdir('/proc/self/fd')), 0)",
        "import socket\nself.assertEqual(socket.gethostbyname(socket.gethostname()), '127.0.0.1')",
        "import sqlite3\nbase = sqlite3.connect('a.db')\nbase.execute('create table a (b)')\n"
        "base.commit()",
        "import sqlite3\nbase = sqlite3.connect('a.db')\n"
        "self.assertEqual([*base.execute('pragma journal_mode=wal')], [('wal',)])\n"
        "base.execute('create table a (b)')",
        "import subprocess, sys\nself.assertEqual(\n"
        "    subprocess.check_output([sys.executable, '-c', 'print(1)']), b'1\\n')",
    ],
)
def test_the_sandbox_has_what_tests_use(body: str) -> None:
    assert status(method(body)) == ("pass", None)


def test_programs_share_nothing_and_see_the_same_random_numbers() -> None:
    program = (
        "import os, random, sys\nimport json\n"
        "def task_func(x):\n"
        "    found = [random.random(), hasattr(json, 'left'), os.listdir('/tmp')]\n"
        "    json.left = 1\n    open('/tmp/left', 'w').close()\n    return found\n"
    )
    test = method("self.fail(repr(task_func(1)))")
    whys = {verdict.why for verdict in judged(test, [f"{program}# {n}" for n in range(4)])}
    assert len(whys) == 1
    assert "False" in str(whys.pop())


def test_a_task_whose_reference_fails_is_excluded() -> None:
    (verdict,) = judge_unittests(
        [task(TEST)],
        [Program(TASK_ID, SOLUTION)],
        interpreter=INTERPRETER,
        references={TASK_ID: ReferenceRun("fail", 1.0, "test_one: no network", (), ())},
        jobs=1,
    )
    assert (verdict.base, verdict.plus) == (None, None)
    assert verdict.why == (
        "excluded: the reference program does not pass here (fail: test_one: no network)"
    )


def test_programs_for_unknown_tasks_are_refused() -> None:
    with pytest.raises(CodewattError, match="no such task"):
        judge_unittests([], [Program("X/1", "")], interpreter=INTERPRETER, references={}, jobs=1)
    with pytest.raises(CodewattError, match="was not run"):
        judge_unittests(
            [task(TEST)], [Program(TASK_ID, "")], interpreter=INTERPRETER, references={}, jobs=1
        )


def test_a_cold_sandbox_for_each_program_gives_the_same_verdicts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The way that is taken where the kernel does not permit the server namespaces."""
    real = ForkServer.fork

    def refused(self: ForkServer, *given: object) -> object:
        if self.isolates:
            raise CannotIsolate("unshare: Operation not permitted")
        return real(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(ForkServer, "fork", refused)
    with ProgramRunner(find_interpreter(INTERPRETER), [], LIMITS, 2) as runner:
        assert not runner.is_warm
    wrong = (
        "def task_func(x):\n    import os\n    return os.getuid() == 0 or os.listdir('/dev/shm')\n"
    )
    found = [verdict.base for verdict in judged(TEST, [SOLUTION, wrong, "import os; os._exit(0)"])]
    assert [base.status for base in found if base] == ["pass", "fail", "timeout"]


def test_references_are_written_and_read(tmp_path: Path) -> None:
    slow = task(method("import time\ntime.sleep(0.5)"), "BigCodeBench/1")
    wrong = task(TEST, "BigCodeBench/2", "    return x\n")
    tasks = [task(TEST), slow, wrong]
    runs = run_references(tasks, interpreter=INTERPRETER, jobs=2, limits=LIMITS)
    assert [run.status for run in runs.values()] == ["pass", "pass", "fail"]
    assert runs[TASK_ID].ran == ("test_one",)
    assert runs[TASK_ID].excluded is None
    assert runs["BigCodeBench/1"].seconds >= 0.5
    assert "AssertionError: 1 != 2" in (runs["BigCodeBench/2"].excluded or "")
    path, environment = tmp_path / "references.json.gz", describe_environment(INTERPRETER)
    write_references(path, runs, tasks, environment)
    assert read_references(path, tasks, environment) == runs
    with pytest.raises(CodewattError, match="made for other tasks"):
        read_references(path, tasks[:2], environment)
    other: EnvironmentRecord = {**environment, "python": "3.1"}
    with pytest.raises(CodewattError, match="another Python environment"):
        read_references(path, tasks, other)
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(CodewattError, match="not a file of reference runs"):
        read_references(tmp_path / "other.json", tasks)


@pytest.mark.parametrize(("failures", "status"), [(2, "pass"), (3, "fail")])
def test_a_reference_program_that_fails_runs_three_times(
    failures: int, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests that measure time fail now and then."""
    outcomes = [UnittestOutcome("fail", failed={"test_one": "late"})] * failures
    outcomes.append(UnittestOutcome("pass"))
    monkeypatch.setattr(ProgramRunner, "run", lambda *given: outcomes.pop(0))
    monkeypatch.setattr(ProgramRunner, "_require_isolation", lambda self: None)
    runs = run_references([task(TEST)], interpreter=INTERPRETER, jobs=1, limits=LIMITS)
    assert runs[TASK_ID].status == status


def test_the_environment_is_described_by_its_packages() -> None:
    code = "import importlib.metadata as m; print(len(list(m.distributions())))"
    count = subprocess.run([INTERPRETER, "-I", "-c", code], capture_output=True, check=True).stdout
    assert int(count) > 10  # so the digest is over something
    found = describe_environment(INTERPRETER)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert len(found["packages_sha256"]) == 64


def test_a_cell_is_judged_and_excluded_tasks_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, sys.executable)
    tasks: list[UnittestTask] = [
        task(TEST),
        task(TEST, "BigCodeBench/1"),
        task(TEST, "BigCodeBench/2", "    return x\n"),
    ]
    write_tasks(tmp_path / "tasks.jsonl.gz", tasks)
    write_expected_file(tmp_path / "expected.json.gz", tasks, jobs=2)
    rows = [
        {"task_id": one.task_id, "solution": code, "repeat": 0, "sample": 0}
        for one, code in zip(tasks, (SOLUTION, "def task_func(x): pass", SOLUTION), strict=True)
    ]
    write_jsonl(tmp_path / "completions.jsonl.gz", rows)
    record = evaluate_cell(
        tasks_path=tmp_path / "tasks.jsonl.gz",
        expected_path=tmp_path / "expected.json.gz",
        completions_path=tmp_path / "completions.jsonl.gz",
        out_results=tmp_path / "results.json.gz",
        jobs=2,
    )
    assert record["pass_at_k"] == {"base": {"1": 0.5}, "plus": {"1": None}}
    assert [row["base"] for row in record["verdicts"]] == ["pass", "fail", None]
    assert [row["plus"] for row in record["verdicts"]] == [None, None, None]
    assert [row["task_id"] for row in record["excluded"]] == ["BigCodeBench/2"]
    assert record["environment"] == describe_environment(INTERPRETER)
    assert record["sandbox"]["start"] == "forked from a warm process"
    with gzip.open(tmp_path / "results.json.gz", "rt") as stream:
        found = json.load(stream)["eval"]
    assert {key: row["status"] for key, (row,) in found.items()} == {
        "BigCodeBench/0": "pass",
        "BigCodeBench/1": "fail",
    }
    assert found["BigCodeBench/1"][0]["details"] == {"test_one": "AssertionError: None != 2"}


def test_the_environment_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(CodewattError, match="make bigcodebench"):
        benchmark_interpreter()
    python = tmp_path / ".venv-bigcodebench/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    assert benchmark_interpreter() == python
    monkeypatch.setenv(VARIABLE, os.fspath(tmp_path / "none"))
    with pytest.raises(CodewattError, match=VARIABLE):
        benchmark_interpreter()


def test_modules_that_several_tasks_import_are_preloaded() -> None:
    imports = "import numpy as np, json\nfrom scipy import stats\nimport tensorflow\n"
    tasks = [task(imports + TEST), task(imports + TEST, "X/1"), task("import pandas\n", "X/2")]
    assert modules_to_preload(tasks) == ["numpy", "scipy", "scipy.stats"]


def test_a_preloaded_module_is_a_fresh_copy_in_each_program() -> None:
    interpreter = find_interpreter(INTERPRETER)
    code = "import numpy\nassert not hasattr(numpy, 'left')\nnumpy.left = numpy.random.rand()\n"
    test = method("self.fail(str(numpy.left))")
    server = ForkServer(interpreter, ["numpy", "no_such_module"], LIMITS, 1)
    with server:
        said = []
        for _ in range(2):
            with server.fork(code, test, 0, 60) as program:
                report = b""
                while chunk := program.read(30):
                    report += chunk
            said.append(report.split(b"failed")[1].split()[1])
    assert said[0] == said[1]
