"""A small task, a judge for it, and a view into the sandbox."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codewatt.benchmarks.tasks import FunctionTask
from codewatt.errors import CodewattError
from codewatt.evaluate.judge import judge
from codewatt.evaluate.outputs.expected_outputs import ExpectedOutputs, ExpectedSuite
from codewatt.evaluate.outputs.output_decoder import decode
from codewatt.evaluate.reference_programs import modules_to_preload
from codewatt.evaluate.sandbox import bubblewrap
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.evaluate.sandbox.sandbox import Sandbox, SandboxRequest, SuiteInputs
from codewatt.evaluate.sandbox.sandbox_probe import require_sandbox
from codewatt.evaluate.verdicts import Program, Verdict
from tests.support.patience import PATIENCE_S

#: For programs that hang: they cost less than a second. A program that must pass can exceed these
#: limits on a slow machine.
QUICK = Limits(min_time_s=0.3, suite_time_s=0.4, grace_s=0.3, next_s=1.0)
#: For all other programs: no slow or busy machine decides a verdict.
PATIENT = Limits(min_time_s=60, suite_time_s=120, grace_s=60, start_s=PATIENCE_S)


@pytest.fixture(scope="session", autouse=True)
def _sandbox(request: pytest.FixtureRequest) -> None:
    try:
        require_sandbox()
    except CodewattError as error:
        pytest.fail(f"these tests judge programs, and {error}")


def succ_task(task_id: str = "Test/0") -> FunctionTask:
    """answer(x) is x + 1; three base tests and two plus tests."""
    return FunctionTask(
        task_id, "def answer(x):\n", "answer", "    return x + 1\n", [[1], [2], [3]], [[10], [20]]
    )


def succ_expected(task_id: str = "Test/0") -> ExpectedOutputs:
    """What the reference program of `succ_task` answers."""
    return {
        task_id: {
            "base": ExpectedSuite([b"2", b"3", b"4"], [0.0] * 3, None),
            "plus": ExpectedSuite([b"11", b"21"], [0.0] * 2, None),
        }
    }


@pytest.fixture(scope="session")
def judge_programs() -> Callable[..., list[Verdict]]:
    """Judge programs for `succ_task`, by default with time limits that none meets."""

    def judged(codes: list[str], limits: Limits = PATIENT, jobs: int = 8) -> list[Verdict]:
        programs = [Program("Test/0", code) for code in codes]
        return judge([succ_task()], succ_expected(), programs, jobs=jobs, limits=limits)

    return judged


@pytest.fixture(scope="session")
def look_inside() -> Callable[..., Any]:
    """What `look()` of a program returns when it runs in the sandbox."""

    def looked(code: str, limits: Limits = PATIENT) -> Any:
        said, modules = b"", modules_to_preload(code)
        request = SandboxRequest(code, "look", [SuiteInputs([[]])], preload=modules)
        with Sandbox(request, limits) as sandbox:
            while chunk := sandbox.read(0, PATIENCE_S):
                said += chunk
        lines = said.splitlines()
        assert len(lines) == 3, said
        assert lines[2] == b".", said
        return decode(lines[1])

    return looked


def sandboxed_processes() -> set[tuple[str, bytes]]:
    """Processes of users that only sandboxes have."""
    own = {bubblewrap.sandbox_uid(slot) for slot in range(256)}
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if process.stat().st_uid in own:
                    found.add((process.name, (process / "cmdline").read_bytes()))
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[], set[str]]:
    """The names of all files below tmp_path."""
    return lambda: {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
