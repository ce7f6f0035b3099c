"""How often a counter wrapped unseen, told by a second meter.

A RAPL counter starts again at 0 after its range. A meter that reads it only at the start and the
end of a run can undo one wrap: what it reports of each package is the true energy less a whole
number of ranges. A second meter that is right to within half a range tells that number.
"""

from dataclasses import dataclass

from codewatt.published.run_data import JOULES_PER_WH

#: max_energy_range_uj of one package, in joules (Intel Xeon Platinum 8360Y, the study's nodes).
PACKAGE_RANGE_J = 262_143.328_850
PACKAGE_RANGE_WH = PACKAGE_RANGE_J / JOULES_PER_WH
PACKAGES = 2

#: Whole wraps explain a run if what is left is no more than this share of the energy.
EXPLAINED_SHARE = 0.05


@dataclass(frozen=True)
class Wraps:
    """Wraps of single packages that a run's CPU figure lacks, and what they leave unexplained.

    Attributes:
        missed: wraps, both packages together.
        residual_wh: published CPU energy and the missed wraps, less the second meter's energy.
        residual_share: the same as a share of the second meter's energy.
    """

    missed: int
    residual_wh: float
    residual_share: float

    @property
    def both(self) -> int:
        """How often both packages wrapped, if they draw about the same."""
        return self.missed // PACKAGES

    @property
    def one(self) -> int:
        """1 if one package wrapped once more than the other, else 0."""
        return self.missed % PACKAGES

    @property
    def explained(self) -> bool:
        """Whether whole wraps explain the published figure."""
        return abs(self.residual_share) <= EXPLAINED_SHARE

    @property
    def both_wh(self) -> float:
        """The energy of the wraps of both packages, Wh."""
        return self.both * PACKAGES * PACKAGE_RANGE_WH

    @property
    def all_wh(self) -> float:
        """The energy of every missed wrap, Wh."""
        return self.missed * PACKAGE_RANGE_WH


def wrap_s(packages_w: float) -> float:
    """Seconds in which a package wraps, if both draw the same.

    Args:
        packages_w: power of both packages together, watts.
    """
    return PACKAGE_RANGE_J / (packages_w / PACKAGES)


def infer_wraps(cpu_wh: float, packages_w: float, runtime_s: float) -> Wraps:
    """The whole number of missed wraps that comes nearest to the second meter, never below 0.

    Args:
        cpu_wh: the published energy of both packages.
        packages_w: their mean power by the second meter, watts.
        runtime_s: the run's time, seconds.
    """
    other_wh = packages_w * runtime_s / JOULES_PER_WH
    return left_over(max(0, round((other_wh - cpu_wh) / PACKAGE_RANGE_WH)), cpu_wh, other_wh)


def left_over(missed: int, cpu_wh: float, other_wh: float) -> Wraps:
    """What a given number of missed wraps leaves unexplained."""
    residual_wh = cpu_wh + missed * PACKAGE_RANGE_WH - other_wh
    return Wraps(missed, residual_wh, residual_wh / other_wh)
