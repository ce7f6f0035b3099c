"""Labels are drawn as they are written, whatever they mean to matplotlib."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from codewatt.plots import (
    energy_by_precision,
    figure_style,
    frontier,
    layer_scores,
    prompts,
    prune_depth,
    repetition,
)
from tests.unit.plots.test_layer_scores_figure import _scores

MODULES = [energy_by_precision, prune_depth, repetition, frontier, prompts]
NASTY = [
    r"$\foo$",
    r"$x_{",
    r"\$ $$ \\",
    "$1 and $2",
    "{x} {{y}} {0}",
    "<b>&amp;</b>",
    "%s %(x)d %",
    "_hidden",
    "_^",
    "😀👩\u200d💻",
    "שלום עולם",
    "two\nlines",
    "x" * 200,
    " ",
    "#none",
]


#: The offset at which a figure is also written to its files.
WRITTEN = {module: 5 * (number % 3) for number, module in enumerate(MODULES)}


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[Figure]:
    """The figures, drawn; written too at one offset, in small, as embedding fonts takes long."""
    kept: list[Figure] = []
    save = figure_style.save
    case = request.node.callspec.params
    write = case["offset"] == WRITTEN.get(case.get("module"), 0)

    def keep(figure: Figure, out_stem: Path) -> list[Path]:
        kept.append(figure)
        figure.draw_without_rendering()
        return save(figure, out_stem) if write else []

    monkeypatch.setitem(figure_style._RC, "savefig.dpi", 30)
    monkeypatch.setattr(figure_style, "save", keep)
    return kept


def drawn(figure: Figure) -> str:
    """All text of a figure, its line ends where the figure broke lines taken out."""
    found = [text for text in figure.findobj(Text) if text.get_visible()]
    assert not any(text.get_parse_math() for text in found if "$" in text.get_text())
    return "".join("".join(text.get_text() for text in found).split())


def shifted(offset: int) -> list[str]:
    """The texts, another one first."""
    return NASTY[offset:] + NASTY[:offset]


@pytest.mark.filterwarnings("ignore:Glyph:UserWarning", "ignore:constrained_layout:UserWarning")
@pytest.mark.parametrize("offset", [0, 5, 10])
@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__.rpartition(".")[2])
def test_every_figure_draws_labels_as_they_are(
    module: Any, offset: int, cell_table: Any, tmp_path: Path, saved: list[Figure]
) -> None:
    """All texts are in each figure: five as models' labels, the others as those of other axes."""
    depths, styles = (0, 1), ("stripped", "as_is")
    table = cell_table(models=5, precisions=("bf16", "int8"), depths=depths, prompts=styles)
    texts = iter(shifted(offset))
    labels = {
        "model": {f"m{number}": f"{next(texts)}A{number}" for number in range(5)},
        "precision": {"bf16": f"{next(texts)}C", "int8": f"{next(texts)}D"},
        "prune": {"none": f"{next(texts)}E", "last1": f"{next(texts)}F"},
        "benchmark": {"he": f"{next(texts)}G"},
        "prompt": {"stripped": f"{next(texts)}H", "as_is": f"{next(texts)}I"},
        "prune_line": {"last1": f"{next(texts)}J"},
    }
    paths = module.plot(table, labels, tmp_path / "figure {x} $")
    assert len(paths) == 2 * (offset == WRITTEN[module])
    assert all(path.stat().st_size for path in paths)
    seen = drawn(saved[0])
    for label in labels["model"].values():
        assert "".join(label.split()) in seen


@pytest.mark.filterwarnings("ignore:Glyph:UserWarning", "ignore:constrained_layout:UserWarning")
@pytest.mark.parametrize("offset", range(0, len(NASTY), 3))
def test_the_figure_of_layer_scores_does_too(
    offset: int, tmp_path: Path, saved: list[Figure]
) -> None:
    model, first, second = shifted(offset)[:3]
    labels = {"model": {"a": f"{model}A"}, "corpus": {"t": f"{first}T", "u": f"{second}U"}}
    scores = _scores(corpora=("t", "u"), methods=("sleb",))
    layer_scores.plot(scores, labels, tmp_path / "figure")
    seen = drawn(saved[0])
    assert "".join(f"{model}A".split()) in seen
    for text in (f"{first}T", f"{second}U"):
        assert "".join(f"on{text}".split()) in seen
