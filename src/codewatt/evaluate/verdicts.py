"""Programs and the verdicts on them. A status is one of EvalPlus's: "pass", "fail", "timeout"."""

from dataclasses import dataclass, field

from codewatt.benchmarks.benchmark import SUITES

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
    """

    status: str
    tests_run: int
    why: str | None = None


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
        times: when the program ran; None if the judge does not record it. Two verdicts are equal
            whatever their times. Identical programs that ran once have the same times.
    """

    task_id: str
    base: SuiteVerdict
    plus: SuiteVerdict
    times: JudgingTimes | None = field(default=None, compare=False)

    @property
    def why(self) -> str | None:
        """Reason of the first failure, base tests before plus tests; None if both suites passed."""
        for name in SUITES:
            suite: SuiteVerdict = getattr(self, name)
            if suite.why is not None:
                return f"{name}: {suite.why}"
        return None
