"""Compares outputs by value in a helper process, so that a hostile one can do no harm.

Most outputs equal the expected ones byte for byte and never come here. One comparison may take
`MEMORY_BYTES` of memory; all comparisons of one program's suite together `CPU_S` of CPU time.
"""

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

from codewatt.evaluate.bounded_lines import Line, LongLine, size_of
from codewatt.evaluate.equality import matches, solves
from codewatt.evaluate.limited_process import LimitedProcess, Refused, serve
from codewatt.evaluate.output_decoder import decode

MEMORY_BYTES = 192 << 20
CPU_S = 10.0

_LOOK_S = 0.05


class Comparer:
    """The helper process of one judge, shared by its workers: one comparison at a time."""

    def __init__(self) -> None:
        self._helper = LimitedProcess("codewatt.evaluate.comparison_process", MEMORY_BYTES)
        self._turn = threading.Lock()

    def __enter__(self) -> "Comparer":
        return self

    def __exit__(self, *_: object) -> None:
        self._helper.close()

    def differs(
        self, output: Line, rule: dict[str, Any], expected: bytes, cpu_s: float,
        idle: Callable[[], None],
    ) -> tuple[str | None, float]:  # fmt: skip
        """Why an encoded output is not right, and the CPU time (s) that it took to say so.

        Args:
            output: what the program answered, as `outputs` encodes it.
            rule: {"atol": A} to compare with `expected`, or {"atol": A, "coefficients": [...]}
                to look whether the output is a root.
            expected: what the reference program answered; unused for a root.
            cpu_s: CPU time that is left.
            idle: called every 50 ms while there is no answer; what it raises passes through.

        Returns:
            None if the output is right, else the reason in a few words.
        """
        header = json.dumps({**rule, "output": size_of(output)}).encode() + b"\n"
        size = len(header) + size_of(output) + len(expected)
        while not self._turn.acquire(timeout=_LOOK_S):
            idle()
        try:
            if cpu_s <= 0:
                raise Refused(f"no CPU time is left of {CPU_S:.3g} s")
            pieces = _pieces(header, output, expected)
            answer, taken_s = self._helper.ask(size, pieces, cpu_s, idle)
        except Refused as refused:
            return f"an output that cannot be compared: {refused}", cpu_s
        finally:
            self._turn.release()
        return (None if answer == b"same" else "wrong output"), taken_s


def _pieces(header: bytes, output: Line, expected: bytes) -> Iterable[bytes]:
    yield header
    if isinstance(output, LongLine):
        yield from output.pieces()
    else:
        yield output
    yield expected


def answer_to(request: bytes) -> bytes:
    """ "same" or "other": whether the output in a request is right."""
    end = request.index(b"\n") + 1
    rule = json.loads(request[:end])
    middle = end + rule["output"]
    try:
        output = decode(request[end:middle])
        if "coefficients" in rule:
            right = solves(rule["coefficients"], output, rule["atol"])
        else:
            right = matches(output, decode(request[middle:]), rule["atol"])
    except MemoryError:
        raise
    except Exception:
        right = False
    return b"same" if right else b"other"


def main() -> None:
    """Answer the judge's requests."""
    import numpy  # noqa: F401  (before the memory is limited)

    serve(answer_to)


if __name__ == "__main__":
    main()
