"""Sentences about one model: which variant saves energy at the baseline's accuracy.

The tests behind each sentence are defined in docs/explanation/statistics.md, section "Choosing the
cheapest variant".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import (
    accuracy_interval,
    energy_interval,
    format_joules,
    format_p,
    format_percent,
    format_percent_interval,
    format_points,
    paired_difference_text,
    variant_text,
)
from codewatt.analysis.labels import Labels
from codewatt.analysis.log_scale_statistics import (
    SD_BAND,
    Difference,
    holm,
    welch_from_moments,
)
from codewatt.analysis.proportions import fewest_tasks
from codewatt.analysis.session_effects import compare_sessions

#: A difference in energy is claimed where the Holm-adjusted p is below this level.
LEVEL = 0.05
#: Number of variants that a sentence names before it only counts the rest.
_MOST_LISTED = 3


#: Cell -> session -> (ln of the geometric mean of its energy, whether it ran on the baseline's
#: board).
SessionEnergies = Mapping[str, Mapping[int, tuple[float, bool]]]


def session_energies(sessions: Sequence[Row]) -> SessionEnergies:
    """The energies of each cell's sessions, from the rows of the session table."""
    found: dict[str, dict[int, tuple[float, bool]]] = {}
    for row in sessions:
        if row["energy_j_geomean"] is not None:
            energy = math.log(row["energy_j_geomean"]), row["same_board_as_baseline"] is True
            found.setdefault(row["cell_id"], {})[row["session"]] = energy
    return found


@dataclass(frozen=True)
class Claim:
    """The main statement about a model.

    Attributes:
        sentences: the statement.
        lowest_change: change of energy, against the baseline, of the cheapest cell that is the
            baseline or shown to be non-inferior to it; a fraction.
        variant: the variant that is compared with the baseline; None if there is none.
        indistinguishable: sentence on non-inferior variants whose energy is not shown to be
            higher than that of `variant`; may be empty.
    """

    sentences: str
    lowest_change: float
    variant: Row | None
    indistinguishable: str


def claim_cheapest(
    base: Row, others: Sequence[Row], labels: Labels, accuracy: str, sessions: SessionEnergies
) -> Claim:
    """The statement on the variant with the lowest energy among the non-inferior ones.

    Args:
        base: the baseline's row of the cell table.
        others: rows whose energy is compared with it.
        accuracy: the column of pass@1.
        sessions: what each session of each cell took.
    """
    tests = accuracy.rpartition("_")[2]
    baseline_part = f"Baseline {variant_text(base, labels)}: {_energy_and_accuracy(base, accuracy)}"
    if not others:
        sentences = f"No variant can be compared with the baseline. {baseline_part}."
        return Claim(sentences, 0.0, None, "")
    near = sorted((r for r in others if r[f"noninferior_{tests}"]), key=_change)
    counted = (
        f"{len(near)} of {_count(others, 'variant')} {'is' if len(others) == 1 else 'are'} shown "
        "to be non-inferior to the baseline in pass@1 (margin: "
        f"{format_points(others[0]['pass_at_1_margin'])})."
    )
    if not near:
        return Claim(f"{counted} {baseline_part}.", 0.0, None, "")
    best = near[0]
    name = variant_text(best, labels)
    lowest = name if len(near) == 1 else f"Lowest energy estimate among these: {name}"
    sentences = " ".join(
        [
            counted,
            f"{lowest}: {_energy_change(best)}.",
            _savings(near, labels),
            f"{name}: {_energy_and_accuracy(best, accuracy)}. {baseline_part}.",
        ]
    )
    lowest_change = min(0.0, _change(best))
    return Claim(
        sentences, lowest_change, best, _indistinguishable(best, near[1:], labels, sessions)
    )


