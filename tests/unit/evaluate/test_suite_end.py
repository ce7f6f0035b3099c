"""A suite that ends before the runner in the sandbox looks at it again."""

from pathlib import Path

import pytest

from codewatt.evaluate.sandbox import bubblewrap, sandbox
from codewatt.evaluate.sandbox.sandbox import Sandbox, SandboxRequest, SuiteInputs
from tests.support.patience import PATIENCE_S
from tests.unit.evaluate.conftest import PATIENT

#: Put before the runner's last lines: it goes on only when the suite that it started has ended.
_SLOW_RUNNER = f"""
_fork, _started = os.fork, []

def _remembered_fork():
    child = _fork()
    if child:
        _started.append(child)
    return child

def _slow_write(descriptor, data):
    written = _write(descriptor, data)
    deadline = _clock() + {PATIENCE_S}
    while _started and _clock() < deadline:
        try:
            os.kill(_started[-1], 0)
        except ProcessLookupError:
            break
        time.sleep(0.001)
    return written

os.fork, os.write = _remembered_fork, _slow_write

"""
_LAST_LINES = 'if __name__ == "__main__":'


def test_the_next_suite_runs_after_one_that_ended_before_it_was_watched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The kernel opens no descriptor of a process that has ended and was reaped."""

    def slow_runner(path: str) -> bytes:
        if Path(path).stem != "sandboxed_runner":
            return bubblewrap.compiled_runner_file(path)
        text = Path(path).read_text()
        assert text.count(_LAST_LINES) == 1
        slow = tmp_path / "sandboxed_runner.py"
        slow.write_text(text.replace(_LAST_LINES, _SLOW_RUNNER + _LAST_LINES))
        return bubblewrap.compiled_runner_file(str(slow))

    monkeypatch.setattr(sandbox, "compiled_runner_file", slow_runner)
    code = "def double(x):\n    return 2 * x\n"
    suites = [SuiteInputs([[number]]) for number in (1, 2, 3)]
    with Sandbox(SandboxRequest(code, "double", suites), PATIENT) as running:
        said = [_read_all(running, suite) for suite in range(3)]
    assert said == [b"^\n2\n.\n", b"^\n4\n.\n", b"^\n6\n.\n"]


def _read_all(running: Sandbox, suite: int) -> bytes:
    """What a suite's process wrote until its end."""
    found = b""
    while chunk := running.read(suite, PATIENCE_S):
        found += chunk
    return found
