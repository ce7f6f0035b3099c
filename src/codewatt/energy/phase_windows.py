"""Records when each phase of a job ran; the energy of these windows is computed later."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from codewatt.energy.job_energy_record import PhaseWindow


class PhaseLog:
    """Windows on CLOCK_MONOTONIC, in the order in which they ended.

    Args:
        synchronise: waits until the accelerator has finished all queued work (for example
            torch.cuda.synchronize); called at both edges of a window, before its time is taken,
            so that work queued before does not count inside, nor work queued inside after it.
            None where there is no accelerator.
    """

    def __init__(self, synchronise: Callable[[], object] | None = None) -> None:
        self._synchronise = synchronise
        self._windows: list[PhaseWindow] = []

    @contextmanager
    def window(
        self, phase: str, repeat: int | None = None, batch: int | None = None
    ) -> Iterator[None]:
        """Time the block as one window; a block that raises leaves none."""
        start_s = self.now()
        yield
        self.add(phase, start_s, self.now(), repeat, batch)

    def now(self) -> float:
        """CLOCK_MONOTONIC seconds, taken when the accelerator is idle."""
        if self._synchronise is not None:
            self._synchronise()
        return time.monotonic()

    def add(
        self,
        phase: str,
        start_s: float,
        end_s: float,
        repeat: int | None = None,
        batch: int | None = None,
    ) -> None:
        """Add a window whose edges were taken elsewhere.

        Raises:
            ValueError: it ends before it starts.
        """
        if not end_s >= start_s:
            raise ValueError(f"window {phase!r} ends before it starts: {start_s} to {end_s}")
        self._windows.append(
            {"phase": phase, "repeat": repeat, "batch": batch, "start_s": start_s, "end_s": end_s}
        )

    @property
    def windows(self) -> list[PhaseWindow]:
        """Copies of the windows, as manifests keep them."""
        return [window.copy() for window in self._windows]
