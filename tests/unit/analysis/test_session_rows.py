"""The session table of a drawn study, and cells that never ran on a board of their baseline."""

import pandas as pd
import pytest

from codewatt.analysis.confounding import CONFOUNDED
from codewatt.analysis.summary import write_summary
from codewatt.blocks import blocks_of
from codewatt.cells import Cell
from codewatt.session_order import in_drawn_order
from tests.support.raw_study import BATCH, STUDY, RawStudy

SETTING = f"--nano--stripped--t24--b{BATCH}"
#: Never on a board of its baseline, once, and always.
APART, ONCE, TOGETHER = (
    f"one--cut1--fp32{SETTING}--transformers",
    f"one--cut1--fp32{SETTING}--graph",
    f"one--full--int8{SETTING}--graph",
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    study = RawStudy(
        tmp_path_factory.mktemp("drawn") / "study",
        sessions=2,
        elsewhere=(APART, f"{APART}--s2", f"{ONCE}--s2"),
    ).write()
    return {p.stem: pd.read_parquet(p) for p in (study.results / "tables").glob("*.parquet")}


def _cells(session_table: pd.DataFrame) -> list[Cell]:
    axes = ("model", "prune", "precision", "benchmark", "prompt", "token_limit", "batch_size")
    return [
        Cell(**{axis: row[axis] for axis in (*axes, "engine")}, session=row["session"])
        for row in session_table.to_dict("records")
    ]


def test_positions_are_those_of_the_order_in_which_jobs_start(
    tables: dict[str, pd.DataFrame],
) -> None:
    session = tables["session"]
    ordered = in_drawn_order(_cells(session), STUDY["order_seed"])
    found = session.sort_values(["session", "order_position"])
    assert list(found["cell_id"]) == [cell.design_id for cell in ordered]
    assert list(found["order_position"]) == 2 * list(range(1, len(ordered) // 2 + 1))


def test_cells_of_a_block_have_the_same_block(tables: dict[str, pd.DataFrame]) -> None:
    session = tables["session"]
    of_blocks = {
        key: sorted(cell.design_id for cell in cells)
        for key, cells in blocks_of(_cells(session)).items()
    }
    grouped = session.groupby(["block", "session"])["cell_id"]
    assert {key: sorted(ids) for key, ids in grouped} == of_blocks
    assert session["block"].nunique() == 2, "one for each engine"


def test_a_confounded_cell_is_valid_and_its_changes_are_withheld(
    tables: dict[str, pd.DataFrame],
) -> None:
    cell = tables["cell"].set_index("cell_id")
    apart, once, together = (cell.loc[name] for name in (APART, ONCE, TOGETHER))
    assert list(cell["valid"]) == [True] * len(cell)
    assert apart["change_note"] == apart["break_even_note"] == CONFOUNDED
    changes = [
        name
        for name in cell.columns
        if name.endswith(("_change", "_difference")) and not name.startswith("pass_at_1")
    ]
    assert apart[changes].isna().all(), "of energy, times, rates and their ratios"
    assert pd.notna(apart["energy_j_geomean"])
    assert pd.notna(apart["pass_at_1_base_difference"]), "accuracy depends on no board"
    for other in (once, together):
        assert pd.isna(other["change_note"])
        assert pd.notna(other["energy_j_change"])
    assert once["warnings"].count("variant_not_confounded (session 2)") == 1
    assert "variant_not_confounded" not in (together["warnings"] or "")
    assert apart["warnings"].count("variant_not_confounded") == 2


def test_the_check_table_has_the_result_of_each_session(tables: dict[str, pd.DataFrame]) -> None:
    check = tables["check"]
    check = check[check["name"] == "variant_not_confounded"]
    found = {
        name: list(zip(rows["session"], rows["severity"], rows["passed"], strict=True))
        for name, rows in check.groupby("cell_id")
    }
    assert found == {
        APART: [(1, "error", False), (2, "error", False)],
        ONCE: [(1, "warning", True), (2, "warning", False)],
        TOGETHER: [(1, "warning", True), (2, "warning", True)],
        TOGETHER.replace("graph", "transformers"): [(1, "warning", True), (2, "warning", True)],
    }
    session = tables["session"].set_index(["cell_id", "session"])["same_board_as_baseline"]
    for row in check.to_dict("records"):
        assert session[row["cell_id"], row["session"]] == row["passed"]


def test_the_summary_names_the_confounded_cell(tables: dict[str, pd.DataFrame], tmp_path) -> None:
    out = tmp_path / "summary.html"
    labels = {kind: {} for kind in ("model", "prune", "precision", "benchmark", "corpus")}
    labels["prune_line"] = {}
    write_summary(tables["cell"], tables["variant"], tables["check"], labels, {}, {}, out)
    text = out.read_text().replace("&#39;", "'")
    assert f"<li><b>{APART}</b>: {CONFOUNDED}</li>" in text
    assert "no validity check of severity <code>error</code> failed" not in text
