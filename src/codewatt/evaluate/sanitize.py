"""EvalPlus's sanitiser: cuts a completion down to the code that the task's function needs.

It parses many ranges of lines, so it can take long, and it was not written for hostile
completions. It runs in helper processes, and each program has limits of its own: one that passes
them is judged as it stands, as is one that the sanitiser fails on.
"""

import json
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from unittest.mock import patch

from codewatt.evaluate.code_extract import code_extract
from codewatt.evaluate.limited_process import LimitedProcess, Refused, serve
from codewatt.evaluate.sandbox_workers import Stopped, run_workers

MEMORY_BYTES = 256 << 20
CPU_S = 20.0


def sanitize_code(code: str, entry_point: str) -> str:
    """EvalPlus's `sanitize` on one program (the import takes seconds, so it is made here).

    A program that the sanitiser itself fails on comes back as it is.
    """
    from evalplus import sanitize as evalplus

    def extract(text: str) -> str:
        return code_extract(text, evalplus.syntax_check)

    try:
        with patch.object(evalplus, "code_extract", extract):  # the same, without its cubic cost
            cleaned: str = evalplus.sanitize(code, entry_point)
    except (ValueError, RecursionError, AttributeError, IndexError, TypeError):
        return code
    return cleaned


def sanitize_all(programs: Sequence[tuple[str, str]], *, jobs: int) -> list[str]:
    """Sanitise (code, entry_point) pairs, in the same order; equal ones once.

    A program over `CPU_S` of CPU time or `MEMORY_BYTES` of memory comes back as it is.

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
            return _sanitized(helpers[slot], program, stop)

        run_workers(unique, work, count, finish)
    return [cleaned[program] for program in programs]


def _sanitized(helper: LimitedProcess, program: tuple[str, str], stop: threading.Event) -> str:
    def idle() -> None:
        if stop.is_set():
            raise Stopped

    request = json.dumps(program).encode()
    try:
        answer, _ = helper.ask(len(request), [request], CPU_S, idle)
    except Refused:
        return program[0]
    cleaned: str = json.loads(answer)
    return cleaned


def _answer(request: bytes) -> bytes:
    code, entry_point = json.loads(request)
    return json.dumps(sanitize_code(code, entry_point)).encode()


def main() -> None:
    """Answer requests: JSON [code, entry_point] in, JSON text out."""
    try:
        sanitize_code("", "f")
    except ImportError as error:
        print(f"EvalPlus's sanitiser cannot be imported: {error}", flush=True)
        return
    serve(_answer)


if __name__ == "__main__":
    main()
