"""What printed numbers measure, as columns of codewatt's cell table.

A quantity gives an estimate with its interval from one row of the cell table, in the unit that the
text prints.
"""

from dataclasses import dataclass

from codewatt.analysis.columns import Row
from codewatt.units import BYTES_PER_GB, J_PER_KWH, J_PER_WH

PERCENT = 0.01


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; `low` and `high` are None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Quantity:
    """A quantity of the cell table.

    Attributes:
        value: column of the value.
        interval: the columns of the ends without "_low" and "_high", such as "duration_s_ci95"; ""
            for a value without an interval.
        per_unit: how much of the column's unit is one of the printed unit.
        part: part of the energy, as in `<part>_energy_status`; "" for what is no energy.
        metered: whether clocks or meters give it, so that failed validity checks concern it.
    """

    value: str
    interval: str = ""
    per_unit: float = 1.0
    part: str = ""
    metered: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs."""
        ends = (f"{self.interval}_low", f"{self.interval}_high") if self.interval else ()
        status = (f"{self.part}_energy_status",) if self.part else ()
        return (self.value, *ends, *status)

    def estimate(self, row: Row) -> Estimate | None:
        """The estimate of a cell; None where the table has no value."""
        value = self._scaled(row, self.value)
        if value is None or not self.interval:
            return None if value is None else Estimate(value)
        low, high = (self._scaled(row, f"{self.interval}_{end}") for end in ("low", "high"))
        return Estimate(value, low, high)

    def _scaled(self, row: Row, column: str) -> float | None:
        return None if row[column] is None else float(row[column]) / self.per_unit


@dataclass(frozen=True)
class PassPerEnergy:
    """pass@1 per energy of a run: pass@kWh of Buis 2024.

    The interval combines opposite ends of both intervals, so it is wider than a 95 % interval.

    Attributes:
        accuracy, energy: the two quantities.
    """

    accuracy: Quantity
    energy: Quantity
    metered: bool = True

    @property
    def part(self) -> str:
        """See `Quantity`."""
        return self.energy.part

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Quantity.columns`."""
        return (*self.accuracy.columns, *self.energy.columns)

    def estimate(self, row: Row) -> Estimate | None:
        """See `Quantity.estimate`; None too if the energy is not positive."""
        solved, energy = self.accuracy.estimate(row), self.energy.estimate(row)
        if solved is None or energy is None or energy.value <= 0:
            return None
        low = high = None
        if solved.low is not None and energy.high is not None:
            low = solved.low / energy.high
        if solved.high is not None and energy.low is not None and energy.low > 0:
            high = solved.high / energy.low
        return Estimate(solved.value / energy.value, low, high)


AnyQuantity = Quantity | PassPerEnergy


def mean(metric: str, per_unit: float = 1.0) -> Quantity:
    """The geometric mean of a positive metric over the runs, with its 95 % interval."""
    return Quantity(f"{metric}_geomean", f"{metric}_ci95", per_unit)


def spread(metric: str) -> Quantity:
    """The standard deviation of a metric over the runs."""
    return Quantity(f"{metric}_sd")


def energy_wh(part: str) -> Quantity:
    """The geometric mean of a part of the energy of a run (Wh)."""
    return Quantity(f"{part}_j_geomean", f"{part}_j_ci95", J_PER_WH, part)


def energy_spread_wh(part: str) -> Quantity:
    """The standard deviation of a part of the energy over the runs (Wh)."""
    return Quantity(f"{part}_j_sd", "", J_PER_WH, part)


def accuracy(tests: str, unit: float = 1.0) -> Quantity:
    """pass@1 with its Wilson interval over tasks.

    Args:
        tests: "base" or "plus".
        unit: 1, or `PERCENT`.
    """
    name = f"pass_at_1_{tests}"
    return Quantity(name, f"{name}_wilson95", unit, metered=False)


def accuracy_difference(tests: str) -> Quantity:
    """pass@1 minus the baseline's on the same tasks (percentage points)."""
    name = f"pass_at_1_{tests}_difference"
    return Quantity(name, f"{name}_ci95", PERCENT, metered=False)


THROUGHPUT = mean("tokens_per_s")
#: Energy of the GPU above its idle power (kWh).
NET_GPU_KWH = Quantity("net_gpu_j_mean", "net_gpu_j_ci95", J_PER_KWH, "gpu")
#: Size of the weight files (GB).
WEIGHTS_GB = Quantity("size_bytes", "", BYTES_PER_GB, metered=False)
