"""Put labels beside points so that none covers another label or a point."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.transforms import Bbox

from codewatt.plots import figure_style

_DISTANCES = (6, 10, 16, 24, 34, 46, 60, 76, 94)
_DIRECTIONS = 16
_PADDING = 1.0


class Named(NamedTuple):
    """A point with its text, in data units. ends: left, bottom, right and top of its whiskers."""

    x: float
    y: float
    text: str
    ends: tuple[float, float, float, float]


def place_labels(axes: Any, points: Sequence[Named]) -> None:
    """Write each text near its point, with a thin line to it when it stands further off.

    Candidates lie on circles of growing radius; the first that is inside the panel and covers
    nothing is taken, else the one that covers least. The figure's layout must be final.

    The whiskers of the named points count as things that are not to be covered.
    """
    figure = axes.figure
    renderer = figure.canvas.get_renderer()
    scale = figure.dpi / 72
    panel = axes.get_window_extent(renderer)
    centres = [tuple(axes.transData.transform((point.x, point.y))) for point in points]
    taken = [_around(x, y, 4 * scale) for x, y in centres]
    taken += [box for point in points for box in _whiskers(axes, point, scale)]
    for (x, y, text, _), centre in sorted(zip(points, centres, strict=True), key=_rightmost):
        probe = axes.text(x, y, text, fontsize=6.5, transform=axes.transData)
        extent = probe.get_window_extent(renderer)
        probe.remove()
        box, distance = _best(centre, (extent.width, extent.height), panel, taken, scale)
        taken.append(box)
        middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
        shift = tuple((m - c) / scale for m, c in zip(middle, centre, strict=True))
        axes.annotate(
            text,
            (x, y),
            xytext=shift,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=6.5,
            color=figure_style.INK,
            zorder=5,
            bbox={
                "boxstyle": "square,pad=0.1",
                "facecolor": "white",
                "alpha": 0.75,
                "linewidth": 0,
            },
            arrowprops={
                "arrowstyle": "-",
                "color": figure_style.PALE,
                "linewidth": 0.5,
                "shrinkB": 2,
            }
            if distance > _DISTANCES[1]
            else None,
        )


def _rightmost(entry: Any) -> tuple[float, float]:
    _, (x, y) = entry
    return -x, y


def _around(x: float, y: float, radius: float) -> Bbox:
    return Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)


def _whiskers(axes: Any, point: Named, scale: float) -> list[Bbox]:
    """The boxes (pixels) of a point's two whiskers."""
    left, bottom, right, top = point.ends
    thin = 0.5 * scale
    (x0, y), (x1, _) = axes.transData.transform([(left, point.y), (right, point.y)])
    (x, y0), (_, y1) = axes.transData.transform([(point.x, bottom), (point.x, top)])
    return [
        Bbox.from_extents(x0, y - thin, x1, y + thin),
        Bbox.from_extents(x - thin, y0, x + thin, y1),
    ]


def _best(
    centre: tuple[float, ...],
    size: tuple[float, float],
    panel: Bbox,
    taken: Sequence[Bbox],
    scale: float,
) -> tuple[Bbox, float]:
    """The first candidate box that covers nothing, and its distance in points."""
    best: tuple[float, Bbox, float] | None = None
    for distance in _DISTANCES:
        for step in range(_DIRECTIONS):
            angle = math.pi / 4 + 2 * math.pi * step / _DIRECTIONS
            box = _candidate(centre, size, distance * scale, angle)
            if not (panel.x0 <= box.x0 and box.x1 <= panel.x1):
                continue
            if not (panel.y0 <= box.y0 and box.y1 <= panel.y1):
                continue
            covered = sum(_shared(box, other) for other in taken)
            if covered == 0:
                return box, distance
            if best is None or covered < best[0]:
                best = (covered, box, distance)
    if best is None:
        return _candidate(centre, size, _DISTANCES[0] * scale, math.pi / 4), _DISTANCES[0]
    return best[1], best[2]


def _candidate(
    centre: tuple[float, ...], size: tuple[float, float], distance: float, angle: float
) -> Bbox:
    """A box whose nearest edge lies `distance` from the centre in the direction `angle`."""
    width, height = size[0] + 2 * _PADDING, size[1] + 2 * _PADDING
    cosine, sine = math.cos(angle), math.sin(angle)
    x = centre[0] + cosine * (distance + width / 2)
    y = centre[1] + sine * (distance + height / 2)
    return Bbox.from_bounds(x - width / 2, y - height / 2, width, height)


def _shared(first: Bbox, second: Bbox) -> float:
    """The area that two boxes share."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    return width * height if width > 0 and height > 0 else 0.0
