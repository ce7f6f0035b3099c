"""Figure: power of GPU and CPU during the jobs of cells, with the phases of each job shaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from codewatt.analysis.columns import Row
from codewatt.analysis.descriptions import variant_text
from codewatt.analysis.labels import COMPONENT_NAMES, Labels, label
from codewatt.analysis.tables import to_rows
from codewatt.energy.energy_sources import Sources, choose_sources
from codewatt.energy.integration import Floats
from codewatt.energy.job_energy_record import PhaseWindow
from codewatt.energy.power_profile import PowerProfile, power_profile
from codewatt.energy.timeline_reader import Timeline
from codewatt.generate.generate_record import GenerateRecord
from codewatt.plots import figure_style
from codewatt.plots.figure_cells import Facet, select_cells
from codewatt.plots.variant_blocks import wrap_label

_ACROSS = 3
_PANEL_INCHES = 1.55
_TITLE_CHARACTERS = 36
#: Number of bins of a panel: about three for each millimetre of its printed width.
BINS = 150
#: Panels share their time axis unless the longest job lasts this many times the shortest.
_LONGEST_RATIO = 4.0
_LINES: dict[str, Any] = {"gpu": "-", "cpu": (0, (3, 1))}
#: Height of the strip of prefill and decode below 0 W, as a share of the highest power.
_STRIP = (0.05, 0.17)


@dataclass(frozen=True)
class Shade:
    """How a phase is shaded: legend, colour, hatch."""

    name: str
    colour: str
    hatch: str | None = None


#: Phase -> shade; a window of another phase is not shaded. Later entries are drawn above.
SHADES = {
    "rest": Shade("rest", "#FFFFFF", "....."),
    "idle_unloaded": Shade("idle", "#E9E9E9"),
    "idle_loaded": Shade("idle", "#E9E9E9"),
    "idle_after": Shade("idle", "#E9E9E9"),
    "load": Shade("loading", "#CFE3F2", "/////"),
    "probe": Shade("roofline probe", "#F3DCEA", "|||||"),
    "warmup": Shade("warm-up", "#FBE3B3", "\\\\\\\\\\"),
    "repeat": Shade("repeat", "#DDEFE7"),
}
_STRIP_COLOURS = {"prefill": "#D55E00", "decode": "#56B4E9"}


@dataclass(frozen=True)
class MeteredCell:
    """A cell's generate.json and timeline."""

    generate: GenerateRecord
    timeline: Timeline


def plot(
    cells: Sequence[MeteredCell], cell_table: pd.DataFrame, labels: Labels, out_stem: Path
) -> list[Path]:
    """Draw the power of GPU and CPU over the time of each job.

    One panel for each cell, in the order of `cells`. Time 0 is the start of the first repeat. The
    line is the mean power in bins of equal width, from the readings that the cell's energy comes
    from; the band reaches from the lowest to the highest reading in each bin. Phases are shaded,
    and a strip below 0 W shows the shares of prefill and decode in each bin of a repeat.

    Args:
        cells: the cells that are drawn.
        cell_table: the cell table that `aggregate` made, with these and all other cells.
        labels: kind → id → label.
        out_stem: the figure's path without its suffix.

    Returns:
        The paths of the PNG and the PDF.
    """
    ids = [cell.generate["cell"]["design_id"] for cell in cells]
    rows = {row["cell_id"]: row for row in to_rows(cell_table)}
    titles = _titles(cell_table, labels)
    drawn = [
        _Job(titles[name], cell.generate["windows"], choose_sources(cell.timeline))
        for name, cell in zip(ids, cells, strict=True)
        if rows[name]["status"] == "ok"
    ]
    with figure_style.style():
        return figure_style.save(_draw(drawn, len(rows)), out_stem)


@dataclass(frozen=True)
class _Job:
    title: str
    windows: Sequence[PhaseWindow]
    sources: Sources

    @property
    def zero_s(self) -> float:
        """Start of the first repeat on the job's clock (s)."""
        starts = [w["start_s"] for w in self.windows if w["phase"] == "repeat"]
        return min(starts or [w["start_s"] for w in self.windows])

    @property
    def span_s(self) -> tuple[float, float]:
        """Start and end of the windows, on the job's clock (s)."""
        starts = min(w["start_s"] for w in self.windows)
        return starts, max(w["end_s"] for w in self.windows)

    def profiles(self) -> dict[str, PowerProfile]:
        """Component -> power over the job."""
        found = {
            part: power_profile(self.sources.figures[part], *self.span_s, BINS)
            for part in _LINES
            if part in self.sources.figures
        }
        return {part: profile for part, profile in found.items() if profile is not None}


