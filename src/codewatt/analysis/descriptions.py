"""Texts for readers: settings, variants, energies, changes and p values.

Sentences about results are in `claims` and `headlines`.
"""

from collections.abc import Sequence
from decimal import Decimal

from codewatt.analysis.columns import Row
from codewatt.analysis.labels import BOUNDARY_NAMES, Labels, label
from codewatt.analysis.proportions import Interval
from codewatt.units import J_PER_KJ, J_PER_MJ

_MINUS = "\N{MINUS SIGN}"
#: From this relative change on, per cent are printed in powers of ten.
_LARGE_CHANGE = 1e4


def boundary_text(rows: Sequence[Row]) -> str | None:
    """The energy boundaries of the cells, e.g. "the whole node"; None where there is no energy."""
    chosen = dict.fromkeys(r["energy_boundary"] for r in rows if r["energy_boundary"] is not None)
    return ", ".join(BOUNDARY_NAMES[name] for name in chosen) or None


def devices_notice(rows: Sequence[Row]) -> str | None:
    """A warning that the cells ran on several hosts or GPUs; None where all ran on the same."""
    used = {(r["host"], r["gpu_uuids"]) for r in rows if r["status"] == "ok"}
    if len(used) < 2:
        return None
    return (
        f"The cells ran on {len(used)} different hosts or GPUs. Two boards of one GPU model can "
        "differ in energy by more than ten per cent. The confidence intervals of changes allow for "
        "this; the efficient frontier does not"
    )


def setting_text(row: Row, labels: Labels) -> str:
    """The setting of a cell: benchmark, prompt style, token limit, batch size and engine."""
    benchmark = label(labels, "benchmark", row["benchmark"])
    hardware = "" if row["hardware"] is None else f", hardware {row['hardware']}"
    return (
        f"{benchmark}, prompt style {label(labels, 'prompt', row['prompt'])}, token limit "
        f"{row['token_limit']}, batch size {row['batch_size']}, engine "
        f"{label(labels, 'engine', row['engine'])}{hardware}"
    )


def variant_text(row: Row, labels: Labels) -> str:
    """A variant's precision and, where it is pruned, its prune setting."""
    precision = label(labels, "precision", row["precision"])
    if not row["prune_layers"]:
        return precision
    return f"{precision} (pruned: {label(labels, 'prune', row['prune'])})"


def format_joules(value: float) -> str:
    """An energy (J) with three significant digits and a readable unit."""
    for limit, unit in ((J_PER_MJ, "MJ"), (J_PER_KJ, "kJ"), (1.0, "J")):
        if abs(value) >= limit:
            return f"{_three_digits(value / limit)} {unit}"
    return f"{_three_digits(value * 1e3)} mJ"


def format_percent(fraction: float) -> str:
    """A relative change in per cent, with its sign; in powers of ten from a million per cent on."""
    if abs(fraction) >= _LARGE_CHANGE:
        # The product may be larger than any float.
        return f"{100 * Decimal(fraction):+.1e} %"
    return f"{fraction * 100:+.1f} %".replace("-", _MINUS)


def format_percent_interval(low: float | None, high: float | None) -> str | None:
    """The interval of a relative change; None without one.

    Without an upper end the data do not bound the change.
    """
    if low is None:
        return None
    return f"[{format_percent(low)}, {'no upper bound' if high is None else format_percent(high)}]"


def format_p(p: float) -> str:
    """A p value with three decimals."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def format_points(fraction: float) -> str:
    """A fraction in percentage points."""
    value = f"{100 * fraction:.3g}"
    return f"{value} percentage point{'' if value == '1' else 's'}"


def accuracy_interval(row: Row, accuracy: str) -> Interval:
    """The 95 % Wilson interval of a cell's pass@1."""
    return row[f"{accuracy}_wilson95_low"], row[f"{accuracy}_wilson95_high"]


def energy_interval(row: Row) -> Interval | None:
    """The 95 % interval of a cell's energy per run (J); None with fewer than two repeats."""
    low, high = row["energy_j_ci95_low"], row["energy_j_ci95_high"]
    return None if low is None or high is None else (low, high)


def paired_difference_text(row: Row, accuracy: str) -> str | None:
    """pass@1 minus the baseline's on the same tasks, with its interval; None if not compared."""
    names = [f"{accuracy}_difference{end}" for end in ("", "_ci95_low", "_ci95_high")]
    if row[names[0]] is None:
        return None
    value, low, high = (f"{row[name]:+.3f}".replace("-", _MINUS) for name in names)
    return f"{value} [{low}, {high}]"


def _three_digits(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    whole = len(str(int(abs(value))))
    return f"{value:.{max(3 - whole, 0)}f}"