def paired_difference_sentence(row: Row, labels: Labels, accuracy: str) -> str:
    """Difference of a variant's pass@1 from the baseline's, with tasks lost and gained."""
    tests = accuracy.rpartition("_")[2]
    lost, gained = row[f"tasks_lost_{tests}"], row[f"tasks_gained_{tests}"]
    difference = paired_difference_text(row, accuracy)
    if difference is None:
        return ""
    start = f"Paired difference of pass@1, {variant_text(row, labels)} - baseline: {difference}"
    if lost is None:
        return f"{start}."
    if lost == gained == 0:
        return f"{start}; both solve the same tasks."
    return (
        f"{start}; tasks lost: {lost}, tasks gained: {gained} (exact McNemar test, "
        f"{_holm_text(row[f'mcnemar_p_holm_{tests}'], row[f'{accuracy}_comparisons'])})."
    )


def cheaper_without_noninferiority(
    claim: Claim, others: Sequence[Row], labels: Labels, accuracy: str
) -> str:
    """Variants with a lower energy estimate than the claim's that are not shown non-inferior."""
    tests = accuracy.rpartition("_")[2]
    found = sorted(
        (
            row
            for row in others
            if not row[f"noninferior_{tests}"] and _change(row) < claim.lowest_change
        ),
        key=_change,
    )
    if not found:
        return ""
    named = [_energy_and_loss(row, labels, accuracy) for row in found[:_MOST_LISTED]]
    rest = len(found) - len(named)
    more = f"; and {rest} more" if rest else ""
    return (
        "Lower energy estimate, but not shown to be non-inferior in pass@1: "
        f"{'; '.join(named)}{more}."
    )


def too_few_tasks_sentence(base: Row, others: Sequence[Row], accuracy: str) -> str:
    """A warning that the benchmark is too small for the margin; empty if it is large enough."""
    if not others or base["tasks_judged"] is None:
        return ""
    comparisons = others[0][f"{accuracy}_comparisons"] or 1
    margin = others[0]["pass_at_1_margin"]
    needed = fewest_tasks(margin, 1 - LEVEL / comparisons)
    if base["tasks_judged"] >= needed:
        return ""
    return (
        f"{base['tasks_judged']} tasks are too few to show non-inferiority with a margin of "
        f"{format_points(margin)}, even for a variant that solves the same tasks as the baseline: "
        f"{needed} tasks are needed for {comparisons} "
        f"comparison{'' if comparisons == 1 else 's'}."
    )


def energy_text(row: Row) -> str:
    """A cell's energy per run with its interval, and whether it is modelled."""
    interval = energy_interval(row)
    ends = f" [{format_joules(interval[0])}, {format_joules(interval[1])}]" if interval else ""
    mark = " (modelled)" if row["energy_status"] == "modelled" else ""
    return f"{format_joules(row['energy_j_geomean'])}{ends} per run{mark}"


def accuracy_text(row: Row, accuracy: str) -> str:
    """A cell's pass@1 with its Wilson interval."""
    low, high = accuracy_interval(row, accuracy)
    return f"pass@1 {row[accuracy]:.3f} [{low:.3f}, {high:.3f}]"


def _energy_and_accuracy(row: Row, accuracy: str) -> str:
    return f"{energy_text(row)}, {accuracy_text(row, accuracy)}"


def _change(row: Row) -> float:
    """The change of energy against the baseline, in which what sessions share cancels."""
    return float(row["energy_j_change"])


def _count(rows: Sequence[Row], noun: str) -> str:
    return f"{len(rows)} {noun}{'' if len(rows) == 1 else 's'}"


def _significant(row: Row) -> bool:
    p = row["energy_j_change_p_holm"]
    return p is not None and p < LEVEL


def _saves_energy(row: Row) -> bool:
    """Whether a saving of energy against the baseline is shown."""
    return bool(row["energy_j_change"] < 0 and _significant(row))


def _savings(near: Sequence[Row], labels: Labels) -> str:
    """For which non-inferior variants a saving is shown; `near` is sorted by energy."""
    shown = [row for row in near if _saves_energy(row)]
    if not shown:
        which = "this variant" if len(near) == 1 else "any of these variants"
        return f"An energy saving is not shown for {which}."
    if shown[0] is near[0]:
        return "This energy saving is statistically significant."
    named = [f"{variant_text(row, labels)} ({_energy_change(row)})" for row in shown]
    return f"This energy saving is not shown; one is shown for: {'; '.join(named)}."


