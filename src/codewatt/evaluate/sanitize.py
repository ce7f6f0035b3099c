"""EvalPlus's sanitiser: reduces a completion to the code that the task's function needs.

It parses many ranges of lines, so it can be slow, and it was not written for hostile completions.
Therefore it runs in helper processes with limits for each program. A program that exceeds them, or
on which the sanitiser fails, is judged without sanitising.
"""

import json
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from unittest.mock import patch

from codewatt.evaluate.code_extract import code_extract
from codewatt.evaluate.parallel_jobs import WorkStopped, run_workers
from codewatt.evaluate.sandbox.limited_process import LimitedProcess, RequestRefused, serve_requests

MEMORY_BYTES = 256 << 20
CPU_S = 20.0


def sanitize_code(code: str, entry_point: str) -> str:
    """Sanitise one program with EvalPlus's `sanitize`; unchanged if that fails.

    Args:
        code: source code of the program.
        entry_point: name of the task's function.
    """
    from evalplus import sanitize as evalplus  # takes seconds, so not at the top

    def extract(text: str) -> str:
        return code_extract(text, evalplus.syntax_check)

    try:
        with patch.object(evalplus, "code_extract", extract):  # same result without the cubic cost
            cleaned: str = evalplus.sanitize(code, entry_point)
    except (ValueError, RecursionError, AttributeError, IndexError, TypeError):
        return code
    return cleaned


def sanitize_all(programs: Sequence[tuple[str, str]], *, jobs: int) -> list[str]:
    """Sanitise many programs; identical ones once.

    Args:
        programs: (code, entry_point) of each program.
        jobs: maximum number of helper processes.

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
            return _sanitize_in_helper(helpers[slot], program, stop)

        run_workers(unique, work, count, finish)
    return [cleaned[program] for program in programs]


def _sanitize_in_helper(
    helper: LimitedProcess, program: tuple[str, str], stop: threading.Event
) -> str:
    def while_waiting() -> None:
        if stop.is_set():
            raise WorkStopped

    request = json.dumps(program).encode()
    try:
        answer, _ = helper.request(len(request), [request], CPU_S, while_waiting)
    except RequestRefused:
        return program[0]
    cleaned: str = json.loads(answer)
    return cleaned


def _sanitize_request(request: bytes) -> bytes:
    code, entry_point = json.loads(request)
    return json.dumps(sanitize_code(code, entry_point)).encode()


def main() -> None:
    """Run the helper process: requests are JSON [code, entry_point], answers JSON strings."""
    try:
        sanitize_code("", "f")
    except ImportError as error:
        print(f"EvalPlus's sanitiser cannot be imported: {error}", flush=True)
        return
    serve_requests(_sanitize_request)


if __name__ == "__main__":
    main()