def _titles(cell_table: pd.DataFrame, labels: Labels) -> dict[str, str]:
    """Cell id -> title of its panel."""
    shown = select_cells(cell_table, labels, {})
    models = {row["model"] for facet in shown.facets for row in facet.rows}
    return {
        row["cell_id"]: _title(row, facet, labels, several_models=len(models) > 1)
        for facet in shown.facets
        for row in facet.rows
    }


def _title(row: Row, facet: Facet, labels: Labels, *, several_models: bool) -> str:
    parts = [label(labels, "model", row["model"])] if several_models else []
    parts += [variant_text(row, labels), facet.title]
    baseline = " (baseline)" if row["cell_id"] == row["baseline_cell_id"] else ""
    return wrap_label(f"{', '.join(part for part in parts if part)}{baseline}", _TITLE_CHARACTERS)


def _draw(jobs: Sequence[_Job], count: int) -> Any:
    profiles = [job.profiles() for job in jobs]
    powered = [(job, found) for job, found in zip(jobs, profiles, strict=True) if found]
    lengths = [end - start for start, end in (job.span_s for job, _ in powered)]
    aligned = bool(lengths) and max(lengths) <= _LONGEST_RATIO * min(lengths)
    phases = {window["phase"] for job, _ in powered for window in job.windows}
    parts = [part for part in _LINES if any(part in found for _, found in powered)]
    sentences = [
        "Power during the job of each cell: mean of equal bins of time (line), lowest and highest "
        "reading of each bin (band); 0 s is the start of the first repeat",
        _origin_note([job for job, _ in powered], parts),
        "The strip below 0 W shows the shares of prefill and decode in the time of each bin"
        if phases & set(_STRIP_COLOURS)
        else None,
        None if aligned or not powered else "The panels have different time axes",
        f"The first {len(powered)} of {count} cells, baselines first"
        if len(powered) < count
        else None,
    ]
    lines = -(-len(powered) // _ACROSS)
    titles = max((job.title.count("\n") for job, _ in powered), default=0)
    height = (_PANEL_INCHES + 0.12 * titles) * lines
    figure = figure_style.new_figure(
        figure_style.TWO_COLUMNS,
        height or figure_style.EMPTY_PANEL,
        sentences,
        _legend(phases, parts) if powered else [],
    )
    if not powered:
        figure_style.write_message(figure.subplots(), "no power data")
        return figure
    across = min(_ACROSS, len(powered))
    grid = figure.subplots(lines, across, squeeze=False, sharey=True, sharex=aligned)
    top = max(np.nanmax(one.highest_w) for _, found in powered for one in found.values())
    for number, axes in enumerate(grid.flat):
        if number >= len(powered):
            axes.set_axis_off()
            continue
        job, found = powered[number]
        _panel(axes, job, found, float(top))
        axes.set_title(job.title, fontsize=7)
        axes.tick_params(labelbottom=True)
        if number % across == 0:
            axes.set_ylabel("Power (W)")
        if number + across >= len(powered):
            axes.set_xlabel("Time (s)")
    return figure


def _panel(axes: Any, job: _Job, profiles: dict[str, PowerProfile], top_w: float) -> None:
    for phase, shade in SHADES.items():
        for window in job.windows:
            if window["phase"] == phase:
                axes.axvspan(
                    window["start_s"] - job.zero_s,
                    window["end_s"] - job.zero_s,
                    ymin=0,
                    facecolor=shade.colour,
                    edgecolor=figure_style.PALE,
                    hatch=shade.hatch,
                    linewidth=0,
                    zorder=0,
                )
    for window in job.windows:
        if window["phase"] == "repeat":
            axes.axvline(window["start_s"] - job.zero_s, color="white", linewidth=0.8, zorder=1)
    for part, profile in profiles.items():
        colour = figure_style.COMPONENT_COLOURS[part]
        edges = profile.edges_s - job.zero_s
        axes.fill_between(
            edges,
            _stepped(profile.least_w),
            _stepped(profile.highest_w),
            step="post",
            color=figure_style.lighten(colour),
            linewidth=0,
            zorder=2,
        )
        axes.stairs(
            profile.mean_w, edges, baseline=None, color=colour, linestyle=_LINES[part], zorder=3
        )
    _strip(axes, job, top_w)
    axes.set_ylim(-(_STRIP[1] + 0.02) * top_w, 1.05 * top_w)
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= 1.05 * top_w])
    start_s, end_s = job.span_s
    axes.set_xlim(
        *_union(axes, start_s - job.zero_s, end_s - job.zero_s),
    )
    axes.margins(x=0)


