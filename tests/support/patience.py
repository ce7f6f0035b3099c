"""How long a test waits for what must happen: no slow or busy machine may fail a test."""

import time
from collections.abc import Callable

#: Longest wait (s) for something that takes a moment on an idle machine.
PATIENCE_S = 600.0


def wait_until(condition: Callable[[], object], what: str, step_s: float = 0.05) -> None:
    """Wait until a condition holds; AssertionError after PATIENCE_S.

    Args:
        condition: looked at every `step_s`.
        what: what is waited for, for the message.
        step_s: time between two looks (s).
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {PATIENCE_S:.0f} s for {what}"
        time.sleep(step_s)
