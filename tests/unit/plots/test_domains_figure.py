"""The figure of domains draws what the domain table holds."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from codewatt.analysis.columns import DOMAIN
from codewatt.analysis.tables import to_table
from codewatt.plots import domains, figure_style

LABELS = {"model": {"m": "Model $1$"}}


def row(precision: str, domain: str, share: float | None) -> dict[str, Any]:
    ends = (None, None) if share is None else (share - 0.1, share + 0.05)
    return {
        "cell_id": f"m-{precision}", "model": "m", "prune": "full", "precision": precision,
        "prune_layers": 0, "benchmark": "b", "prompt": "as_is", "token_limit": 64, "batch_size": 1,
        "engine": "transformers", "domain": domain, "tasks": 12, "tasks_judged": 10,
        "pass_at_1_base": share, "pass_at_1_base_wilson95_low": ends[0],
        "pass_at_1_base_wilson95_high": ends[1],
    }  # fmt: skip


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    kept: list[Figure] = []
    save = figure_style.save

    def keep(figure: Figure, out_stem: Path) -> list[Path]:
        kept.append(figure)
        return save(figure, out_stem)

    monkeypatch.setattr(figure_style, "save", keep)
    return kept


def test_each_domain_and_variant_is_a_point_with_its_interval(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    rows = [row(p, d, s) for p, d, s in (("a", "Time", 0.5), ("b", "Time", 0.4), ("a", "Net", 0.2))]
    made = domains.plot(to_table(rows, DOMAIN), LABELS, tmp_path / "domains")
    assert [path.name for path in made] == ["domains.png", "domains.pdf"]
    (axes,) = drawn[0].axes
    points = {
        (round(float(x), 3), round(float(y)))
        for container in axes.containers
        for x, y in zip(*container.lines[0].get_data(), strict=True)
    }
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Time (10)", "Net (10)"]
    assert points == {(0.5, 0), (0.4, 0), (0.2, 1)}
    (bar,) = axes.containers[0].lines[2]
    (segment,) = bar.get_segments()
    assert segment[:, 0] == pytest.approx([0.4, 0.55])
    assert axes.get_title(loc="left") == "Model $1$"


@pytest.mark.parametrize("rows", [[], [row("a", "Time", None)]])
def test_a_table_without_pass_at_1_says_so(
    tmp_path: Path, drawn: list[Figure], rows: list[dict[str, Any]]
) -> None:
    domains.plot(to_table(rows, DOMAIN), LABELS, tmp_path / "domains")
    words = [text.get_text() for axes in drawn[0].axes for text in axes.texts]
    assert words == ["no pass@1 by domain"]
