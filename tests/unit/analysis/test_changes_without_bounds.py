"""Changes that the data do not bound, and cells that lack the sessions of their baseline."""

import csv
import html
import json
import math
import re
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from codewatt.analysis.changes import to_change
from codewatt.analysis.descriptions import format_percent_interval
from codewatt.analysis.log_scale_statistics import Difference
from codewatt.analysis.pooled_ratios import scaled_interval
from codewatt.analysis.summary import write_summary
from codewatt.analysis.tables import to_rows
from tests.support.raw_study import BATCH, RawStudy

SETTING = f"--nano--stripped--t24--b{BATCH}--graph"
BASE, INT8, CUT = (
    f"one--{variant}{SETTING}" for variant in ("full--fp32", "full--int8", "cut1--fp32")
)
MINUS = "\N{MINUS SIGN}"
LARGEST_LOG = math.log(1.7976931348623157e308)
FP32_AXES = {"prune": "full", "precision": "fp32"}
INT8_AXES = {"prune": "full", "precision": "int8"}
CUT_AXES = {"prune": "cut1", "precision": "fp32"}
TRANSFORMERS, GRAPH = {"engine": "transformers"}, {"engine": "graph"}
#: With the four comparisons with baselines these are 13.
PAIRS = tuple(
    {"cell": cell, "reference": reference}
    for cell, reference in (
        (TRANSFORMERS, GRAPH),
        (CUT_AXES, INT8_AXES),
        (CUT_AXES | TRANSFORMERS, INT8_AXES | GRAPH),
        (CUT_AXES | GRAPH, INT8_AXES | TRANSFORMERS),
        (INT8_AXES | TRANSFORMERS, FP32_AXES | GRAPH),
        (INT8_AXES | GRAPH, FP32_AXES | TRANSFORMERS),
    )
)
#: The widest that the plausible powers of a machine allow: which of two cells takes more changes
#: with the session.
POWER = {INT8: 4.0, f"{INT8}--s2": 0.0075, BASE: 0.0055, f"{BASE}--s2": 2.7}


def quantile_of_one_degree(level: float) -> float:
    """Student's t with one degree of freedom is Cauchy's distribution."""
    return math.tan(math.pi * level / 2)


def read_tables(study: RawStudy) -> dict[str, pd.DataFrame]:
    return {p.stem: pd.read_parquet(p) for p in (study.results / "tables").glob("*.parquet")}


def summary_page(tables: dict[str, pd.DataFrame], out: Path) -> str:
    """The summary page."""
    shown = (tables["cell"], tables["variant"], tables["check"])
    more = {"tests": tables["statistical_test"], "regressions": tables["regression"]}
    write_summary(*shown, {}, {}, {}, out, sessions=tables["session"], **more)
    return html.unescape(out.read_text())


def test_two_sessions_do_not_bound_one_of_500_comparisons() -> None:
    """Sessions that differ by 30 % in a saving: the interval is 6366 standard errors wide."""
    level = 1 - 0.05 / 500
    difference = Difference(-0.2, 0.15, 1.0)
    low, high = difference.interval(level)
    half = quantile_of_one_degree(level) * 0.15
    assert (low, high) == pytest.approx((-0.2 - half, -0.2 + half), rel=1e-6)
    assert high > LARGEST_LOG
    ends = to_change((low, high))
    assert ends == (pytest.approx(-1.0), None)
    assert format_percent_interval(*ends) == f"[{MINUS}100.0 %, no upper bound]"
    assert to_change((0.0, 709.0)) == (0.0, pytest.approx(math.expm1(709.0)))
    assert to_change((0.0, 710.0)) == (0.0, None)


@pytest.mark.parametrize(
    ("point", "ends", "expected"),
    [
        (2.0, (-1.0, 1.0), (2 / math.e, 2 * math.e)),
        (2.0, (-710.0, 710.0), (0.0, None)),
        (1e10, (None, 700.0), (None, None)),  # exp(700) is a float, its product is not
    ],
)
def test_a_ratio_beyond_any_float_has_no_upper_end(
    script: ModuleType,
    point: float,
    ends: tuple[float | None, float | None],
    expected: tuple[float | None, float | None],
) -> None:
    from recomputed.bootstrap import scaled

    wanted = tuple(None if end is None else pytest.approx(end, abs=1e-300) for end in expected)
    assert scaled_interval(point, ends) == wanted
    assert scaled(point, *ends) == wanted


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> RawStudy:
    root = tmp_path_factory.mktemp("drawn") / "wide"
    return RawStudy(root, sessions=2, power=POWER, pairs=PAIRS).write()


