"""Infers how often a CPU energy counter wrapped unseen, from a second meter.

A RAPL counter restarts at 0 after a fixed energy, its range. A meter that reads the counter only
at the start and the end of a run can undo one wrap. Its figure of each package is therefore the
true energy minus a whole number of ranges. A second meter whose error is below half a range
determines that number.
"""

from dataclasses import dataclass

from codewatt.units import J_PER_WH

#: Whole wraps explain a run if the residual is at most this share of the second meter's energy.
EXPLAINED_SHARE = 0.05


@dataclass(frozen=True)
class RaplCounters:
    """The RAPL energy counters of a node's CPU packages.

    Attributes:
        range_j: energy after which one counter restarts at 0 (J): max_energy_range_uj.
        packages: number of packages, each with one counter.
    """

    range_j: float
    packages: int

    @property
    def range_wh(self) -> float:
        """`range_j` in Wh."""
        return self.range_j / J_PER_WH

    def wrap_s(self, power_w: float) -> float:
        """Time after which a counter wraps (s), if all packages draw the same power.

        Args:
            power_w: mean power of all packages together (W).
        """
        return self.range_j / (power_w / self.packages)

    def infer_wraps(self, published_wh: float, reference_wh: float) -> "Wraps":
        """The number of missed wraps (at least 0) that agrees best with the second meter.

        Args:
            published_wh: published energy of all packages (Wh).
            reference_wh: their energy by the second meter (Wh).
        """
        missed = max(0, round((reference_wh - published_wh) / self.range_wh))
        return self.assume_wraps(missed, published_wh, reference_wh)

    def assume_wraps(self, missed: int, published_wh: float, reference_wh: float) -> "Wraps":
        """A given number of missed wraps, with the residual that it leaves."""
        residual_wh = published_wh + missed * self.range_wh - reference_wh
        return Wraps(self, missed, residual_wh, residual_wh / reference_wh)


@dataclass(frozen=True)
class Wraps:
    """Wraps of counters that a published CPU energy lacks, and the residual.

    Attributes:
        counters: the counters.
        missed: number of missed wraps, all packages together.
        residual_wh: published energy plus missed wraps minus the second meter's energy (Wh).
        residual_share: the residual as a share of the second meter's energy.
    """

    counters: RaplCounters
    missed: int
    residual_wh: float
    residual_share: float

    @property
    def both(self) -> int:
        """How often all packages wrapped, if they draw about the same power."""
        return self.missed // self.counters.packages

    @property
    def one(self) -> int:
        """Remaining wraps of single packages."""
        return self.missed % self.counters.packages

    @property
    def explained(self) -> bool:
        """Whether a whole number of wraps explains the published figure."""
        return abs(self.residual_share) <= EXPLAINED_SHARE

    @property
    def both_wh(self) -> float:
        """Energy of the wraps of all packages (Wh)."""
        return self.both * self.counters.packages * self.counters.range_wh

    @property
    def all_wh(self) -> float:
        """Energy of every missed wrap (Wh)."""
        return self.missed * self.counters.range_wh
