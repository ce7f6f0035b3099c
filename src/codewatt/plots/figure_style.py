"""How every figure looks: colours, hatches, sizes, and files that are the same at each run."""

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from codewatt.files import atomic_path

matplotlib.use("Agg")

#: Widths (inches) of one and of two columns of a two-column paper: figures are drawn at the size
#: at which they are printed, so that 7 points stay 7 points.
COLUMN, TWO_COLUMNS = 3.5, 7.16

#: Colours that people with any common colour blindness tell apart (Okabe and Ito 2008, "Color
#: Universal Design"); yellow is left out, as thin lines of it vanish on white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
COMPONENT_COLOURS = {"gpu": "#0072B2", "cpu": "#E69F00", "dram": "#009E73"}
INK, PALE, ALERT = "#333333", "#999999", "#B03A00"
MODELLED_HATCH = "/////"
#: Inches of a panel that only says that there is nothing to draw.
EMPTY_PANEL = 0.8
#: Inches: a character and a line of the words (7 points); a line of the legend, and the key and
#: the space of an entry; the margins.
_CHARACTER, _LINE = 0.056, 0.12
_LEGEND_LINE, _LEGEND_KEY = 0.155, 0.5
_FRAME = 0.2

_RC: dict[Any, Any] = {
    # Labels are the user's: a "$" in them is a "$", not the beginning of a formula.
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,
    "savefig.dpi": 250,
}


@contextmanager
def style() -> Iterator[None]:
    """The settings under which figures are made and saved."""
    with matplotlib.rc_context(_RC):
        yield


def new_figure(
    width: float,
    panels: float,
    sentences: Sequence[str | None],
    handles: Sequence[Any],
) -> Figure:
    """A figure whose parts are laid out without overlap, with its words and its legend.

    Args:
        width, panels: inches; the height of the words and of the legend is added to `panels`.
        sentences: what the figure shows and what it leaves out, written above the panels.
        handles: entries of the legend, below the panels.
    """
    said = [f"{sentence.rstrip('.')}." for sentence in sentences if sentence]
    lines = textwrap.wrap(" ".join(said), width=int(width / _CHARACTER))
    columns = _legend_columns(handles, width)
    legend_lines = ceil(len(handles) / columns)
    height = panels + _LINE * len(lines) + _LEGEND_LINE * legend_lines + _FRAME
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=7, color=INK)
    if handles:
        _add_legend(figure, handles, columns)
    return figure


def _add_legend(figure: Figure, handles: Sequence[Any], columns: int) -> None:
    """A legend of every handle; left to itself, matplotlib drops labels that begin with "_"."""
    labels = [str(handle.get_label()) for handle in handles]
    legend = figure.legend(
        handles=list(handles),
        labels=[f"-{label}" for label in labels],
        loc="outside lower center",
        ncols=columns,
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)


def _legend_columns(handles: Sequence[Any], width: float) -> int:
    """As many columns as fit into the width; entries run down the columns."""
    lengths = [len(handle.get_label()) for handle in handles]
    for columns in range(min(len(handles), 5), 1, -1):
        # The first columns hold one entry more where the entries do not divide evenly.
        short, longer = divmod(len(lengths), columns)
        starts = [short * i + min(i, longer) for i in range(columns + 1)]
        widest = [max(lengths[a:b]) for a, b in itertools.pairwise(starts)]
        if sum(widest) * _CHARACTER + len(widest) * _LEGEND_KEY <= width:
            return columns
    return 1


def save(figure: Figure, out_stem: Path) -> list[Path]:
    """Write PNG and PDF, atomically; without dates, so that equal figures are equal files.

    Returns:
        The two paths: `out_stem` with .png and .pdf.
    """
    paths = []
    for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
        path = out_stem.with_name(out_stem.name + suffix)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=suffix[1:], metadata=metadata)
        paths.append(path)
    return paths


def say(axes: Any, text: str) -> None:
    """Fill a panel that has nothing to draw with the reason."""
    axes.set_axis_off()
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=INK, wrap=True
    )


def model_look(position: int) -> dict[str, Any]:
    """Colour and marker of the n-th model; 70 models pass before a pair comes again."""
    return {
        "color": COLOURS[position % len(COLOURS)],
        "marker": MARKERS[position % len(MARKERS)],
    }


def pale(colour: str) -> tuple[float, float, float]:
    """A colour mixed with white; unlike transparency it looks the same where marks overlap."""
    red, green, blue = (1 - (1 - part) * 0.35 for part in to_rgb(colour))
    return red, green, blue


def energy_scale(highest_j: float) -> tuple[float, str]:
    """Divisor and unit that bring joules to a readable size."""
    for divisor, unit in ((1e6, "MJ"), (1e3, "kJ"), (1.0, "J")):
        if highest_j >= divisor:
            return divisor, unit
    return 1e-3, "mJ"


def marker_handle(label: str, **look: Any) -> Line2D:
    """A legend entry for a marker."""
    return Line2D([], [], linestyle="none", label=label, **look)


def modelled_patch() -> Patch:
    """The legend entry for hatched bars."""
    return Patch(
        facecolor="white",
        edgecolor=INK,
        hatch=MODELLED_HATCH,
        label="hatched: modelled, not measured",
    )


def open_marker() -> Line2D:
    """The legend entry for energy with a modelled part."""
    return marker_handle(
        "open: energy modelled, at least in part", marker="o", color=INK, markerfacecolor="white"
    )


def failed_marker() -> Line2D:
    """The legend entry for cells whose energy is not to be trusted."""
    return marker_handle("cross: failed a validity check", marker="x", color=INK)


def pale_marker(text: str) -> Line2D:
    """A legend entry for pale points."""
    return marker_handle(text, marker="o", color=pale(INK))


def ring_marker(text: str) -> Line2D:
    """A legend entry for points with a ring."""
    return marker_handle(text, marker="o", markersize=9, color=INK, markerfacecolor="none")


def line_handle(text: str) -> Line2D:
    """A legend entry for a plain line."""
    return Line2D([], [], color=INK, linewidth=0.9, label=text)
