"""The statements of the summary page, one for each model in each setting.

An energy saving is claimed only where the change is significant after Holm's adjustment over the
study. A variant counts as accurate only where the non-inferiority test shows it. The sentences on
variants and their baseline are in `claims`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.analysis.claims import (
    SessionEnergies,
    accuracy_text,
    cheaper_without_noninferiority,
    claim_cheapest,
    energy_text,
    paired_difference_sentence,
    session_energies,
    too_few_tasks_sentence,
)
from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import setting_text, variant_text
from codewatt.analysis.efficient_frontier import (
    SETTING,
    accuracy_column,
    boundary_components,
    frontier_cells,
)
from codewatt.analysis.labels import COMPONENT_NAMES, Labels, label
from codewatt.energy.energy_sources import COMPONENTS

#: A variant that is not on the estimates' frontier is named from this probability.
POSSIBLE = 0.1


@dataclass(frozen=True)
class Headline:
    """The statements on one model in one setting.

    Attributes:
        model: the model's label.
        main: the main statement.
        more: further sentences.
    """

    model: str
    main: str
    more: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """One setting, described in words, and a headline for each model."""

    setting: str
    headlines: tuple[Headline, ...]


def setting_sections(
    rows: Sequence[Row], labels: Labels, sessions: Sequence[Row] = ()
) -> list[Section]:
    """A section for each setting, in the order of the table.

    Args:
        rows: rows of the cell table (codewatt.analysis.tables.to_rows).
        labels: kind → id → label.
        sessions: rows of the session table.
    """
    energies = session_energies(sessions)
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
                setting_text(group[0], labels),
                tuple(
                    headline(
                        [r for r in group if r["model"] == m], labels, accuracy, members, energies
                    )
                    for m in models
                ),
            )
        )
    return result


def headline(
    rows: Sequence[Row],
    labels: Labels,
    accuracy: str,
    members: set[str],
    sessions: SessionEnergies,
) -> Headline:
    """The statements on the cells of one model in one setting.

    Args:
        rows: rows of the cell table.
        labels: kind → id → label.
        accuracy: the column of pass@1.
        members: ids of the cells on the efficient frontier.
        sessions: what each session of each cell took.
    """
    model = label(labels, "model", rows[0]["model"])
    base = next((r for r in rows if r["cell_id"] == r["baseline_cell_id"]), None)
    usable = [r for r in rows if r["valid"] and r["energy_j_geomean"] is not None]
    more = [_frontier_sentence(rows, labels, accuracy, members), _excluded_sentence(rows, labels)]
    if not usable:
        main = "No cell has a valid energy value, so energies are not compared."
    elif base is None or base not in usable:
        main = _without_baseline(base, usable, labels, accuracy)
    elif base[accuracy] is None:
        main = f"{_lowest_estimate(usable, labels)}. {_capitalised(base['accuracy_note'])}."
    else:
        others = [
            row
            for row in usable
            if row is not base
            and row[accuracy] is not None
            and row["change_note"] is None
            and row["energy_j_change"] is not None
        ]
        claim = claim_cheapest(base, others, labels, accuracy, sessions)
        main = claim.sentences
        more[:0] = [
            ""
            if claim.variant is None
            else paired_difference_sentence(claim.variant, labels, accuracy),
            claim.indistinguishable,
            cheaper_without_noninferiority(claim, others, labels, accuracy),
            too_few_tasks_sentence(base, others, accuracy),
        ]
    return Headline(model, main, tuple(sentence for sentence in more if sentence))


def energy_notice(rows: Sequence[Row]) -> str | None:
    """A statement on modelled and unavailable energy; None when all energy is measured."""
    counts = {
        state: Counter(
            part
            for row in rows
            for part in boundary_components(row)
            if row[f"{part}_energy_status"] == state
        )
        for state in ("measured", "modelled", "unavailable")
    }
    if not counts["measured"] and not counts["modelled"]:
        return "No energy was measured or modelled: the energy columns are empty."
    metered = sum(row["gpu_energy_status"] is not None for row in rows)
    sentences = []
    if counts["modelled"]:
        sentences.append(
            f"Energy of {_component_list(counts['modelled'], metered)} is modelled, not measured: "
            "it is estimated from load and time. Its confidence intervals describe repeatability, "
            "not accuracy."
        )
    if counts["unavailable"]:
        sentences.append(
            f"Energy of {_component_list(counts['unavailable'], metered)} is unavailable and not "
            "included."
        )
    return " ".join(sentences) or None


def _without_baseline(
    base: Row | None, usable: Sequence[Row], labels: Labels, accuracy: str
) -> str:
    if base is None:
        why = "the study has no baseline cell in this setting"
    elif base["status"] != "ok":
        why = f"the baseline is {base['status']}"
    elif not base["valid"]:
        why = "the baseline failed a validity check"
    else:
        why = "the baseline has no energy value"
    cheapest = _cheapest(usable)
    known = cheapest[accuracy] is not None
    score = f", {accuracy_text(cheapest, accuracy)}" if known else ""
    return (
        f"{_lowest_estimate(usable, labels)}{score}. No variant is compared with the baseline: "
        f"{why}."
    )


def _cheapest(usable: Sequence[Row]) -> Row:
    return min(usable, key=lambda row: float(row["energy_j_geomean"]))


def _lowest_estimate(usable: Sequence[Row], labels: Labels) -> str:
    """The variant with the lowest energy estimate, which is not shown to be the lowest energy."""
    cheapest = _cheapest(usable)
    return (
        f"Lowest energy estimate of {len(usable)} variant{'' if len(usable) == 1 else 's'}: "
        f"{variant_text(cheapest, labels)}, {energy_text(cheapest)}"
    )


def _capitalised(note: str | None) -> str:
    text = note or "pass@1 is not available"
    return text[:1].upper() + text[1:]


def _frontier_sentence(
    rows: Sequence[Row], labels: Labels, accuracy: str, members: set[str]
) -> str:
    """A model's variants on the efficient frontier over all models, with their probabilities.

    Named are the variants on the frontier of the estimates, and the others whose probability to
    be on it is at least POSSIBLE.
    """
    if not members:
        return ""
    column = f"frontier_probability_{accuracy.rpartition('_')[2]}"
    on = [_with_probability(row, labels, column) for row in rows if row["cell_id"] in members]
    others = [
        _with_probability(row, labels, column)
        for row in rows
        if row["cell_id"] not in members and (row[column] or 0.0) >= POSSIBLE
    ]
    if on:
        sentence = f"On the efficient frontier over all models: {'; '.join(on)}."
    else:
        sentence = "No variant of this model is on the efficient frontier over all models."
    return f"{sentence} Possibly on it: {'; '.join(others)}." if others else sentence


def _with_probability(row: Row, labels: Labels, column: str) -> str:
    """A variant and its probability to be on the frontier."""
    name = variant_text(row, labels)
    probability = row[column]
    return name if probability is None else f"{name} (probability {probability:.2f})"


def _excluded_sentence(rows: Sequence[Row], labels: Labels) -> str:
    """The cells that the comparison excludes, and why."""
    sentences = []
    failed = [variant_text(row, labels) for row in rows if row["valid"] is False]
    infeasible = [variant_text(row, labels) for row in rows if row["status"] != "ok"]
    if failed:
        sentences.append(f"Excluded because a validity check failed: {'; '.join(failed)}.")
    if infeasible:
        sentences.append(f"Infeasible on this machine: {'; '.join(infeasible)}.")
    return " ".join(sentences)


def _component_list(counts: Mapping[str, int], cells: int) -> str:
    """Names of components; "(in some cells)" marks those that not all cells are counted for."""
    names = [
        COMPONENT_NAMES[part] + ("" if counts[part] == cells else " (in some cells)")
        for part in COMPONENTS
        if counts.get(part)
    ]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
