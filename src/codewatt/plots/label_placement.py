"""Placement of labels beside points, so that no label covers another label or a point.

adjustText is not used: with whiskers as objects to avoid, its labels cover points of the frontier
or leave the panel in crowded figures.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.transforms import Bbox

from codewatt.plots import figure_style

_DISTANCES = (6, 10, 16, 24, 34, 46, 60, 76, 94)
#: A label further away than this (points) has a line to its point.
_LINE_FROM = 10
_DIRECTIONS = 16
_PADDING = 1.0
_FONT_POINTS = 7


_Point = tuple[float, float]
_Line = tuple[_Point, _Point]


class LabelledPoint(NamedTuple):
    """A point and its label, in data units; ends: left, bottom, right and top of its whiskers."""

    x: float
    y: float
    text: str
    ends: tuple[float, float, float, float]


def place_labels(axes: Any, points: Sequence[LabelledPoint]) -> None:
    """Write each label near its point, with a thin line to the point if it is further away.

    Candidate positions are on circles of growing radius. The first position inside the panel that
    covers no label, point or whisker of a labelled point, and where no line crosses another line
    or a label, is used; otherwise the one that covers the smallest area, then the one with fewest
    crossings. The figure's layout must be final.
    """
    figure = axes.figure
    renderer = figure.canvas.get_renderer()
    scale = figure.dpi / 72
    panel = axes.get_window_extent(renderer)
    centres = [tuple(axes.transData.transform((point.x, point.y))) for point in points]
    taken = [_around(x, y, 4 * scale) for x, y in centres]
    taken += [box for point in points for box in _whiskers(axes, point, scale)]
    lines: list[_Line] = []
    written: list[Bbox] = []
    for (x, y, text, _), centre in sorted(zip(points, centres, strict=True), key=_from_right):
        probe = axes.text(x, y, text, fontsize=_FONT_POINTS, transform=axes.transData)
        extent = probe.get_window_extent(renderer)
        probe.remove()
        size = (extent.width, extent.height)
        box, distance = _best(centre, size, panel, taken, written, lines, scale)
        taken.append(box)
        written.append(box)
        middle = _middle(box)
        if distance > _LINE_FROM:
            lines.append((centre, middle))
        shift = tuple((m - c) / scale for m, c in zip(middle, centre, strict=True))
        axes.annotate(
            text,
            (x, y),
            xytext=shift,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_FONT_POINTS,
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
            if distance > _LINE_FROM
            else None,
        )


def _from_right(entry: Any) -> tuple[float, float]:
    _, (x, y) = entry
    return -x, y


def _around(x: float, y: float, radius: float) -> Bbox:
    return Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)


def _whiskers(axes: Any, point: LabelledPoint, scale: float) -> list[Bbox]:
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
    centre: _Point,
    size: tuple[float, float],
    panel: Bbox,
    taken: Sequence[Bbox],
    written: Sequence[Bbox],
    lines: Sequence[_Line],
    scale: float,
) -> tuple[Bbox, float]:
    """The best candidate box (pixels) and its distance from the point (points)."""
    best: tuple[tuple[float, int], Bbox, float] | None = None
    for distance in _DISTANCES:
        for step in range(_DIRECTIONS):
            angle = math.pi / 4 + 2 * math.pi * step / _DIRECTIONS
            box = _candidate(centre, size, distance * scale, angle)
            if not (panel.x0 <= box.x0 and box.x1 <= panel.x1):
                continue
            if not (panel.y0 <= box.y0 and box.y1 <= panel.y1):
                continue
            covered = sum(_shared(box, other) for other in taken)
            own = (centre, _middle(box))
            crossed = sum(_crosses_box(line, box) for line in lines)
            if distance > _LINE_FROM:
                crossed += sum(_cross(own, line) for line in lines)
                crossed += sum(_crosses_box(own, other) for other in written)
            cost = (covered, crossed)
            if cost == (0, 0):
                return box, distance
            if best is None or cost < best[0]:
                best = (cost, box, distance)
    if best is None:
        return _candidate(centre, size, _DISTANCES[0] * scale, math.pi / 4), _DISTANCES[0]
    return best[1], best[2]


def _candidate(centre: _Point, size: tuple[float, float], distance: float, angle: float) -> Bbox:
    """A box whose nearest edge lies `distance` from the centre in the direction `angle`."""
    width, height = size[0] + 2 * _PADDING, size[1] + 2 * _PADDING
    cosine, sine = math.cos(angle), math.sin(angle)
    x = centre[0] + cosine * (distance + width / 2)
    y = centre[1] + sine * (distance + height / 2)
    return Bbox.from_bounds(x - width / 2, y - height / 2, width, height)


def _middle(box: Bbox) -> _Point:
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def _cross(first: _Line, second: _Line) -> bool:
    """Whether two line segments cross: each has its ends on different sides of the other."""
    return all(
        _side(line, other[0]) * _side(line, other[1]) < 0
        for line, other in ((first, second), (second, first))
    )


def _crosses_box(line: _Line, box: Bbox) -> bool:
    """Whether a line segment with its ends outside a box crosses it: it crosses a diagonal."""
    return _cross(line, ((box.x0, box.y0), (box.x1, box.y1))) or _cross(
        line, ((box.x0, box.y1), (box.x1, box.y0))
    )


def _side(line: _Line, point: _Point) -> float:
    """Positive on the left of a directed line, negative on its right, 0 on the line."""
    (x0, y0), (x1, y1) = line
    return (x1 - x0) * (point[1] - y0) - (y1 - y0) * (point[0] - x0)


def _shared(first: Bbox, second: Bbox) -> float:
    """The area that two boxes share."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    return width * height if width > 0 and height > 0 else 0.0
