"""Figure: layer scores of the prune methods, one panel for each model, method and corpus."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from codewatt.analysis.labels import Labels, label
from codewatt.plots import figure_style
from codewatt.prune.layer_scores_record import LayerScoresRecord

_ACROSS = 3
_PANEL_INCHES = 2.05
_COLOURS = "cividis"
Scores = LayerScoresRecord


def plot(scores: Sequence[Scores], labels: Labels, out_stem: Path) -> list[Path]:
    """Draw the layer scores of a study.

    Block influence: one bar for each layer. Angular distance and SLEB: one row for each depth,
    where the colour is the method's score of a layer (or of the block that begins there) and the
    ring marks what is removed at that depth.

    Args:
        scores: what `score_layers` wrote, one for each model, method and corpus.
        labels: kind -> id -> label, of models and corpora.
        out_stem: the figure's path without its suffix.

    Returns:
        The paths of the PNG and the PDF.
    """
    with figure_style.style():
        return figure_style.save(_draw(scores, labels), out_stem)


def _draw(scores: Sequence[Scores], labels: Labels) -> Any:
    models = list(dict.fromkeys(found["model"] for found in scores))
    corpora = list(dict.fromkeys(found["corpus"]["id"] for found in scores))
    lines = [
        own[start : start + _ACROSS]
        for model in models
        for own in ([found for found in scores if found["model"] == model],)
        for start in range(0, len(own), _ACROSS)
    ]
    across = max((len(line) for line in lines), default=1)
    ringed = any(found["method"] in _RINGED for found in scores)
    sentences = [
        "Scores of decoder layers, numbered from 0; the lowest-scored layer or block is removed",
        f"Scored on {', '.join(label(labels, 'corpus', corpus) for corpus in corpora)}"
        if corpora
        else None,
    ]
    figure = figure_style.new_figure(
        figure_style.COLUMN if across == 1 else figure_style.TWO_COLUMNS,
        _PANEL_INCHES * max(len(lines), 1),
        sentences,
        [figure_style.ring_marker("removed at that depth")] if ringed else [],
    )
    grid = figure.subplots(max(len(lines), 1), across, squeeze=False)
    for axes_line, line in zip(grid, lines or [[]], strict=True):
        for axes, found in zip(axes_line, line, strict=False):
            _panel(axes, found, labels, len(corpora) > 1)
        for axes in axes_line[len(line) :]:
            axes.set_axis_off()
    if not scores:
        figure_style.write_message(grid[0][0], "no scores")
    return figure


def _panel(axes: Any, found: Scores, labels: Labels, name_corpus: bool) -> None:
    name, paint = _PAINTERS[found["method"]]
    of_corpus = f" on {label(labels, 'corpus', found['corpus']['id'])}" if name_corpus else ""
    axes.set_title(f"{label(labels, 'model', found['model'])}\n{name}{of_corpus}")
    paint(axes, found)
    count = found["layers"]
    axes.set_xlim(-0.6, count - 0.4)
    axes.set_xticks(range(0, count, ceil(count / 12)))


def _block_influence(axes: Any, found: Scores) -> None:
    axes.bar(
        range(found["layers"]), found["block_influence"], color=figure_style.COLOURS[0], width=0.7
    )
    axes.set_xlabel("Layer")
    axes.set_ylabel("Block influence")
    axes.grid(axis="y")


def _angular_distance(axes: Any, found: Scores) -> None:
    count = found["layers"]
    rows = [
        [found["distance"][layer][n - 1] if layer + n <= count else None for layer in range(count)]
        for n in range(1, count)
    ]
    chosen = {int(n): min(layers) for n, layers in found["removed"].items()}
    _depths(axes, rows, chosen, "Angular distance", logarithmic=False)
    axes.set_xlabel("First layer of the block")


def _sleb(axes: Any, found: Scores) -> None:
    rows = [
        [step["perplexity"].get(str(layer)) for layer in range(found["layers"])]
        for step in found["steps"]
    ]
    chosen = {n: step["removed"] for n, step in enumerate(found["steps"], start=1)}
    _depths(
        axes, rows, chosen, f"Perplexity (unpruned: {found['perplexity']:.3g})", logarithmic=True
    )
    axes.set_xlabel("Layer removed in addition")


def _depths(
    axes: Any,
    rows: Sequence[Sequence[float | None]],
    chosen: Mapping[int, int],
    what: str,
    *,
    logarithmic: bool,
) -> None:
    """Draw one row for each depth, from 1 at the bottom, with rings at the chosen layers.

    Args:
        rows: for each depth, the score of each layer; None without a score.
        chosen: depth -> layer.
    """
    import numpy as np
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.patheffects import Normal, withStroke

    if not rows:
        figure_style.write_message(axes, "no layer can be removed")
        return
    values = np.array(rows, dtype=float)
    low, high = np.nanmin(values), np.nanmax(values)
    scale = (LogNorm if logarithmic else Normalize)(low, high if high > low else low * 1.01 + 1e-9)
    image = axes.imshow(
        np.ma.masked_invalid(values),
        cmap=_COLOURS,
        norm=scale,
        aspect="auto",
        origin="lower",
        extent=(-0.5, len(rows[0]) - 0.5, 0.5, len(rows) + 0.5),
    )
    axes.plot(
        list(chosen.values()),
        list(chosen),
        linestyle="none",
        marker="o",
        markersize=min(6.0, 60 / len(rows)),
        markerfacecolor="none",
        markeredgecolor="white",
        markeredgewidth=1.0,
        path_effects=[withStroke(linewidth=2.4, foreground=figure_style.INK), Normal()],
    )
    axes.set_yticks(range(1, len(rows) + 1, ceil(len(rows) / 10)))
    axes.set_ylabel("Number of removed layers")
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02, aspect=18)
    middle = (low * high) ** 0.5 if logarithmic else (low + high) / 2
    bar.set_ticks([low, middle, high], labels=[f"{value:.3g}" for value in (low, middle, high)])
    bar.minorticks_off()
    bar.set_label(what, fontsize=7)
    bar.outline.set_visible(False)


#: Method -> its name and the function that draws it.
_PAINTERS: dict[str, tuple[str, Callable[[Any, Scores], None]]] = {
    "block_influence": ("block influence", _block_influence),
    "angular_distance": ("angular distance", _angular_distance),
    "sleb": ("SLEB", _sleb),
}
_RINGED = ("angular_distance", "sleb")
