"""EvalPlus's and BigCodeBench's sanitisers: reduce a completion to the code that a task needs.

It parses many ranges of lines, so it can be slow, and it was not written for hostile completions.
Therefore it runs in helper processes with limits for each program. A program that exceeds them, or
on which the sanitiser fails, is judged without sanitising.
"""

import json
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from types import ModuleType
from typing import Literal
from unittest.mock import patch

from codewatt.evaluate.code_extract import code_extract
from codewatt.evaluate.parallel_jobs import WorkStopped, run_workers
from codewatt.evaluate.sandbox.limited_process import LimitedProcess, RequestRefused, serve_requests

MEMORY_BYTES = 256 << 20
CPU_S = 20.0

#: Whose sanitiser it is.
Rules = Literal["evalplus", "bigcodebench"]


def sanitize_code(code: str, entry_point: str, rules: Rules = "evalplus") -> str:
    """Sanitise one program; unchanged if that fails.

    Args:
        code: source code of the program.
        entry_point: name of the task's function.
        rules: whose sanitiser decides what is kept: EvalPlus 0.3.1's (evalplus/sanitize.py) or
            bigcodebench 0.2.5's (bigcodebench/sanitize.py).
    """
    from evalplus import sanitize as evalplus  # takes seconds, so not at the top

    def extract(text: str) -> str:
        return code_extract(text, evalplus.syntax_check)

    try:
        with patch.object(evalplus, "code_extract", extract):  # same result without the cubic cost
            if rules == "bigcodebench":
                return _sanitize_as_bigcodebench(code, entry_point, evalplus)
            cleaned: str = evalplus.sanitize(code, entry_point)
    except (ValueError, RecursionError, AttributeError, IndexError, TypeError):
        return code
    return cleaned


def _sanitize_as_bigcodebench(code: str, entry_point: str, evalplus: ModuleType) -> str:
    """BigCodeBench's sanitiser, which is EvalPlus's with three differences.

    White space around the code is removed before the longest valid range of lines is sought;
    functions without a return statement are kept; and if unindented lines at the end name the
    entry point, such as a call of it, the code is cut before the first of these lines.

    Args:
        evalplus: the module evalplus.sanitize.
    """
    with patch.object(evalplus, "has_return_statement", lambda node: True):
        kept: str = evalplus.extract_target_code_or_empty(code.strip(), entry_point)
    lines = kept.splitlines()
    first_call = None
    for number in reversed(range(len(lines))):
        if lines[number].startswith(" "):
            break
        if entry_point in lines[number]:
            first_call = number
    if first_call is not None:
        kept = "\n".join(lines[:first_call])
    whole: str = kept.strip() or evalplus.code_extract(code)
    return whole


def sanitize_all(
    programs: Sequence[tuple[str, str]], *, jobs: int, rules: Rules = "evalplus"
) -> list[str]:
    """Sanitise many programs; identical ones once.

    Args:
        programs: (code, entry_point) of each program.
        jobs: maximum number of helper processes.
        rules: see `sanitize_code`.

    Returns:
        Sanitised code in the same order. A program that needs more than `CPU_S` of CPU time or
        `MEMORY_BYTES` of memory is unchanged.

    Raises:
        CodewattError: the sanitiser cannot be started.
    """
    unique = list(dict.fromkeys(programs))
    count = max(1, min(jobs, len(unique) // 20))
    cleaned: dict[tuple[str, str], str] = {}

    def finish(index: int, answer: str) -> None:
        cleaned[unique[index]] = answer

    with ExitStack() as stack:
        helpers = [
            stack.enter_context(closing(LimitedProcess("codewatt.evaluate.sanitize", MEMORY_BYTES)))
            for _ in range(count)
        ]

        def work(slot: int, program: tuple[str, str], stop: threading.Event) -> str:
            return _sanitize_in_helper(helpers[slot], program, rules, stop)

        run_workers(unique, work, count, finish)
    return [cleaned[program] for program in programs]


def _sanitize_in_helper(
    helper: LimitedProcess, program: tuple[str, str], rules: Rules, stop: threading.Event
) -> str:
    def while_waiting() -> None:
        if stop.is_set():
            raise WorkStopped

    request = json.dumps([*program, rules]).encode()
    try:
        answer, _ = helper.request(len(request), [request], CPU_S, while_waiting)
    except RequestRefused:
        return program[0]
    cleaned: str = json.loads(answer)
    return cleaned


def _sanitize_request(request: bytes) -> bytes:
    code, entry_point, rules = json.loads(request)
    return json.dumps(sanitize_code(code, entry_point, rules)).encode()


def main() -> None:
    """Run the helper process: requests are JSON [code, entry_point, rules], answers are strings."""
    try:
        sanitize_code("", "f")
    except ImportError as error:
        print(f"EvalPlus's sanitiser cannot be imported: {error}", flush=True)
        return
    serve_requests(_sanitize_request)


if __name__ == "__main__":
    main()
