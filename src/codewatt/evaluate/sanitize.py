"""EvalPlus's sanitiser: cuts a completion down to the code that the task's function needs.

It parses every range of lines, so it takes long on long completions, and it was not written for
hostile ones; it runs in processes of its own, which may fail without harm.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence

from codewatt.errors import CodewattError
from codewatt.evaluate.workers import run_workers

_PATIENCE_S = 600.0


def sanitize_code(code: str, entry_point: str) -> str:
    """EvalPlus's `sanitize` on one program (the import takes seconds, so it is made here).

    A program that the sanitiser itself fails on comes back as it is.
    """
    from evalplus.sanitize import sanitize

    try:
        cleaned: str = sanitize(code, entry_point)
    except (ValueError, RecursionError, MemoryError, AttributeError, IndexError, TypeError):
        return code
    return cleaned


def sanitize_all(programs: Sequence[tuple[str, str]], *, jobs: int) -> list[str]:
    """Sanitise (code, entry_point) pairs, in the same order; equal ones once.

    Raises:
        CodewattError: a sanitising process died or ran for too long.
    """
    unique = list(dict.fromkeys(programs))
    count = max(1, min(jobs, len(unique) // 20))
    shares = [unique[start::count] for start in range(count)]
    cleaned: dict[tuple[str, str], str] = {}

    def finish(index: int, answers: list[str]) -> None:
        cleaned.update(zip(shares[index], answers, strict=True))

    run_workers(shares, _share, count, finish)
    return [cleaned[program] for program in programs]


def _share(slot: int, programs: list[tuple[str, str]], stop: threading.Event) -> list[str]:
    """Sanitise some programs in a process of their own."""
    with subprocess.Popen(
        [sys.executable, "-m", "codewatt.evaluate.sanitize"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    ) as process:
        try:
            out, said = process.communicate(json.dumps(programs).encode(), _PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise CodewattError(f"sanitising took longer than {_PATIENCE_S:.0f} s") from None
        finally:
            process.kill()
    if process.returncode != 0:
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        raise CodewattError(f"the sanitiser failed: {''.join(last) or process.returncode}")
    answers: list[str] = json.loads(out)
    return answers


def main() -> None:
    """JSON [[code, entry_point], ...] on stdin, JSON [code, ...] on stdout."""
    programs = json.load(sys.stdin)
    # Nothing that the sanitiser's imports print may come between.
    out, sys.stdout = sys.stdout, sys.stderr
    json.dump([sanitize_code(code, entry_point) for code, entry_point in programs], out)


if __name__ == "__main__":
    main()
