"""Settings, variants and figures in words."""

from collections.abc import Sequence

from codewatt.analysis.labels import BOUNDARY_NAMES, Labels, label
from codewatt.analysis.proportions import Interval
from codewatt.analysis.tables import Row


def boundary_words(rows: Sequence[Row]) -> str | None:
    """What the energy figures take in; None where there are none."""
    chosen = dict.fromkeys(r["energy_boundary"] for r in rows if r["energy_boundary"] is not None)
    return ", ".join(BOUNDARY_NAMES[name] for name in chosen) or None


def boards_words(rows: Sequence[Row]) -> str | None:
    """That cells ran on several hosts or GPU boards; None where all ran on the same."""
    used = {(r["host"], r["gpu_uuids"]) for r in rows if r["status"] == "ok"}
    if len(used) < 2:
        return None
    return (
        f"Cells ran on {len(used)} different hosts or GPU boards, which can differ by some per "
        "cent in energy: changes allow for it, the efficient frontier does not"
    )


def setting_words(row: Row, labels: Labels) -> str:
    """A setting in words."""
    benchmark = label(labels, "benchmark", row["benchmark"])
    hardware = "" if row["hardware"] is None else f", on {row['hardware']}"
    return (
        f"{benchmark}, prompt {label(labels, 'prompt', row['prompt'])}, at most "
        f"{row['token_limit']} tokens, batch size {row['batch_size']}, engine "
        f"{label(labels, 'engine', row['engine'])}{hardware}"
    )


def variant_words(row: Row, labels: Labels) -> str:
    """A variant's precision and pruning in words."""
    precision = label(labels, "precision", row["precision"])
    if not row["prune_layers"]:
        return precision
    return f"{precision} (pruned: {label(labels, 'prune', row['prune'])})"


def joules(value: float) -> str:
    """Energy with three significant digits and a readable unit."""
    for limit, unit in ((1e6, "MJ"), (1e3, "kJ"), (1.0, "J")):
        if abs(value) >= limit:
            return f"{_digits(value / limit)} {unit}"
    return f"{_digits(value * 1e3)} mJ"


def percent(fraction: float) -> str:
    """A relative change, with its sign."""
    return f"{fraction * 100:+.1f} %".replace("-", "\N{MINUS SIGN}")


def accuracy_interval(row: Row, accuracy: str) -> Interval:
    """The Wilson interval of a cell's pass@1."""
    return row[f"{accuracy}_wilson95_low"], row[f"{accuracy}_wilson95_high"]


def difference_words(row: Row, accuracy: str) -> str | None:
    """pass@1 less the baseline's on the same tasks, with its interval; None where not compared."""
    names = [f"{accuracy}_difference{end}" for end in ("", "_ci95_low", "_ci95_high")]
    if row[names[0]] is None:
        return None
    value, low, high = (f"{row[name]:+.3f}".replace("-", "\N{MINUS SIGN}") for name in names)
    return f"{value} [{low}, {high}]"


def percent_interval(low: float | None, high: float | None) -> str | None:
    """The interval of a relative change."""
    return None if low is None or high is None else f"[{percent(low)}, {percent(high)}]"


def p_words(p: float) -> str:
    """A p value with three decimals."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def points(fraction: float) -> str:
    """A fraction in percentage points."""
    value = f"{100 * fraction:.3g}"
    return f"{value} point" if value == "1" else f"{value} points"


def energy_interval(row: Row) -> Interval | None:
    """The 95 % interval of a cell's energy per run (J); None with fewer than two repeats."""
    low, high = row["energy_j_ci95_low"], row["energy_j_ci95_high"]
    return None if low is None or high is None else (low, high)


def _digits(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    whole = len(str(int(abs(value))))
    return f"{value:.{max(3 - whole, 0)}f}"
