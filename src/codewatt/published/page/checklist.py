"""The checklist: every table, figure and numbered formula of both texts, and where it is made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codewatt.published.buis_2024.model.formula_row import FormulaRow
from codewatt.published.page.redrawn_tables import PrintedValue, shown_correction
from codewatt.published.printed_figures import read_rows
from codewatt.published.study_files import BUIS, DE_REUS

ITEMS = Path(__file__).with_name("items.csv")
TABLE, FIGURE, FORMULA, OTHER = "table", "figure", "formula", "other"
_COMMANDS = {
    DE_REUS: "codewatt published check de_reus_2024",
    BUIS: "codewatt published check buis_2024",
}
_MODEL_COMMAND = "codewatt published model buis_2024"
_REMARKS = {(BUIS, "5.12"): "the text that was read lacks the last rows"}


@dataclass(frozen=True)
class ChecklistItem:
    """One table, figure or formula.

    Attributes:
        study: `DE_REUS` or `BUIS`.
        kind: `TABLE`, `FIGURE`, `FORMULA` or `OTHER` (README, listings).
        number: as in the text.
        what: its subject.
        made: where this page shows it; "" if it does not.
        command: prints the check; all is made by `codewatt published page`.
        printed, computed, differing, corrected: numbers of printed values, of those computed
            again, of those that differ beyond rounding, and of those with a corrected value.
        difference: largest relative difference of a printed value from the computed one, of those
            that differ; None if none differs.
        note: why it is not shown, or what is wrong with a formula.
    """

    study: str
    kind: str
    number: str
    what: str
    made: str
    command: str
    printed: int
    computed: int
    differing: int
    corrected: int
    difference: float | None
    note: str


def checklist(
    values: Sequence[PrintedValue],
    formulas: Sequence[FormulaRow],
    captions: Mapping[tuple[str, str], str],
) -> list[ChecklistItem]:
    """All items, by study, kind and number.

    Args:
        values: printed numbers of both texts.
        formulas: the formulas of Buis 2024; de Reus et al. number none.
        captions: (study, table) -> caption.
    """
    items = [*_listed(values), *_tables(values, captions), *_formulas(formulas)]
    kinds = (TABLE, FIGURE, FORMULA, OTHER)
    items.sort(
        key=lambda item: (item.study != DE_REUS, kinds.index(item.kind), item_order(item.number))
    )
    return items


def table_anchor(study: str, table: str) -> str:
    """The id of a table on the page."""
    return f"{'paper' if study == DE_REUS else 'thesis'}-{table.replace(' ', '-')}"


def _listed(values: Sequence[PrintedValue]) -> Iterator[ChecklistItem]:
    """Figures, and tables without numbers."""
    for _, row in read_rows(ITEMS, ("study", "kind", "number", "what", "shown", "note")):
        own = [one for one in values if (one.study, one.table) == _table_of(row)]
        command = _COMMANDS[row["study"]]
        if row["shown"].startswith("figures_4_1"):
            command = _MODEL_COMMAND
        yield _item(
            *(row["study"], row["kind"], row["number"], row["what"]),
            row["shown"],
            command if row["shown"] else "",
            own,
            row["note"],
        )


def _table_of(row: dict[str, str]) -> tuple[str, str]:
    return row["study"], f"figure {row['number']}"


def _tables(
    values: Sequence[PrintedValue], captions: Mapping[tuple[str, str], str]
) -> Iterator[ChecklistItem]:
    by_table: dict[tuple[str, str], list[PrintedValue]] = {}
    for one in values:
        by_table.setdefault((one.study, one.table), []).append(one)
    for (study, table), own in by_table.items():
        if table.startswith("figure"):
            continue  # listed among the figures
        plain = table.replace(".", "").isdecimal() or table in ("II", "III", "IV")
        kind = TABLE if plain else OTHER
        yield _item(
            *(study, kind, table, captions[study, table]),
            f"#{table_anchor(study, table)}",
            _COMMANDS[study],
            own,
            _table_note(study, table, own),
        )


def _table_note(study: str, table: str, own: Sequence[PrintedValue]) -> str:
    notes = [_REMARKS[study, table]] if (study, table) in _REMARKS else []
    if all(one.computed is None and one.corrected is None for one in own):
        notes.append("nothing published determines these numbers")
    return "; ".join(notes)


def _item(
    study: str,
    kind: str,
    number: str,
    what: str,
    made: str,
    command: str,
    own: Sequence[PrintedValue],
    note: str,
) -> ChecklistItem:
    differing = [one for one in own if one.follows is False]
    largest = max(differing, key=lambda one: one.difference or 0, default=None)
    if largest is not None:
        where = (largest.section, largest.row, largest.column)
        place = f"largest difference: {', '.join(part for part in where if part)}"
        note = f"{note}; {place}" if note else place
    return ChecklistItem(
        *(study, kind, number, what, made, command),
        len(own),
        sum(one.computed is not None for one in own),
        len(differing),
        sum(bool(shown_correction(one)) for one in own),
        largest.difference if largest else None,
        note,
    )


def _formulas(formulas: Sequence[FormulaRow]) -> Iterator[ChecklistItem]:
    for row in formulas:
        yield ChecklistItem(
            *(BUIS, FORMULA, row.number, row.what, "#formulas", _MODEL_COMMAND),
            *(0, 0, 0, 0, None),
            f"printed formula: {row.verdict}",
        )


def item_order(number: str) -> tuple[int, tuple[int, ...], str]:
    """The order of numbers such as "II", "3.10" and "figure 7"."""
    parts = number.split(".")
    if all(part.isdecimal() for part in parts):
        return 0, tuple(int(part) for part in parts), ""
    return 1, (), number
