"""Sentences that a table of cells supports: what costs least for which accuracy, how surely.

Each sentence says no more than its cells do: means with their intervals, whether intervals
overlap, which tasks were lost and gained, and what was modelled. Overlapping intervals do not
show that two variants are equal.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.analysis.frontier import (
    SETTING,
    accuracy_column,
    energy_basis,
    frontier_cells,
    inside,
)
from codewatt.analysis.labels import COMPONENT_NAMES, Labels, label
from codewatt.analysis.stats import overlap, relative_change
from codewatt.analysis.tables import Row
from codewatt.analysis.words import (
    accuracy_interval,
    difference_words,
    energy_interval,
    joules,
    percent,
    setting_words,
    variant_words,
)
from codewatt.energy.sources import COMPONENTS

#: Below this p the loss or gain of tasks is called beyond chance.
_LEVEL = 0.05


@dataclass(frozen=True)
class Headline:
    """What is said of one model in one setting. main: one sentence; more: further ones."""

    model: str
    main: str
    more: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """One setting: its words and a headline for each model."""

    setting: str
    headlines: tuple[Headline, ...]


def sections(rows: Sequence[Row], labels: Labels) -> list[Section]:
    """A section for each setting, in the order of the table.

    Args:
        rows: rows of the cell table (codewatt.analysis.tables.to_rows).
        labels: kind → id → label.
    """
    settings: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        settings.setdefault(tuple(row[axis] for axis in SETTING), []).append(row)
    result = []
    for group in settings.values():
        accuracy = accuracy_column(group)
        members = frontier_cells(group, accuracy)
        models = dict.fromkeys(row["model"] for row in group)
        result.append(
            Section(
                setting_words(group[0], labels),
                tuple(
                    headline([r for r in group if r["model"] == m], labels, accuracy, members)
                    for m in models
                ),
            )
        )
    return result


def headline(rows: Sequence[Row], labels: Labels, accuracy: str, members: set[str]) -> Headline:
    """What the cells of one model in one setting show.

    Args:
        accuracy: the column of pass@1. members: ids of the cells on the efficient frontier.
    """
    model = label(labels, "model", rows[0]["model"])
    base = next((r for r in rows if r["cell_id"] == r["baseline_cell_id"]), None)
    usable = [r for r in rows if r["valid"] and r["energy_j_mean"] is not None]
    more = [_frontier(rows, labels, members), _set_aside(rows, labels)]
    if not usable:
        main = "no energy figure that can be used: nothing is said about what costs least."
    elif base is None or base not in usable:
        main = _without_baseline(base, usable, labels, accuracy)
    elif base[accuracy] is None:
        note = base["accuracy_note"] or "no pass@1"
        main = f"{_cheapest_words(usable, labels)} ({note})."
    else:
        near = _near(base, usable, accuracy)
        main = _against_baseline(base, near, labels, accuracy)
        more[:0] = [_task_by_task(near[0], accuracy), _level_with(near, labels)]
    return Headline(model, main, tuple(sentence for sentence in more if sentence))


def energy_notice(rows: Sequence[Row]) -> str | None:
    """A plain statement on where energy is modelled or missing; None when all is measured."""
    counts = {
        state: Counter(
            part for row in rows for part in inside(row) if row[f"{part}_energy_status"] == state
        )
        for state in ("measured", "modelled", "unavailable")
    }
    if not counts["measured"] and not counts["modelled"]:
        return "No energy was measured or modelled: the energy columns are empty."
    metered = sum(row["gpu_energy_status"] is not None for row in rows)
    said = []
    if counts["modelled"]:
        said.append(
            f"Energy of {_parts(counts['modelled'], metered)} is modelled, not measured: an "
            "estimate from load and time, whose intervals show how repeatable it is, not how right."
        )
    if counts["unavailable"]:
        said.append(
            f"Energy of {_parts(counts['unavailable'], metered)} is unavailable and not part of "
            "the figures."
        )
    return " ".join(said) or None


def _near(base: Row, usable: Sequence[Row], accuracy: str) -> list[Row]:
    """Variants whose pass@1 interval overlaps the baseline's, cheapest first."""
    reference = accuracy_interval(base, accuracy)
    near = [
        row
        for row in usable
        if row[accuracy] is not None
        and energy_basis(row) == energy_basis(base)
        and overlap(accuracy_interval(row, accuracy), reference)
    ]
    return sorted(near, key=lambda row: float(row["energy_j_mean"]))


