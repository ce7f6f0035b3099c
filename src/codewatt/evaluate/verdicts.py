"""Programs and the verdicts on them. A status is one of EvalPlus's: "pass", "fail", "timeout"."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from codewatt.benchmarks.tasks import SUITES

PASS, FAIL, TIMEOUT = "pass", "fail", "timeout"


@dataclass(frozen=True)
class Program:
    """An untrusted program that should solve a task.

    Attributes:
        task_id: the task.
        code: source code of the whole program.
    """

    task_id: str
    code: str


@dataclass(frozen=True)
class SuiteVerdict:
    """Verdict on a program for one test suite.

    Attributes:
        status: "pass", "fail" or "timeout". As in EvalPlus, a call that exceeds its own time limit
            is a "fail"; "timeout" means that the program exceeded the time limit of the whole
            suite or ended without reporting a result.
        tests_run: number of tests that ran, including the failed one.
        why: reason of the failure; None for "pass".
        failed_tests: name of each failed unit test, and the last line of its traceback; "ALL" for
            a failure outside a test. Empty for suites that are judged by their outputs.
    """

    status: str
    tests_run: int
    why: str | None = None
    failed_tests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JudgingTimes:
    """When a judge ran a program. Energy is billed to tasks by these times.

    Attributes:
        start_s: when the judge began with the program (CLOCK_MONOTONIC s, as of `time.monotonic`).
        end_s: when it had the verdict, and all processes of the program had ended.
        cpu_s: CPU time (s) of all processes of the program's sandboxes, with their start-up; None
            if it could not be read. It is for information; no energy depends on it.
    """

    start_s: float
    end_s: float
    cpu_s: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Verdicts on a program for the base tests and the plus tests.

    Attributes:
        task_id: the task.
        base: verdict on the base tests; None if the task is excluded.
        plus: verdict on the plus tests; None if the task has none or is excluded.
        excluded: why the task is excluded; None if it is not.
        times: when the program ran; None if it did not run, because the task is excluded, or if
            the judge does not record it. Two verdicts are equal whatever their times. Identical
            programs that ran once have the same times.
    """

    task_id: str
    base: SuiteVerdict | None
    plus: SuiteVerdict | None
    excluded: str | None = None
    times: JudgingTimes | None = field(default=None, compare=False)

    @property
    def why(self) -> str | None:
        """Why there is no verdict, or the reason of the first failure, base tests before plus
        tests; None if all suites passed."""
        if self.excluded is not None:
            return f"excluded: {self.excluded}"
        for name in SUITES:
            suite: SuiteVerdict | None = getattr(self, name)
            if suite is not None and suite.why is not None:
                return f"{name}: {suite.why}"
        return None

    def status(self, suite: str) -> str | None:
        """Status of a suite ("base" or "plus"); None if there is no verdict on it."""
        verdict: SuiteVerdict | None = getattr(self, suite)
        return None if verdict is None else verdict.status