def _union(axes: Any, start_s: float, end_s: float) -> tuple[float, float]:
    """The limits of a time axis that other panels may have set."""
    low, high = axes.get_xlim() if axes.get_shared_x_axes().get_siblings(axes)[1:] else (0, 0)
    return min(low, start_s), max(high, end_s)


def _stepped(values: Floats) -> Floats:
    """Values of bins as fill_between with step="post" takes them: the last one twice."""
    return np.append(values, values[-1])


def _strip(axes: Any, job: _Job, top_w: float) -> None:
    """Draw the shares of prefill and decode in the time of each bin, stacked."""
    edges = np.linspace(*job.span_s, BINS + 1)
    base, height = -_STRIP[1] * top_w, (_STRIP[1] - _STRIP[0]) * top_w
    below = np.zeros(BINS)
    for phase, colour in _STRIP_COLOURS.items():
        share = time_shares(job.windows, phase, edges)
        if not share.any():
            continue
        axes.fill_between(
            edges - job.zero_s,
            _stepped(base + height * below),
            _stepped(base + height * (below + share)),
            where=_stepped(share) > 0,
            step="post",
            color=colour,
            linewidth=0,
            zorder=2,
        )
        below = below + share


def time_shares(windows: Sequence[PhaseWindow], phase: str, edges_s: Floats) -> Floats:
    """The share of each bin's time that lies in windows of a phase.

    Args:
        windows: windows of a job; those of one phase do not overlap.
        phase: the phase.
        edges_s: edges of the bins (s), shape (n + 1,).

    Returns:
        Shape (n,), from 0 to 1.
    """
    own = sorted((w["start_s"], w["end_s"]) for w in windows if w["phase"] == phase)
    if not own:
        return np.zeros(len(edges_s) - 1)
    starts, ends = np.array(own).T
    passed = np.concatenate(([0.0], np.cumsum(ends - starts)))
    # Time inside windows before each edge: whole windows, and the part of the one at the edge.
    index = np.searchsorted(starts, edges_s, side="right")
    last = np.clip(index - 1, 0, None)
    inside = passed[last] + np.clip(edges_s - starts[last], 0, (ends - starts)[last])
    shares: Floats = np.diff(np.where(index == 0, 0.0, inside)) / np.diff(edges_s)
    return shares


def _origin_note(jobs: Sequence[_Job], parts: Sequence[str]) -> str | None:
    """Where the power of each component comes from."""
    origins = []
    for part in parts:
        found = dict.fromkeys(
            f"{source.method} ({source.status})"
            for job in jobs
            if (source := job.sources.figures.get(part)) is not None
        )
        origins.append(f"{COMPONENT_NAMES[part]}: {', '.join(found)}")
    return "; ".join(origins) or None


def _legend(phases: set[str], parts: Sequence[str]) -> list[Any]:
    handles: list[Any] = [
        Line2D(
            [],
            [],
            color=figure_style.COMPONENT_COLOURS[part],
            linestyle=_LINES[part],
            label=COMPONENT_NAMES[part],
        )
        for part in parts
    ]
    shades = {shade.name: shade for phase, shade in SHADES.items() if phase in phases}
    handles += [
        Patch(
            facecolor=shade.colour,
            edgecolor=figure_style.PALE,
            hatch=shade.hatch,
            linewidth=0,
            label=name,
        )
        for name, shade in shades.items()
    ]
    handles += [
        Patch(color=colour, label=f"{phase} (strip)")
        for phase, colour in _STRIP_COLOURS.items()
        if phase in phases
    ]
    return handles
