"""Patterns of column names, such as `<part>_j`: what a description of columns is written with."""

import re
from dataclasses import dataclass
from functools import cache

from codewatt.analysis.columns import (
    BOUNDS,
    CLAIMED,
    FIGURES,
    IDLE,
    JUDGED_FIGURES,
    JUDGING,
    NET_BOUNDS,
    PASS_AT,
    POOLED,
    POSITIVE,
    ROOFLINE,
    SIGNED,
    TESTS,
)
from codewatt.energy.boundaries import PARTS
from codewatt.energy.energy_sources import COMPONENTS

#: Placeholder of a pattern -> the values that it stands for.
PLACEHOLDERS: dict[str, tuple[str, ...]] = {
    "part": FIGURES,
    "judged_part": JUDGED_FIGURES,
    "scope": PARTS,
    "component": COMPONENTS,
    "tests": TESTS,
    "phase": ("prefill", "decode"),
    "idle": IDLE,
    "k": tuple(str(k) for k in PASS_AT),
    "metric": POSITIVE,
    "tested": CLAIMED,
    "net": SIGNED,
    "bound": BOUNDS,
    "net_bound": NET_BOUNDS,
    "ratio": POOLED,
    "counted": tuple(ROOFLINE),
    "judging": JUDGING,
}

#: Placeholder -> what its values are.
PLACEHOLDER_MEANINGS = {
    "part": "Part of the machine whose energy is given. `energy` is the part that the study "
    "chose (`energy_boundary`).",
    "judged_part": "`<part>` without `gpu`, because judging uses no GPU.",
    "scope": "Component or energy boundary.",
    "component": "Hardware component.",
    "tests": "Test suite. `base`: the benchmark's own tests. `plus`: base and added tests.",
    "phase": "Phase of generation.",
    "idle": "Time at which idle power was measured: before the model was loaded, after loading "
    "and before the warm-up, after the last repeat, and the mean of the last two.",
    "k": "The k of pass@k. A study's other values of `evaluation.k` have columns too.",
    "metric": "Positive metric of a run; its statistics are on a log scale.",
    "tested": "Metric whose change against the baseline is tested (with Holm's adjustment).",
    "net": "Net energy; it can be zero or negative, so its statistics are on a linear scale.",
    "bound": "Bound on the error of a run's energy.",
    "net_bound": "Bound on the error of a run's net energy.",
    "ratio": "Ratio of energy and solved tasks, pooled over the repeats.",
    "counted": "Roofline quantity that is counted or computed, not measured.",
    "judging": "Energy of judging a run, or of generating and judging it. A cell is judged once, "
    "so the cell table has the mean over its runs, but no interval.",
}


@dataclass(frozen=True)
class Description:
    """One line of the reference.

    Attributes:
        pattern: the column's name; `<part>` and so on stand for the values of PLACEHOLDERS.
        unit: unit of the values, "-" where they have none.
        meaning: one or two sentences.
    """

    pattern: str
    unit: str
    meaning: str

    def matches(self, column: str) -> bool:
        """Whether a column is one of those that the pattern stands for."""
        return _expression(self.pattern).fullmatch(column) is not None


def describe(*entries: tuple[str, str, str]) -> tuple[Description, ...]:
    """Descriptions from (pattern, unit, meaning)."""
    return tuple(Description(*entry) for entry in entries)


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern, each placeholder as the choice of its values."""
    parts = re.split(r"<(\w+)>", pattern)  # text and placeholder in turn
    for i, part in enumerate(parts):
        parts[i] = f"(?:{'|'.join(PLACEHOLDERS[part])})" if i % 2 else re.escape(part)
    return re.compile("".join(parts))
