"""What may be claimed of a model's variants against its baseline, in sentences.

docs/statistics.md, "Choosing the cheapest".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from codewatt.analysis.changes import same_host_and_gpus
from codewatt.analysis.descriptions import (
    accuracy_interval,
    difference_words,
    energy_interval,
    joules,
    p_words,
    percent,
    percent_interval,
    points,
    variant_words,
)
from codewatt.analysis.labels import Labels
from codewatt.analysis.log_scale_statistics import SD_BAND, Difference, holm, welch_of_moments
from codewatt.analysis.proportions import fewest_tasks
from codewatt.analysis.tables import Row

#: A difference is claimed below this adjusted p.
LEVEL = 0.05
#: How many variants a sentence lists before it only counts the rest.
_MOST_LISTED = 3


@dataclass(frozen=True)
class Claim:
    """The main sentence about a model.

    sentence: what it says. cheapest_j: energy (J) of the cheapest variant that is accurate enough.
    named: the variant that the sentence compares with the baseline; None if there is none.
    level_with: a sentence on variants whose energy is not shown to be higher; may be empty.
    """

    sentence: str
    cheapest_j: float
    named: Row | None
    level_with: str


def against_baseline(base: Row, others: Sequence[Row], labels: Labels, accuracy: str) -> Claim:
    """The cheapest variant among those shown to be about as accurate as the baseline.

    Args:
        base: the baseline's row. others: rows that can be compared with it.
        accuracy: the column of pass@1.
    """
    tests = accuracy.rpartition("_")[2]
    name, own = variant_words(base, labels), _figures(base, accuracy)
    base_j = float(base["energy_j_geomean"])
    if not others:
        return Claim(f"only the baseline {name} can be used: {own}.", base_j, None, "")
    margin = points(others[0]["pass_at_1_margin"])
    near = sorted((r for r in others if r[f"noninferior_{tests}"]), key=_energy_j)
    if not near:
        sentence = (
            f"none of {_count(others, 'variant')} is shown to lose less than {margin} of the "
            f"baseline's pass@1; the baseline {name}: {own}."
        )
        return Claim(sentence, base_j, None, "")
    best = near[0]
    cheaper = best["energy_j_change"] < 0 and _significant(best)
    change = (
        f"{percent(best['energy_j_change'])}{_family_words(best)}, {_figures(best, accuracy)}, "
        f"against the baseline {name}: {own}"
    )
    shown = (
        f"of {_count(others, 'variant')}, {len(near)} {'is' if len(near) == 1 else 'are'} shown to "
        f"lose less than {margin} of the baseline's pass@1"
    )
    if cheaper:
        sentence = f"{shown}; {variant_words(best, labels)} has the lowest energy: {change}."
    else:
        sentence = (
            f"{shown}, and none of these is shown to save energy; the lowest energy has "
            f"{variant_words(best, labels)}: {change}."
        )
    cheapest_j = min(base_j, _energy_j(best))
    return Claim(sentence, cheapest_j, best, _level_with(best, near[1:], labels))


def tasks_lost_words(row: Row, accuracy: str) -> str:
    """Which of the same tasks a variant loses and gains against the baseline."""
    tests = accuracy.rpartition("_")[2]
    lost, gained = row[f"tasks_lost_{tests}"], row[f"tasks_gained_{tests}"]
    difference = difference_words(row, accuracy)
    if lost is None:
        return (
            "" if difference is None else f"Its pass@1 differs from the baseline's by {difference}."
        )
    if lost == gained == 0:
        return f"It solves the same tasks as the baseline; pass@1 differs by {difference}."
    return (
        f"On the same tasks it loses {lost} and gains {gained} against the baseline "
        f"(exact McNemar test, {p_words(row[f'mcnemar_p_holm_{tests}'])} after Holm over "
        f"{row[f'{accuracy}_comparisons']} comparisons); pass@1 differs by {difference}."
    )


def cheaper_but_less_accurate(
    claim: Claim, others: Sequence[Row], labels: Labels, accuracy: str
) -> str:
    """Variants whose energy estimate is below the cheapest accurate one's, and their loss."""
    tests = accuracy.rpartition("_")[2]
    found = sorted(
        (r for r in others if not r[f"noninferior_{tests}"] and _energy_j(r) < claim.cheapest_j),
        key=_energy_j,
    )
    if not found:
        return ""
    said = [_loss_words(row, labels, accuracy) for row in found[:_MOST_LISTED]]
    rest = len(found) - len(said)
    more = f"; and {rest} more" if rest else ""
    return (
        "Lower estimate of the energy, but not shown to keep the accuracy: "
        f"{'; '.join(said)}{more}."
    )


