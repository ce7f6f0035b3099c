"""The A/A test passes only what is shown to be equivalent."""

import csv
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import nct, t, ttest_ind

from codewatt.analysis.aa_test import DIFFERENT, EQUIVALENT, UNDECIDED, aa_test
from codewatt.analysis.columns import AA_TEST
from codewatt.errors import CodewattError
from codewatt.files import write_json
from tests.support import records

SAME = (100.0, 101.0, 99.0, 100.5, 99.5)
MARGIN = 0.05


def cell_ids(name: str) -> Any:
    """The ids of a cell whose own id is `name`."""
    return {**records.energy_record()["cell"], "id": name, "design_id": name}


class Pair:
    """One cell and its second run, as energy.json files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, joules: tuple[float, ...], **changes: Any) -> Path:
        path = self.folder / f"{name}.json"
        record = records.energy_record(
            cell=cell_ids(name),
            boundary="gpu",
            components={"gpu": records.component("measured")},
            runs=[records.run(i, value / 10, gpu=value) for i, value in enumerate(joules)],
        )
        write_json(path, {**record, **changes})
        return path

    def test(self, first: tuple[float, ...], second: tuple[float, ...], **changes: Any) -> Any:
        energies = {
            "a": self.write("a", first, **changes),
            "a--again": self.write("a--again", second),
        }
        return aa_test(["a"], {"a": "a--again"}, energies, MARGIN, self.folder / "aa.csv")


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_the_same_passes(pair: Pair) -> None:
    rows = pair.test(SAME, SAME[::-1])
    assert [(row["comparison"], row["metric"]) for row in rows] == [
        ("halves", "gpu_j"),
        ("halves", "duration_s"),
        ("twin", "gpu_j"),
        ("twin", "duration_s"),
    ]
    assert all(row["passed"] for row in rows)
    twin = rows[2]
    assert twin["change"] == pytest.approx(0, abs=1e-12)
    assert twin["change_ci95_low"] < 0 < twin["change_ci95_high"]
    with (pair.folder / "aa.csv").open() as stream:
        assert next(iter(csv.DictReader(stream))).keys() == AA_TEST.keys()


def test_the_columns_are_those_of_two_one_sided_welch_tests(pair: Pair) -> None:
    second = (101.0, 102.5, 100.0, 101.0, 99.0)
    twin = pair.test(SAME, second)[2]
    welch = ttest_ind(np.log(second), np.log(SAME), equal_var=False)
    ends = np.expm1(welch.confidence_interval(0.90))
    assert [twin["change_ci90_low"], twin["change_ci90_high"]] == pytest.approx(list(ends))
    shifted = [
        ttest_ind(np.log(second) - bound, np.log(SAME), equal_var=False, alternative=side).pvalue
        for bound, side in ((np.log(0.95), "greater"), (np.log(1.05), "less"))
    ]
    assert twin["p_equivalence"] == pytest.approx(max(shifted))
    assert twin["p_difference"] == pytest.approx(welch.pvalue)
    error = welch._standard_error
    # A true difference of this size is significant in 80 % of all tests.
    detectable = np.log1p(twin["minimum_detectable_change"]) / error
    power = nct.sf(t.ppf(0.975, welch.df), welch.df, detectable)
    assert power == pytest.approx(0.8, abs=1e-8)
    assert (twin["outcome"], twin["margin"]) == (EQUIVALENT, MARGIN)


def test_a_cell_that_costs_more_the_second_time_fails_and_is_named(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="codewatt"):
        rows = pair.test(SAME, tuple(value * 1.05 for value in SAME))
    twin = rows[2]
    assert (twin["passed"], twin["outcome"]) == (False, DIFFERENT)
    assert twin["change"] == pytest.approx(0.05)
    assert twin["p_difference"] < 0.05
    assert "twin, a: gpu_j: different: change +5.00 %" in caplog.text


def test_noise_that_hides_any_difference_does_not_pass(pair: Pair) -> None:
    noisy = (100.0, 130.0, 80.0, 95.0, 120.0)
    twin = pair.test(noisy, noisy[::-1])[2]
    assert (twin["passed"], twin["outcome"]) == (False, UNDECIDED)
    assert twin["minimum_detectable_change"] > MARGIN


def test_drift_within_a_job_fails_its_halves(pair: Pair) -> None:
    rows = pair.test((100.0, 100.5, 110.0, 110.5, 109.5), SAME)
    assert rows[0]["passed"] is False
    assert (rows[0]["n"], rows[0]["other_n"]) == (2, 3)


def test_three_repeats_are_judged_by_their_halves(pair: Pair) -> None:
    rows = pair.test((100.0, 100.1, 100.2), (100.0, 100.1, 100.2))
    halves = rows[0]
    assert (halves["n"], halves["other_n"], halves["outcome"]) == (1, 2, EQUIVALENT)
    student = ttest_ind(np.log([100.1, 100.2]), np.log([100.0]), equal_var=True)
    assert halves["p_difference"] == pytest.approx(student.pvalue)


def test_too_few_repeats_are_not_judged(pair: Pair) -> None:
    rows = pair.test((100.0, 101.0), (100.0,))
    assert [row["passed"] for row in rows if row["comparison"] == "halves"] == [None] * 2
    assert "too few repeats" in rows[0]["note"]


def test_an_invalid_cell_is_marked(pair: Pair) -> None:
    rows = pair.test(SAME, SAME, valid=False)
    assert {row["valid"] for row in rows} == {False}
    assert "failed a validity check" in rows[0]["note"]


def test_a_modelled_twin_is_no_twin_of_a_measured_cell(pair: Pair) -> None:
    modelled = {"gpu": records.component("modelled")}
    rows = pair.test(SAME, SAME, components=modelled)
    twin = [row for row in rows if row["comparison"] == "twin"]
    assert [(row["passed"], row["note"]) for row in twin] == [
        (False, "energy of different origin: gpu modelled; twin: gpu measured")
    ]


def test_an_infeasible_cell_has_no_rows_and_half_a_record_is_refused(pair: Pair) -> None:
    infeasible = records.infeasible_energy_record(cell=cell_ids("a"))
    write_json(pair.folder / "a.json", infeasible)
    energies = {"a": pair.folder / "a.json"}
    assert aa_test(["a"], {}, energies, MARGIN, pair.folder / "aa.csv") == []
    energies["a--again"] = pair.write("a--again", SAME)
    rows = aa_test(["a"], {"a": "a--again"}, energies, MARGIN, pair.folder / "aa.csv")
    assert [(row["passed"], row["note"]) for row in rows] == [
        (False, "one of the two is infeasible")
    ]
    del energies["a--again"]
    half = pair.write("a", SAME, runs=[{"repeat": 0}])
    with pytest.raises(CodewattError, match=r"a\.json: runs\.0\.duration_s: field is missing"):
        aa_test(["a"], {}, energies, MARGIN, pair.folder / "aa.csv")
    half.write_text("{")
    with pytest.raises(CodewattError, match=r"a\.json: .*rule measure_energy writes it again"):
        aa_test(["a"], {}, energies, MARGIN, pair.folder / "aa.csv")


def test_a_record_of_another_version_is_refused(pair: Pair) -> None:
    energies = {"a": pair.write("a", SAME, schema=1)}
    with pytest.raises(CodewattError, match=r"a\.json: schema: record version 1"):
        aa_test(["a"], {}, energies, MARGIN, pair.folder / "aa.csv")


def test_a_record_of_another_cell_is_refused(pair: Pair) -> None:
    energies = {"a": pair.write("b", SAME)}
    with pytest.raises(CodewattError, match=r"b\.json: cell 'b'; expected 'a'"):
        aa_test(["a"], {}, energies, MARGIN, pair.folder / "aa.csv")
