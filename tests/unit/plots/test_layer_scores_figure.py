"""The figure of layer scores draws what the methods found, a panel a model and method."""

from pathlib import Path

import pytest

from codewatt.plots import figure_style, layer_scores

INFLUENCE = {"block_influence": [0.4, 0.1, 0.05, 0.2], "removed": {"1": [2], "2": [2, 1]}}
ANGLES = {
    "distance": [[0.3, 0.4, 0.5, 0.6], [0.2, 0.25, 0.5], [0.1, 0.3], [0.4]],
    "removed": {"1": [2], "2": [1, 2], "3": [0, 1, 2]},
}
SLEB = {
    "perplexity": 3.0,
    "steps": [
        {"perplexity": {"1": 9.0, "2": 4.0}, "removed": 2},
        {"perplexity": {"1": 16.0}, "removed": 1},
    ],
    "removed": {"1": [2], "2": [2, 1]},
}
FOUND = {"block_influence": INFLUENCE, "angular_distance": ANGLES, "sleb": SLEB}
LABELS = {"model": {"a": "Model A"}, "corpus": {"t": "functions"}}


def _scores(models=("a",), corpora=("t",), methods=tuple(FOUND)):
    return [
        {"model": model, "corpus": {"id": corpus}, "method": method, "layers": 4, **FOUND[method]}
        for model in models
        for corpus in corpora
        for method in methods
    ]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, kept instead of written."""
    kept = []
    monkeypatch.setattr(
        figure_style,
        "save",
        lambda figure, stem: (figure.draw_without_rendering(), kept.append(figure)),
    )
    return kept


def _panels(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}


def test_each_panel_shows_its_scores(drawn):
    layer_scores.plot(_scores(), LABELS, Path("x"))
    panels = _panels(drawn[0])
    assert list(panels) == [
        "Model A\nblock influence",
        "Model A\nangular distance",
        "Model A\nSLEB",
    ]
    influence, angles, sleb = panels.values()
    assert [bar.get_height() for bar in influence.patches] == INFLUENCE["block_influence"]
    shown = angles.images[0].get_array()
    assert shown[0].tolist() == [0.3, 0.2, 0.1, 0.4]
    assert shown[2].tolist() == [0.5, 0.5, None, None]
    assert list(angles.lines[0].get_xdata()) == [2, 1, 0], "the first layer of each block"
    assert list(angles.lines[0].get_ydata()) == [1, 2, 3]
    assert sleb.images[0].get_array()[0].tolist() == [None, 9.0, 4.0, None]
    assert list(sleb.lines[0].get_xdata()) == [2, 1]
    assert "Scored on functions." in drawn[0]._suptitle.get_text()


def test_a_model_has_a_line_of_panels(drawn):
    layer_scores.plot(_scores(models=("a", "b")), LABELS, Path("x"))
    tops = [round(axes.get_position().y1, 2) for axes in _panels(drawn[0]).values()]
    assert tops == [tops[0]] * 3 + [tops[3]] * 3
    assert tops[0] > tops[3]


def test_texts_are_told_apart(drawn):
    layer_scores.plot(_scores(corpora=("t", "u"), methods=("sleb",)), LABELS, Path("x"))
    assert list(_panels(drawn[0])) == ["Model A\nSLEB on functions", "Model A\nSLEB on u"]


@pytest.mark.parametrize("scores", [[], _scores(methods=("block_influence",))])
def test_few_scores_still_make_a_figure(scores, drawn):
    layer_scores.plot(scores, LABELS, Path("x"))
    assert drawn[0].axes


def test_a_model_of_two_layers_has_no_layer_for_sleb(drawn):
    scores = [
        {
            "model": "a",
            "corpus": {"id": "t"},
            "method": "sleb",
            "layers": 2,
            "perplexity": 3.0,
            "steps": [],
            "removed": {},
        }
    ]
    layer_scores.plot(scores, LABELS, Path("x"))
    said = [text.get_text() for text in drawn[0].axes[0].texts]
    assert said == ["no layer can be removed"]


def test_equal_scores_give_equal_files(tmp_path, monkeypatch):
    monkeypatch.setitem(figure_style._RC, "savefig.dpi", 40)
    first = layer_scores.plot(_scores(), LABELS, tmp_path / "a")
    second = layer_scores.plot(_scores(), LABELS, tmp_path / "b")
    assert [path.name for path in first] == ["a.png", "a.pdf"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
