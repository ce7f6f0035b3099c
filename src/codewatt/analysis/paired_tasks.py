"""Paired comparison of pass@1 on the same tasks, and the non-inferiority and equivalence tests.

docs/explanation/statistics.md defines the statistics; `proportions` computes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from codewatt.analysis.changes import set_interval
from codewatt.analysis.columns import TESTS, Row
from codewatt.analysis.compared_pairs import Pair, StudyRows
from codewatt.analysis.log_scale_statistics import holm, relative_change
from codewatt.analysis.proportions import (
    Interval,
    PairedCounts,
    SharesDifference,
    mcnemar_p,
    noninferiority_p,
    paired_ratio_interval,
    shares_difference,
    tango_interval,
)
from codewatt.analysis.run_rows import solved_shares

#: One-sided level of the non-inferiority test; it corresponds to a two-sided 95 % interval.
NONINFERIORITY_LEVEL = 0.025

Shares = Mapping[str, float]


@dataclass(frozen=True)
class PassComparison:
    """The paired comparison of pass@1 of two cells.

    Attributes:
        differences: the cell's share of solved completions minus the reference's, by task.
        shares: their mean with Agresti and Min's standard error.
        counts: numbers of tasks by verdict; None if some task was solved in a part of its samples.
        margin: the study's margin, a fraction of the tasks.
        p_holm, noninferiority_p_holm: adjusted over all comparisons of the study.
        comparisons: their number.
    """

    differences: tuple[float, ...]
    shares: SharesDifference
    counts: PairedCounts | None
    margin: float
    p_holm: float = 1.0
    noninferiority_p_holm: float = 1.0
    comparisons: int = 1

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the difference: Tango's, or Agresti and Min's."""
        return self.shares.ci95 if self.counts is None else tango_interval(self.counts)

    @property
    def p(self) -> float:
        """Two-sided p of equal pass@1: the exact McNemar test, or Agresti and Min's z test."""
        if self.counts is None:
            return self.shares.p
        return mcnemar_p(self.counts.lost, self.counts.gained)

    @property
    def noninferiority_p(self) -> float:
        """One-sided p of the hypothesis that the loss is at least the margin."""
        if self.counts is None:
            return self.shares.noninferiority_p(self.margin)
        return noninferiority_p(self.counts, self.margin)

    @property
    def equivalence_p(self) -> float:
        """p of the two one-sided tests of a loss and of a gain of at least the margin."""
        return max(self.noninferiority_p, self._reversed().noninferiority_p)

    @property
    def noninferior(self) -> bool:
        """Whether a loss of the margin is excluded after Holm's adjustment."""
        return self.noninferiority_p_holm < NONINFERIORITY_LEVEL

    def _reversed(self) -> "PassComparison":
        """The comparison of the reference with the cell."""
        counts, shares = self.counts, self.shares
        return PassComparison(
            tuple(-value for value in self.differences),
            SharesDifference(-shares.difference, -shares.adjusted, shares.error),
            counts and PairedCounts(counts.both, counts.lost, counts.gained, counts.neither),
            self.margin,
        )


#: (Id of a cell, id of its reference, tests) -> the comparison of their pass@1.
PassComparisons = dict[tuple[str, str, str], PassComparison]


def compare_tasks(study: StudyRows, pairs: Sequence[Pair], margin: float) -> PassComparisons:
    """Compare pass@1 of each pair on the same tasks; with baselines also in the cells' rows.

    A task's share is that of all its completions, of all repeats and sessions. Cells without
    pass@1 are skipped. For a baseline itself only `pass_at_1_*_change` is set (0).

    Args:
        study: its rows; the cells' are changed in place.
        pairs: what is compared.
        margin: the study's margin of pass@1, a fraction of the tasks.
    """
    found: PassComparisons = {}
    for tests in TESTS:
        name = f"pass_at_1_{tests}"
        for pair in pairs:
            row, base = pair.cell, pair.reference
            if row.get(name) is None or base.get(name) is None:
                continue
            if pair.of_baseline:
                row["pass_at_1_margin"] = margin
                row[f"{name}_change"] = relative_change(row[name], base[name])
            ours, theirs = (solved_shares(study.tasks[cell], tests) for cell in pair.ids)
            if not pair.is_itself and ours.keys() == theirs.keys():
                found[(*pair.ids, tests)] = compare_shares(ours, theirs, margin)
        _adjust(found, tests)
    for pair in pairs:
        for tests in TESTS if pair.of_baseline else ():
            if (comparison := found.get((*pair.ids, tests))) is not None:
                pair.cell.update(_paired_columns(comparison, tests))
    return found


def compare_shares(ours: Shares, theirs: Shares, margin: float = 0.0) -> PassComparison:
    """The paired comparison of the shares of solved completions of the same tasks.

    Args:
        ours, theirs: task -> share; at least one task.
        margin: a fraction of the tasks; 0 where no test of it is reported.
    """
    differences = tuple(ours[task] - theirs[task] for task in ours)
    counts = paired_counts(ours, theirs)
    return PassComparison(differences, shares_difference(differences), counts, margin)


def paired_counts(ours: Shares, theirs: Shares) -> PairedCounts | None:
    """Numbers of tasks by verdict; None if some task was solved in only a part of its samples."""
    if not {*ours.values(), *theirs.values()} <= {0.0, 1.0}:
        return None
    both = sum(bool(ours[task] and theirs[task]) for task in ours)
    gained, lost = round(sum(ours.values())) - both, round(sum(theirs.values())) - both
    return PairedCounts(both, gained, lost, len(ours) - both - gained - lost)


def _paired_columns(comparison: PassComparison, tests: str) -> Row:
    """The columns of one comparison in the cell table."""
    name = f"pass_at_1_{tests}"
    counts = comparison.counts
    found: Row = {
        f"{name}_difference": comparison.shares.difference,
        f"{name}_comparisons": comparison.comparisons,
        f"noninferior_p_{tests}": comparison.noninferiority_p,
        f"noninferior_p_holm_{tests}": comparison.noninferiority_p_holm,
        f"noninferior_{tests}": comparison.noninferior,
    }
    set_interval(found, f"{name}_difference_ci95", comparison.interval)
    if counts is None:
        return found
    found |= {
        f"{name}_difference": counts.difference,
        f"tasks_lost_{tests}": counts.lost,
        f"tasks_gained_{tests}": counts.gained,
        f"mcnemar_p_{tests}": comparison.p,
        f"mcnemar_p_holm_{tests}": comparison.p_holm,
    }
    if (ends := paired_ratio_interval(counts)) is not None:
        set_interval(found, f"{name}_change_ci95", (ends[0] - 1, ends[1] - 1))
    return found


def _adjust(found: PassComparisons, tests: str) -> None:
    """Adjust the p values of one suite's comparisons over the study (Holm), in place."""
    family = {key: one for key, one in found.items() if key[2] == tests}
    adjusted = holm([one.p for one in family.values()])
    noninferior = holm([one.noninferiority_p for one in family.values()])
    for (key, one), p, p_noninferior in zip(family.items(), adjusted, noninferior, strict=True):
        found[key] = replace(
            one, p_holm=p, noninferiority_p_holm=p_noninferior, comparisons=len(family)
        )
