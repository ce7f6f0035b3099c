"""Compares decoded outputs in a helper process, so that a hostile output cannot harm the judge.

Most outputs equal the expected output byte for byte and are never sent to the helper. One
comparison may use `MEMORY_BYTES` of memory; all comparisons of one suite together may use `CPU_S`
of CPU time.
"""

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from codewatt.evaluate.outputs.bounded_lines import Line, LineOnDisk, line_size
from codewatt.evaluate.outputs.output_decoder import decode
from codewatt.evaluate.outputs.special_oracles import TestRule, is_right
from codewatt.evaluate.sandbox.limited_process import LimitedProcess, RequestRefused, serve_requests

MEMORY_BYTES = 192 << 20
CPU_S = 10.0

_POLL_S = 0.05


class OutputComparer:
    """The helper process of one judge. Its workers share it: one comparison at a time."""

    def __init__(self) -> None:
        self._helper = LimitedProcess("codewatt.evaluate.outputs.comparison_process", MEMORY_BYTES)
        self._lock = threading.Lock()

    def __enter__(self) -> "OutputComparer":
        return self

    def __exit__(self, *_: object) -> None:
        self._helper.close()

    def compare(
        self, output: Line, rule: TestRule, expected: bytes, cpu_s: float,
        while_waiting: Callable[[], None],
    ) -> tuple[str | None, float]:  # fmt: skip
        """Compare an encoded output with the expected output.

        Args:
            output: the program's output, as `output_encoder` encodes it.
            rule: how to check it.
            expected: the encoded expected output; unused if the rule does not need it.
            cpu_s: remaining CPU time (s).
            while_waiting: called every 50 ms until there is an answer; its exceptions propagate.

        Returns:
            The reason why the output is wrong, or None if it is correct; and the CPU time used (s).
        """
        header = json.dumps({"rule": asdict(rule), "output": line_size(output)}).encode() + b"\n"
        size = len(header) + line_size(output) + len(expected)
        while not self._lock.acquire(timeout=_POLL_S):
            while_waiting()
        try:
            if cpu_s <= 0:
                raise RequestRefused(
                    f"the comparisons of this suite used up {CPU_S:.3g} s of CPU time"
                )
            pieces = _request_pieces(header, output, expected)
            answer, taken_s = self._helper.request(size, pieces, cpu_s, while_waiting)
        except RequestRefused as refused:
            return f"the output could not be compared: {refused}", cpu_s
        finally:
            self._lock.release()
        return (None if answer == b"equal" else "wrong output"), taken_s


def _request_pieces(header: bytes, output: Line, expected: bytes) -> Iterable[bytes]:
    yield header
    if isinstance(output, LineOnDisk):
        yield from output.pieces()
    else:
        yield output
    yield expected


def compare_request(request: bytes) -> bytes:
    """Answer a request: b"equal" if the output is correct, else b"different"."""
    end = request.index(b"\n") + 1
    header: dict[str, Any] = json.loads(request[:end])
    rule, middle = TestRule(**header["rule"]), end + header["output"]
    try:
        output = decode(request[end:middle])
        expected = decode(request[middle:]) if rule.needs_expected else None
        equal = is_right(output, expected, rule)
    except MemoryError:
        raise
    except Exception:
        equal = False
    return b"equal" if equal else b"different"


def main() -> None:
    """Run the helper process."""
    import numpy  # noqa: F401  (before the memory is limited)

    serve_requests(compare_request)


if __name__ == "__main__":
    main()