def too_few_tasks(base: Row, others: Sequence[Row], accuracy: str) -> str:
    """That the benchmark is too small for the margin, where it is."""
    if not others or base["tasks"] is None:
        return ""
    comparisons = others[0][f"{accuracy}_comparisons"] or 1
    margin = others[0]["pass_at_1_margin"]
    needed = fewest_tasks(margin, 1 - LEVEL / comparisons)
    if base["tasks"] >= needed:
        return ""
    return (
        f"{base['tasks']} tasks are too few to show that a variant loses less than "
        f"{points(margin)}, even if it solves the same tasks: {needed} are needed for "
        f"{comparisons} comparison{'' if comparisons == 1 else 's'}."
    )


def energy_words(row: Row) -> str:
    """A cell's energy with its interval and whether it is modelled."""
    interval = energy_interval(row)
    mark = "modelled " if row["energy_status"] == "modelled" else ""
    ends = f" [{joules(interval[0])}, {joules(interval[1])}]" if interval else ""
    return f"{mark}{joules(row['energy_j_geomean'])}{ends}"


def score_words(row: Row, accuracy: str) -> str:
    """A cell's pass@1 with its Wilson interval."""
    low, high = accuracy_interval(row, accuracy)
    return f"pass@1 {row[accuracy]:.3f} [{low:.3f}, {high:.3f}]"


def _figures(row: Row, accuracy: str) -> str:
    return f"{energy_words(row)} per run, {score_words(row, accuracy)}"


def _energy_j(row: Row) -> float:
    return float(row["energy_j_geomean"])


def _count(rows: Sequence[Row], noun: str) -> str:
    return f"{len(rows)} {noun}{'' if len(rows) == 1 else 's'}"


def _significant(row: Row) -> bool:
    p = row["energy_j_change_p_holm"]
    return p is not None and p < LEVEL


def _family_words(row: Row) -> str:
    """The interval that holds together with all others of the study, p, and unequal boards."""
    low, high = (
        row["energy_j_change_simultaneous95_low"],
        row["energy_j_change_simultaneous95_high"],
    )
    p = row["energy_j_change_p_holm"]
    interval = percent_interval(low, high)
    if interval is None or p is None:
        return " (no interval: fewer than two repeats)"
    several = row["energy_j_comparisons"]
    over = f" over {several} comparisons" if several > 1 else ""
    boards = (
        ""
        if row["same_host_and_gpus"]
        else f"; other boards, {percent(row['board_spread'])} allowed for"
    )
    return f" {interval} ({p_words(p)}{over}{boards})"


def _level_with(best: Row, others: Sequence[Row], labels: Labels) -> str:
    """The other accurate variants whose energy is not shown to be higher than the best one's."""
    tested = [(row, _apart(best, row)) for row in others]
    known = [(row, apart.p) for row, apart in tested if apart is not None]
    adjusted = holm([p for _, p in known])
    level = [row for (row, _), p in zip(known, adjusted, strict=True) if p >= LEVEL]
    level += [row for row, apart in tested if apart is None]
    if not level:
        return ""
    names = "; ".join(variant_words(row, labels) for row in level)
    return f"Its energy is not shown to be lower than that of: {names}."


def _apart(first: Row, second: Row) -> Difference | None:
    """The difference of ln energy of two cells, from their summaries."""
    sides = []
    for row in (first, second):
        high, count = row["energy_j_sd_band_high"], row["energy_j_n"]
        if high is None:
            return None
        centre = math.log(row["energy_j_geomean"])
        sides.append((centre, (math.log(high) - centre) / SD_BAND, count))
    spread = (
        0.0
        if same_host_and_gpus(first, second)
        else max(first["board_spread"], second["board_spread"])
    )
    return welch_of_moments(sides[0], sides[1], math.log1p(spread))


def _loss_words(row: Row, labels: Labels, accuracy: str) -> str:
    margin = row["pass_at_1_margin"]
    high = row[f"{accuracy}_difference_ci95_high"]
    if high < -margin:
        known = f"shown to lose more than {points(margin)}"
    elif high < 0:
        known = "shown to lose"
    else:
        known = f"not shown to lose more than {points(margin)}, nor to lose less"
    saving = "" if _significant(row) else ", not shown to be a saving"
    return (
        f"{variant_words(row, labels)} (energy {percent(row['energy_j_change'])}{saving}; pass@1 "
        f"{difference_words(row, accuracy)}: {known})"
    )
