"""Draws all changes of energy by quantisation, published and own, in one figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.plots import figure_style
from codewatt.published.page.energy_changes import BFLOAT16, FLOAT32, NODE, OWN, EnergyChange
from codewatt.published.study_files import BUIS, DE_REUS

NAME = "energy_changes"
_SECTIONS = {
    (DE_REUS, FLOAT32): "de Reus et al. 2024, against float32",
    (BUIS, "16 bits"): "Buis 2024, against 16 bits",
    (OWN, FLOAT32): "codewatt's measurements, against float32",
    (OWN, BFLOAT16): "codewatt's measurements, against bfloat16",
}
_EIGHT, _FOUR = figure_style.COLOURS[1], figure_style.COLOURS[0]
#: Method -> (label, colour by bits, marker by library).
_METHODS = {
    "LLM.int8()": ("8 bits: LLM.int8()", _EIGHT, "o"),
    "int8 weights": ("8 bits: torchao int8", _EIGHT, "s"),
    "fp8 weights": ("8 bits: torchao fp8", _EIGHT, "v"),
    "GPTQ int8": ("8 bits: GPTQ", _EIGHT, "^"),
    "nf4": ("4 bits: bitsandbytes", _FOUR, "o"),
    "int4 weights": ("4 bits: torchao int4", _FOUR, "s"),
    "GPTQ int4": ("4 bits: GPTQ", _FOUR, "^"),
    "AWQ int4": ("4 bits: AWQ", _FOUR, "D"),
}
_SAME = {"bitsandbytes 4-bit": "nf4"}
_ROW = 0.24
_RANGE = (0.3, 7.0)


@dataclass(frozen=True)
class _Row:
    section: str
    label: str
    changes: list[EnergyChange]


def draw_changes(changes: Sequence[EnergyChange], folder: Path) -> list[Path]:
    """Energy of the quantised model / energy of the reference; one line for each setting.

    Own measurements against float32 are drawn for batch size 1, the one of de Reus et al.
    """
    rows = _rows(changes)
    handles = [
        figure_style.marker_handle(label, color=colour, marker=marker)
        for label, colour, marker in _METHODS.values()
    ]
    notes = [
        "Energy of the quantised model / energy of the same model in floating point: below 1 "
        "quantisation saves energy, above 1 it costs energy. Energy of the GPU per new "
        "token; node: with both CPU packages and DRAM. transformers: its generate(); graph: "
        "codewatt's engine, a CUDA graph of each decode step. Open marker: the limits of the "
        "change include zero, so the sign is not shown"
    ]
    with figure_style.style():
        height = _ROW * (len(rows) + len(_SECTIONS))
        figure = figure_style.new_figure(figure_style.TWO_COLUMNS, height, notes, handles)
        axes = figure.subplots()
        ticks, labels = [], []
        position, section = 0.0, ""
        for row in rows:
            if row.section != section:
                section = row.section
                axes.text(
                    *(_RANGE[0] * 0.9, position),
                    section,
                    fontweight="bold",
                    va="center",
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
                    zorder=3,
                )
                axes.axhline(position - 0.5, color=figure_style.PALE, linewidth=0.5)
                position += 1
            _draw_row(axes, row, position)
            ticks.append(position)
            labels.append(row.label)
            position += 1
        figure_style.set_log_axis(axes.xaxis, *_RANGE)
        axes.axvline(1, color=figure_style.INK, linewidth=0.9)
        axes.set_yticks(ticks, labels)
        axes.set_ylim(position - 0.4, -0.6)
        axes.grid(visible=True, axis="both")
        axes.set_xlabel(
            "saves energy  \N{LEFTWARDS ARROW}  energy / energy of the reference  "
            "\N{RIGHTWARDS ARROW}  costs energy"
        )
        return figure_style.save(figure, folder / NAME)


def _rows(changes: Sequence[EnergyChange]) -> list[_Row]:
    drawn: dict[tuple[str, str], dict[str, list[EnergyChange]]] = {key: {} for key in _SECTIONS}
    for change in changes:
        key = (change.study, change.reference)
        if key != (OWN, FLOAT32) or change.batch_size == 1:
            drawn[key].setdefault(_label(change), []).append(change)
    return [
        _Row(_SECTIONS[key], label, found)
        for key, lines in drawn.items()
        for label, found in sorted(lines.items(), key=lambda line: _order(line[1][0]))
    ]


def _order(change: EnergyChange) -> tuple[Any, ...]:
    """Lines of one study are sorted by engine, GPU, model and batch size."""
    if change.study == BUIS:
        return (float(change.model.removeprefix("Qwen2.5-").removesuffix("B")),)
    if change.study == DE_REUS:
        return change.model, change.boundary != NODE
    return change.engine != "transformers", "SmolLM2" in change.model, change.gpu, change.batch_size


def _label(change: EnergyChange) -> str:
    if change.study == BUIS:
        return f"L40S, engine not stated: {change.model}-Instruct"
    where = f"{change.gpu}, {change.engine}, batch {change.batch_size}"
    model = change.model.removesuffix(" architecture").removesuffix("-Instruct")
    part = ", node" if change.boundary == NODE else ""
    return f"{where}: {model}{part}"


def _draw_row(axes: Any, row: _Row, position: float) -> None:
    for change in row.changes:
        method = _SAME.get(change.method, change.method)
        _, colour, marker = _METHODS[method]
        offset = 0.055 * (list(_METHODS).index(method) - 3.5)
        axes.plot(
            1 + change.change_percent / 100,
            position + offset,
            linestyle="none",
            marker=marker,
            color=colour,
            markerfacecolor=colour if change.sign_shown else "white",
        )
