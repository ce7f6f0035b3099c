"""The style of all figures: colours, hatches, sizes, legend entries, and deterministic files."""

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil, floor, inf, log10
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from codewatt.files import atomic_path
from codewatt.units import J_PER_KJ, J_PER_MJ

matplotlib.use("Agg")

#: Widths (inches) of one and of two columns of a two-column paper. Figures are drawn at their
#: printed size, so that a font of 7 points is printed at 7 points.
COLUMN, TWO_COLUMNS = 3.5, 7.16

#: Colours for readers with colour vision deficiency (Okabe and Ito 2008, "Color Universal
#: Design"), without yellow, which is hardly visible as a thin line on white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
_LINE_STYLES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
COMPONENT_COLOURS = {"gpu": "#0072B2", "cpu": "#E69F00", "dram": "#009E73"}
INK, PALE, ALERT = "#333333", "#999999", "#B03A00"
MODELLED_HATCH = "/////"
#: Height (inches) of a panel that contains only a message.
EMPTY_PANEL = 0.8
#: Inches: mean width of a character and height of a line (7 points); height of a legend line;
#: width of a legend entry's key and spacing; margins.
_CHARACTER, _LINE = 0.056, 0.12
_LEGEND_LINE, _LEGEND_KEY = 0.155, 0.5
_FRAME = 0.2
#: (decades that an axis covers, less than; ticks within a decade).
_LOG_STEPS: tuple[tuple[float, tuple[float, ...]], ...] = (
    (0.15, (1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2, 2.2, 2.5, 2.8, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9)),
    (0.7, (1, 1.5, 2, 3, 4, 5, 7)),
    (1.8, (1, 2, 5)),
    (3, (1, 3)),
    (inf, (1,)),
)

_RC: dict[Any, Any] = {
    # A "$" in a user's label is a "$", not the start of a formula.
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
    """Context manager: matplotlib's settings while a figure is made and saved."""
    with matplotlib.rc_context(_RC):
        yield


def new_figure(
    width: float,
    panels: float,
    notes: Sequence[str | None],
    handles: Sequence[Any],
) -> Figure:
    """A figure with notes above its panels and a legend below them, laid out without overlap.

    Args:
        width: width of the figure (inches).
        panels: height of the panels (inches); the heights of notes and legend are added.
        notes: sentences on what the figure shows and omits; None is skipped.
        handles: entries of the legend.
    """
    sentences = [f"{note.rstrip('.')}." for note in notes if note]
    lines = textwrap.wrap(" ".join(sentences), width=int(width / _CHARACTER))
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
    """A legend of every handle, also where a label begins with "_", which matplotlib drops."""
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
    """Largest number of legend columns that fits into the width; entries run down the columns."""
    lengths = [len(handle.get_label()) for handle in handles]
    for columns in range(min(len(handles), 5), 1, -1):
        # If the entries do not divide evenly, the first columns have one entry more.
        short, longer = divmod(len(lengths), columns)
        starts = [short * i + min(i, longer) for i in range(columns + 1)]
        widest = [max(lengths[a:b]) for a, b in itertools.pairwise(starts)]
        if sum(widest) * _CHARACTER + len(widest) * _LEGEND_KEY <= width:
            return columns
    return 1


def save(figure: Figure, out_stem: Path) -> list[Path]:
    """Write PNG and PDF, atomically and without dates: equal figures give identical files.

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


def save_pages(figure: Figure, pages: Sequence[Figure], out_stem: Path) -> list[Path]:
    """Write the whole figure as one PNG, and its pages as one PDF; as `save`.

    Args:
        figure: the whole figure.
        pages: the same content, in parts that fit on a printed page.
        out_stem: the figure's path without its suffix.
    """
    from matplotlib.backends.backend_pdf import PdfPages

    png, pdf = (out_stem.with_name(out_stem.name + suffix) for suffix in (".png", ".pdf"))
    with atomic_path(png) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    with (
        atomic_path(pdf) as temporary,
        PdfPages(temporary, metadata={"CreationDate": None}) as document,
    ):
        for page in pages:
            document.savefig(page)
    return [png, pdf]


def write_message(axes: Any, text: str) -> None:
    """Write a message into a panel that has nothing to draw."""
    axes.set_axis_off()
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=INK, wrap=True
    )


def model_style(position: int) -> dict[str, Any]:
    """Colour and marker of the n-th model; the first 70 combinations are different."""
    return {
        "color": COLOURS[position % len(COLOURS)],
        "marker": MARKERS[position % len(MARKERS)],
    }


def line_style(position: int) -> Any:
    """Line style of the n-th model or variant; together with `model_style`."""
    return _LINE_STYLES[position % len(_LINE_STYLES)]


def lighten(colour: str) -> tuple[float, float, float]:
    """A colour mixed with white. Unlike transparency, it looks the same where marks overlap."""
    red, green, blue = (1 - (1 - part) * 0.35 for part in to_rgb(colour))
    return red, green, blue


def set_log_axis(axis: Any, low: float, high: float) -> None:
    """Make an axis logarithmic from `low` to `high`, with some space, and plain numbers as ticks.

    The powers of ten of matplotlib's own ticks are formulas, which figures do not draw.
    """
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    space = max((high / low) ** 0.06, 1.1)
    low, high = low / space, high * space
    decades = log10(high / low)
    steps = next(steps for limit, steps in _LOG_STEPS if decades < limit)
    every = ceil(decades / 6)
    ticks = [
        step * 10.0**power
        for power in range(floor(log10(low)), ceil(log10(high)) + 1)
        for step in steps
        if power % every == 0 and low <= step * 10.0**power <= high
    ]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.axes.set(**{f"{axis.axis_name}lim": (low, high)})


def energy_scale(highest_j: float) -> tuple[float, str]:
    """(divisor, unit) for an axis of energies up to `highest_j` (J)."""
    for divisor, unit in ((J_PER_MJ, "MJ"), (J_PER_KJ, "kJ"), (1.0, "J")):
        if highest_j >= divisor:
            return divisor, unit
    return 1e-3, "mJ"


def marker_handle(label: str, **style: Any) -> Line2D:
    """A legend entry for a marker."""
    return Line2D([], [], linestyle="none", label=label, **style)


def marked_line_handle(label: str, **style: Any) -> Line2D:
    """A legend entry for a line with markers."""
    return Line2D([], [], label=label, **style)


def modelled_patch() -> Patch:
    """The legend entry for hatched bars."""
    return Patch(
        facecolor="white",
        edgecolor=INK,
        hatch=MODELLED_HATCH,
        label="hatched: modelled, not measured",
    )


def open_marker() -> Line2D:
    """The legend entry for energy that is modelled, at least in part."""
    return marker_handle(
        "open marker: energy modelled, at least in part",
        marker="o",
        color=INK,
        markerfacecolor="white",
    )


def failed_marker() -> Line2D:
    """The legend entry for cells that failed a validity check."""
    return marker_handle(
        "cross: failed a validity check, no interval of energy", marker="x", color=INK
    )


def pale_marker(text: str) -> Line2D:
    """A legend entry for pale points."""
    return marker_handle(text, marker="o", color=lighten(INK))


def ring_marker(text: str) -> Line2D:
    """A legend entry for points with a ring."""
    return marker_handle(text, marker="o", markersize=9, color=INK, markerfacecolor="none")


def line_handle(text: str) -> Line2D:
    """A legend entry for a plain line."""
    return Line2D([], [], color=INK, linewidth=0.9, label=text)
