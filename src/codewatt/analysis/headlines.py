"""Sentences that a table of cells supports: which variant costs least at the baseline's accuracy.

A saving is claimed only where the change of energy is significant after Holm's adjustment over the
study, and a variant counts as accurate enough only where the non-inferiority test shows it
(docs/statistics.md).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.analysis.claims import (
    against_baseline,
    cheaper_but_less_accurate,
    energy_words,
    score_words,
    tasks_lost_words,
    too_few_tasks,
)
from codewatt.analysis.descriptions import setting_words, variant_words
from codewatt.analysis.efficient_frontier import SETTING, accuracy_column, frontier_cells, inside
from codewatt.analysis.labels import COMPONENT_NAMES, Labels, label
from codewatt.analysis.tables import Row
from codewatt.energy.energy_sources import COMPONENTS


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
    usable = [r for r in rows if r["valid"] and r["energy_j_geomean"] is not None]
    more = [_frontier(rows, labels, members), _left_out(rows, labels)]
    if not usable:
        main = "no cell has a valid energy figure, so nothing is said about cost."
    elif base is None or base not in usable:
        main = _without_baseline(base, usable, labels, accuracy)
    elif base[accuracy] is None:
        note = base["accuracy_note"] or "no pass@1"
        main = f"{_cheapest_words(usable, labels)} ({note})."
    else:
        others = [
            row
            for row in usable
            if row is not base and row[accuracy] is not None and row["change_note"] is None
        ]
        claim = against_baseline(base, others, labels, accuracy)
        main = claim.sentence
        more[:0] = [
            tasks_lost_words(claim.named, accuracy) if claim.named is not None else "",
            claim.level_with,
            cheaper_but_less_accurate(claim, others, labels, accuracy),
            too_few_tasks(base, others, accuracy),
        ]
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


def _without_baseline(
    base: Row | None, usable: Sequence[Row], labels: Labels, accuracy: str
) -> str:
    if base is None:
        why = "the study has no baseline cell here"
    elif base["status"] != "ok":
        why = f"the baseline is {base['status']}"
    elif not base["valid"]:
        why = "the baseline failed a validity check"
    else:
        why = "the baseline has no energy figure"
    cheapest = min(usable, key=lambda row: float(row["energy_j_geomean"]))
    score = f" at {score_words(cheapest, accuracy)}" if cheapest[accuracy] is not None else ""
    return f"{_cheapest_words(usable, labels)}{score}; {why}, so nothing is compared with it."


def _cheapest_words(usable: Sequence[Row], labels: Labels) -> str:
    cheapest = min(usable, key=lambda row: float(row["energy_j_geomean"]))
    return (
        f"of {len(usable)} variants {variant_words(cheapest, labels)} has the lowest energy, "
        f"{energy_words(cheapest)} per run"
    )


def _frontier(rows: Sequence[Row], labels: Labels, members: set[str]) -> str:
    """Which of a model's variants are on the frontier over all models of the setting."""
    if not members:
        return ""
    names = [variant_words(row, labels) for row in rows if row["cell_id"] in members]
    if not names:
        return "None of its variants is on the efficient frontier of all models."
    return f"On the efficient frontier of all models: {'; '.join(names)}."


def _left_out(rows: Sequence[Row], labels: Labels) -> str:
    """The cells that the headline leaves out, and why."""
    said = []
    failed = [variant_words(row, labels) for row in rows if row["valid"] is False]
    infeasible = [variant_words(row, labels) for row in rows if row["status"] != "ok"]
    if failed:
        said.append(f"Left out because a validity check failed: {'; '.join(failed)}.")
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