def test_a_change_without_a_bound_has_no_upper_end_in_any_table(wide: RawStudy) -> None:
    tables = read_tables(wide)
    (row,) = [row for row in to_rows(tables["cell"]) if row["cell_id"] == INT8]
    runs = tables["run"].set_index(["cell_id", "session"])["energy_j"].astype(float).map(math.log)
    logs = runs.groupby(level=[0, 1]).mean()
    apart = [logs[INT8, session] - logs[BASE, session] for session in (1, 2)]
    error = abs(apart[0] - apart[1]) / 2
    assert row["energy_j_comparisons"] == 13
    assert sum(apart) / 2 + quantile_of_one_degree(1 - 0.05 / 13) * error > LARGEST_LOG
    assert row["energy_j_change"] == pytest.approx(math.expm1(sum(apart) / 2))
    assert row["energy_j_change_simultaneous95_low"] == pytest.approx(-1.0)
    assert row["energy_j_change_simultaneous95_high"] is None
    bounded = math.expm1(sum(apart) / 2 + quantile_of_one_degree(0.95) * error)
    assert row["energy_j_change_ci95_high"] == pytest.approx(bounded)


def test_files_of_such_a_study_hold_numbers_only(wide: RawStudy) -> None:
    for path in (wide.results / "tables").glob("*.parquet"):
        json.dumps(to_rows(pd.read_parquet(path)), allow_nan=False)
        with path.with_suffix(".csv").open(newline="") as stream:
            values = {value.lower() for line in csv.reader(stream) for value in line}
        assert not values & {"nan", "inf", "-inf", "<na>"}, path


def test_the_summary_says_that_there_is_no_upper_bound(wide: RawStudy, tmp_path: Path) -> None:
    tables = read_tables(wide)
    # The page prints the simultaneous interval of the cheapest variant that is non-inferior.
    cell = tables["cell"]
    cell.loc[cell["cell_id"] == INT8, ["noninferior_base", "noninferior_plus"]] = True
    page = summary_page(tables, tmp_path / "summary.html")
    assert f"(simultaneous 95 % confidence interval [{MINUS}100.0 %, no upper bound]" in page
    shown = re.sub(r"<[^>]*>", " ", page)
    assert not re.search(r"\d{20}|\b(nan|inf|None)\b", shown)


def test_the_second_computation_has_no_upper_bound_either(
    script: ModuleType, wide: RawStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([str(wide.yaml), str(wide.results)]) == 0, capsys.readouterr().out


@pytest.fixture(scope="module")
def missing(tmp_path_factory: pytest.TempPathFactory) -> RawStudy:
    """int8 ran in session 2 only, its baseline in session 1 only."""
    root = tmp_path_factory.mktemp("drawn") / "missing"
    return RawStudy(root, sessions=2, infeasible=(INT8, f"{BASE}--s2")).write()


def test_a_cell_without_a_session_of_its_baseline_says_what_is_missing(missing: RawStudy) -> None:
    tables = read_tables(missing)
    cells = {row["cell_id"]: row for row in to_rows(tables["cell"])}
    told = {
        name: (row["status"], row["sessions"], row["status_reason"], row["change_note"])
        for name, row in cells.items()
        if name.endswith("graph")
    }
    assert told == {
        BASE: ("ok", 1, "session 2: infeasible: out of memory", None),
        INT8: ("ok", 1, "session 1: infeasible: out of memory", "no session has both cells"),
        CUT: ("ok", 2, None, None),
    }
    row = cells[INT8]
    assert row["break_even_note"] == "no session has both cells"
    assert row["energy_j_change"] is row["break_even_tasks"] is None
    withheld = [row for row in to_rows(tables["comparison"]) if row["cell_id"] == INT8]
    of_energy = {row["metric"]: row for row in withheld if row["scale"] == "ratio"}
    assert of_energy["energy_j"]["note"] == "no session has both cells"
    assert {row["estimate"] for row in of_energy.values()} == {None}
    # Accuracy is compared: it does not need a common session.
    of_accuracy = [row for row in withheld if row["scale"] == "difference"]
    assert {row["sessions"] for row in of_accuracy} == {0}
    assert None not in {row["estimate"] for row in of_accuracy}
    # The other cell has one session in common with the baseline: an interval within one job.
    (one_job,) = [
        row
        for row in to_rows(tables["comparison"])
        if (row["cell_id"], row["metric"]) == (CUT, "energy_j")
    ]
    assert one_job["sessions"] == 1
    assert one_job["note"] == (
        "one session: the interval does not cover differences between sessions"
    )


def test_tests_of_sessions_name_the_cells_that_lack_them(missing: RawStudy) -> None:
    rows = to_rows(read_tables(missing)["statistical_test"])
    notes = {
        row["note"]
        for row in rows
        if row["factor"] == "variant" and row["level"] == "session" and "graph" in row["group"]
    }
    assert notes == {
        "fewer than two cells of the group can be tested; left out, as they have no energies of "
        f"two or more sessions: {BASE}, {INT8}"
    }


def test_the_summary_of_such_a_study_says_what_is_missing(
    missing: RawStudy, tmp_path: Path
) -> None:
    page = summary_page(read_tables(missing), tmp_path / "summary.html")
    assert 'title="no session has both cells"' in page
    assert "session 2: infeasible: out of memory" in page


def test_the_second_computation_agrees_where_sessions_are_missing(
    script: ModuleType, missing: RawStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([str(missing.yaml), str(missing.results)]) == 0, capsys.readouterr().out