def _against_baseline(base: Row, near: Sequence[Row], labels: Labels, accuracy: str) -> str:
    """The cheapest of the variants whose pass@1 interval overlaps the baseline's."""
    best, name = near[0], variant_words(base, labels)
    if best is base:
        which = (
            f"costs least of the {len(near)} variants whose pass@1 interval overlaps its own"
            if len(near) > 1
            else "is the only variant with a pass@1 like its own (no other interval overlaps it)"
        )
        return f"the baseline {name} {which}: {_energy(base)} per run, {_score(base, accuracy)}."
    change = relative_change(best["energy_j_mean"], base["energy_j_mean"]) or 0.0
    return (
        f"{variant_words(best, labels)} costs least of the variants whose pass@1 interval overlaps "
        f"that of the baseline {name}: {_energy(best)} per run against {_energy(base)} "
        f"({percent(change)}{_surely(best, base)}), "
        f"{_score(best, accuracy)} against {_score(base, accuracy)}."
    )


def _task_by_task(best: Row, accuracy: str) -> str:
    """Which of the same tasks the cheapest variant loses and gains against the baseline."""
    tests = accuracy.rpartition("_")[2]
    lost, gained = best[f"tasks_lost_{tests}"], best[f"tasks_gained_{tests}"]
    p = best[f"mcnemar_p_{tests}"]
    if p is None:
        return ""
    if lost == gained == 0:
        return "It solves the same tasks as the baseline."
    verdict = "beyond chance at the 5 % level" if p < _LEVEL else "within chance at the 5 % level"
    number = f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
    return (
        f"On the same tasks it loses {lost} and gains {gained} against the baseline: {verdict} "
        f"(exact McNemar test, {number}); in pass@1 {difference_words(best, accuracy)}."
    )


def _level_with(near: Sequence[Row], labels: Labels) -> str:
    """Which of these variants the energy does not tell from the cheapest."""
    best = near[0]
    level = [r for r in near[1:] if overlap(energy_interval(r), energy_interval(best))]
    if not level:
        return ""
    names = "; ".join(variant_words(row, labels) for row in level)
    return f"Its energy interval overlaps those of: {names}."


def _surely(best: Row, base: Row) -> str:
    """Whether the two energies' intervals overlap."""
    overlaps = overlap(energy_interval(best), energy_interval(base))
    if overlaps is None:
        return "; a single run each, so no interval"
    if overlaps:
        return "; the energy intervals overlap, so this is within the uncertainty"
    return "; the energy intervals do not overlap"


def _without_baseline(
    base: Row | None, usable: Sequence[Row], labels: Labels, accuracy: str
) -> str:
    if base is None:
        why = "the study has no baseline cell here"
    elif base["status"] != "ok":
        why = f"the baseline is {base['status']}"
    elif not base["valid"]:
        why = "the baseline failed an expectation"
    else:
        why = "the baseline has no energy figure"
    cheapest = min(usable, key=lambda row: float(row["energy_j_mean"]))
    score = f" at {_score(cheapest, accuracy)}" if cheapest[accuracy] is not None else ""
    return f"{_cheapest_words(usable, labels)}{score}; {why}, so nothing is compared with it."


def _cheapest_words(usable: Sequence[Row], labels: Labels) -> str:
    cheapest = min(usable, key=lambda row: float(row["energy_j_mean"]))
    return f"{variant_words(cheapest, labels)} costs least, {_energy(cheapest)} per run"


def _energy(row: Row) -> str:
    interval = energy_interval(row)
    mark = "modelled " if row["energy_status"] == "modelled" else ""
    ends = f" [{joules(interval[0])}, {joules(interval[1])}]" if interval else ""
    return f"{mark}{joules(row['energy_j_mean'])}{ends}"


def _score(row: Row, accuracy: str) -> str:
    low, high = accuracy_interval(row, accuracy)
    return f"pass@1 {row[accuracy]:.3f} [{low:.3f}, {high:.3f}]"


def _frontier(rows: Sequence[Row], labels: Labels, members: set[str]) -> str:
    """Which of a model's variants are on the frontier over all models of the setting."""
    if not members:
        return ""
    names = [variant_words(row, labels) for row in rows if row["cell_id"] in members]
    if not names:
        return "None of its variants is on the efficient frontier of all models."
    return f"On the efficient frontier of all models: {'; '.join(names)}."


def _set_aside(rows: Sequence[Row], labels: Labels) -> str:
    """The cells that the headline leaves out, and why."""
    said = []
    failed = [variant_words(row, labels) for row in rows if row["valid"] is False]
    infeasible = [variant_words(row, labels) for row in rows if row["status"] != "ok"]
    if failed:
        said.append(f"Left out, as a validity expectation failed: {'; '.join(failed)}.")
    if infeasible:
        said.append(f"Infeasible here: {'; '.join(infeasible)}.")
    return " ".join(said)


def _parts(counts: Mapping[str, int], cells: int) -> str:
    """Components in words, with a remark on those for which not all cells are meant."""
    names = [
        COMPONENT_NAMES[part] + ("" if counts[part] == cells else " (in some cells)")
        for part in COMPONENTS
        if counts.get(part)
    ]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
