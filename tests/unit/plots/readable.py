"""What a drawn figure shows, and whether it can be read."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.text import Text

from codewatt.energy.timeline_reader import read_timeline
from codewatt.generate.generate_record import GENERATE
from codewatt.plots import figure_style, power_over_time
from tests.support.raw_study import RawStudy
from tests.unit.plots.conftest import make_labels, make_rows

Row = dict[str, Any]
LONG = "GPTQ 4-bit, group size 128, activation order, symmetric"
PROBABILITY = {"frontier_probability_base": "Float64", "frontier_probability_plus": "Float64"}


def words(figure: Figure) -> str:
    found = [t.get_text() for t in figure.findobj(Text) if t.get_visible()]
    return " ".join(" ".join(found).split())


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for one in figure.legends for text in one.get_texts()]


def tick_texts(axes: Any) -> list[Text]:
    """The tick labels that are drawn: those inside the limits of their axis."""
    texts = []
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            inside = low - 1e-9 <= tick.get_loc() <= high + 1e-9
            if inside and tick.label1.get_visible() and tick.label1.get_text():
                texts.append(tick.label1)
    return texts


def assert_readable(figure: Figure) -> None:
    """Every text is at least 7 points, on the page, and covers no other text or panel."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    assert figure.get_figwidth() in (figure_style.COLUMN, figure_style.TWO_COLUMNS)
    shown: list[Text] = [figure._suptitle] if figure._suptitle.get_text() else []  # type: ignore[attr-defined]
    shown += [text for one in figure.legends for text in one.get_texts()]
    panels = [axes for axes in figure.axes if axes.axison]
    for axes in panels:
        shown += [*tick_texts(axes), axes.xaxis.label, axes.yaxis.label, axes._left_title]
    shown = [text for text in shown if text.get_text().strip()]
    boxes = [text.get_window_extent(renderer) for text in shown]
    inner = [axes.get_window_extent(renderer) for axes in panels]
    for number, (text, box) in enumerate(zip(shown, boxes, strict=True)):
        assert text.get_fontsize() >= 7, text.get_text()
        assert box.x0 >= figure.bbox.x0 - 1, text.get_text()
        assert box.x1 <= figure.bbox.x1 + 1, text.get_text()
        assert box.y0 >= figure.bbox.y0 - 1, text.get_text()
        assert box.y1 <= figure.bbox.y1 + 1, text.get_text()
        for other, box_of_other in zip(shown[:number], boxes, strict=False):
            assert not box.overlaps(box_of_other), f"{text.get_text()!r} on {other.get_text()!r}"
        for panel in inner:
            width = min(box.x1, panel.x1) - max(box.x0, panel.x0)
            height = min(box.y1, panel.y1) - max(box.y0, panel.y0)
            assert min(width, height) < 1, f"{text.get_text()!r} is inside a panel"


def large_labels() -> dict[str, dict[str, str]]:
    labels = make_labels(8)
    labels["model"] = {f"m{i}": f"DeepSeek-Coder-V2-Lite-Instruct {i}" for i in range(8)}
    labels["precision"] = {**labels["precision"], "gptq4": LONG}
    return labels


def large_rows() -> list[Row]:
    return make_rows(8, ("fp32", "bf16", "int8", "nf4", "gptq4"), (0,))


def points(axes: Any) -> list[tuple[float, float]]:
    """Coordinates of all markers of a panel, in the order in which they were drawn."""
    return [
        (float(x), float(y))
        for line in axes.lines
        if line.get_marker() not in ("None", None, "")
        for x, y in zip(*line.get_data(), strict=True)
    ]


def assert_pages(whole: Figure, pages: Sequence[Figure]) -> None:
    """The pages are at most 9.5 inches tall and hold every point of the whole figure."""
    assert len(pages) > 1
    for number, page in enumerate(pages, start=1):
        assert page.get_figheight() <= 9.5
        assert f"Page {number} of {len(pages)}." in words(page)
    drawn_whole, drawn_pages = (
        sorted(round(x, 9) for figure in figures for axes in figure.axes for x, _ in points(axes))
        for figures in ((whole,), pages)
    )
    assert drawn_pages == drawn_whole


def metered_cells(study: RawStudy) -> list[power_over_time.MeteredCell]:
    """The cells of a drawn study with their timelines."""
    return [
        power_over_time.MeteredCell(
            GENERATE.read(cell["generate"]),
            read_timeline(cell["generate"].with_name("timeline.parquet")),
        )
        for cell in study.cells
    ]