def _holm_text(p: float, comparisons: int) -> str:
    over = f", {comparisons} comparisons" if comparisons > 1 else ""
    return f"Holm-adjusted {format_p(p)}{over}"


def _energy_change(row: Row) -> str:
    """The change of energy against the baseline, its simultaneous interval and adjusted p."""
    change = f"{format_percent(row['energy_j_change'])} against the baseline"
    interval = format_percent_interval(
        row["energy_j_change_simultaneous95_low"], row["energy_j_change_simultaneous95_high"]
    )
    p = row["energy_j_change_p_holm"]
    if interval is None or p is None:
        return f"{change} (no confidence interval: fewer than two repeats or sessions)"
    return (
        f"{change} (simultaneous 95 % confidence interval {interval}; "
        f"{_holm_text(p, row['energy_j_comparisons'])}{_allowance(row)})"
    )


def _allowance(row: Row) -> str:
    """That interval and p allow for a difference between GPUs; empty on the same devices."""
    if row["same_host_and_gpus"]:
        return ""
    spread = f"{100 * row['board_spread']:.3g} %"
    return f"; not known to be the baseline's host and GPUs, so {spread} difference is allowed for"


def _indistinguishable(
    best: Row, others: Sequence[Row], labels: Labels, sessions: SessionEnergies
) -> str:
    """The other non-inferior variants whose energy is not shown to be higher than the best's."""
    tested = [(row, _log_energy_difference(best, row, sessions)) for row in others]
    known = [(row, apart.p) for row, apart in tested if apart is not None]
    adjusted = holm([p for _, p in known])
    level = [row for (row, _), p in zip(known, adjusted, strict=True) if p >= LEVEL]
    level += [row for row, apart in tested if apart is None]
    if not level:
        return ""
    names = "; ".join(variant_text(row, labels) for row in level)
    return (
        f"The energy of {variant_text(best, labels)} is not shown to be lower than that of: "
        f"{names}."
    )


def _log_energy_difference(first: Row, second: Row, sessions: SessionEnergies) -> Difference | None:
    """The difference of ln energy of two cells; None without two sessions or two repeats.

    With several sessions it is estimated within sessions (`session_effects`), otherwise from the
    moments of the repeats.
    """
    ours, theirs = (sessions.get(row["cell_id"], {}) for row in (first, second))
    common = ours.keys() & theirs.keys()
    same = bool(common) and all(ours[s][1] and theirs[s][1] for s in common)
    spread = max(first["board_spread"], second["board_spread"])
    allowance = 0.0 if same else math.log1p(spread)
    if len(ours) > 1 or len(theirs) > 1:
        logs = [{s: [energy] for s, (energy, _) in side.items()} for side in (ours, theirs)]
        found = compare_sessions(logs[0], logs[1], allowance)
        return None if found is None else found.difference
    moments = []
    for row in (first, second):
        high, count = row["energy_j_sd_band_high"], row["energy_j_n"]
        if high is None:
            return None
        centre = math.log(row["energy_j_geomean"])
        moments.append((centre, (math.log(high) - centre) / SD_BAND, count))
    return welch_from_moments(moments[0], moments[1], allowance)


def _energy_and_loss(row: Row, labels: Labels, accuracy: str) -> str:
    """A cheaper variant that is not shown non-inferior: its energy, and what its loss shows."""
    margin = format_points(row["pass_at_1_margin"])
    high = row[f"{accuracy}_difference_ci95_high"]
    if high < -row["pass_at_1_margin"]:
        shown = f"a loss of more than {margin} is shown"
    elif high < 0:
        shown = f"a loss is shown, a loss of more than {margin} is neither shown nor excluded"
    else:
        shown = f"a loss of more than {margin} is neither shown nor excluded"
    saving = "" if _significant(row) else ", saving not shown"
    return (
        f"{variant_text(row, labels)} (energy {format_percent(row['energy_j_change'])}{saving}; "
        f"paired difference of pass@1 {paired_difference_text(row, accuracy)}: {shown})"
    )
