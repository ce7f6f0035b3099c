"""Layout of figures with a block of panels for each model and setting, a line for each variant."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import variant_text
from codewatt.analysis.labels import Labels, label
from codewatt.plots.figure_cells import Selection, ordered_ids

#: Characters of a line's label before it is wrapped.
_LABEL_CHARACTERS = 30
#: Inches: height of a line of a label (7 points), space around it, and of a block's title and axis.
_TEXT_INCHES, _LINE_GAP, _FRAME_INCHES = 0.12, 0.1, 0.62
#: Inches between two blocks.
_BETWEEN_INCHES = 0.1
#: Height (inches) of the panels of a page; notes and legend need at most another 1.5 inches.
_PAGE_INCHES = 8.0

#: Key of a line: id of the cell, and of the cell that it is compared with, if rows are comparisons.
LineKey: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True)
class Block:
    """The rows of one model in one setting.

    Attributes:
        title: label of the model, and the axes of the setting that differ between blocks.
        rows: rows of a table with the columns CELL_IDS.
        lines: key -> wrapped label, from top to bottom.
    """

    title: str
    rows: tuple[Row, ...]
    lines: dict[LineKey, str]

    @property
    def line_inches(self) -> float:
        """Height of a line."""
        texts = [text.count("\n") + 1 for text in self.lines.values()]
        return _TEXT_INCHES * max(texts, default=1) + _LINE_GAP

    @property
    def height(self) -> float:
        """Height of the block (inches)."""
        return _FRAME_INCHES + self.line_inches * max(len(self.lines), 1)


def split_blocks(
    shown: Selection, labels: Labels, endings: Mapping[LineKey, str] | None = None
) -> list[Block]:
    """The blocks of a selection, by setting and then by model.

    Args:
        shown: rows of any table with the columns CELL_IDS.
        labels: kind → id → label.
        endings: key of a line -> text that follows the variant's label.
    """
    blocks = []
    for facet in shown.facets:
        for model in ordered_ids(labels, "model", facet.rows):
            rows = tuple(row for row in facet.rows if row["model"] == model)
            title = ", ".join(t for t in (label(labels, "model", model), facet.title) if t)
            blocks.append(Block(title, rows, _lines(rows, labels, endings or {})))
    return blocks


def split_pages(blocks: Sequence[Block]) -> list[list[Block]]:
    """The blocks in groups that fit on a page; a block that is taller than a page is divided.

    Returns:
        At least one group unless there are no blocks, in the order of the blocks.
    """
    pages: list[list[Block]] = []
    left = 0.0
    for part in (part for block in blocks for part in _divided(block)):
        if part.height + _BETWEEN_INCHES > left:
            pages.append([])
            left = _PAGE_INCHES
        pages[-1].append(part)
        left -= part.height + _BETWEEN_INCHES
    return pages


def _divided(block: Block) -> list[Block]:
    """A block, or its parts with as many lines as fit on a page."""
    count = int((_PAGE_INCHES - _BETWEEN_INCHES - _FRAME_INCHES) / block.line_inches)
    keys = list(block.lines)
    if len(keys) <= count:
        return [block]
    parts = []
    for start in range(0, len(keys), count):
        lines = {key: block.lines[key] for key in keys[start : start + count]}
        rows = tuple(row for row in block.rows if line_key(row) in lines)
        parts.append(Block(f"{block.title} (continued)" if start else block.title, rows, lines))
    return parts


def line_key(row: Row) -> LineKey:
    """The key of a row's line."""
    return row["cell_id"], row.get("reference_cell_id")


def set_lines(axes: Any, block: Block, *, labelled: bool) -> None:
    """Set the vertical axis of a panel to a block's lines; labels only where `labelled`."""
    count = len(block.lines)
    axes.set_yticks(range(count), list(block.lines.values()))
    axes.set_ylim(count - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelleft=labelled)
    axes.grid(axis="x")


def wrap_label(text: str, characters: int = _LABEL_CHARACTERS) -> str:
    """A label in lines of at most `characters`; words that are longer are broken."""
    return "\n".join(textwrap.wrap(text, characters)) or text


def _lines(
    rows: Sequence[Row], labels: Labels, endings: Mapping[LineKey, str]
) -> dict[LineKey, str]:
    names = {line_key(row): variant_text(row, labels) for row in rows}
    return {key: wrap_label(name + endings.get(key, "")) for key, name in names.items()}
