"""Cells are compared with the baseline cell, if both were measured alike."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind

from codewatt.analysis.compared_pairs import StudyRows, compared_pairs
from codewatt.analysis.confounding import Place
from codewatt.analysis.proportions import PairedCounts, tango_interval
from codewatt.errors import CodewattError
from tests.support.records import METER, PLACEMENT, PROVENANCE
from tests.unit.analysis.conftest import FP32, fail_repeat_1, joules, tables, two_cells


def test_changes_are_against_the_named_baseline_cell(study: Any) -> None:
    base, other = two_cells(study)["cell"]
    assert base["baseline_cell_id"] == other["baseline_cell_id"] == FP32
    assert base["energy_j_change"] == 0
    assert base["energy_j_change_ci95_low"] is base["energy_j_change_ci95_high"] is None
    assert other["energy_j_change"] == pytest.approx(-0.5)
    welch = ttest_ind(np.log([50, 55, 60]), np.log([100, 110, 120]), equal_var=False)
    low, high = np.expm1(welch.confidence_interval(0.95))
    names = [
        f"energy_j_change_{kind}_{end}"
        for kind in ("ci95", "simultaneous95")
        for end in ("low", "high")
    ]
    assert [other[name] for name in names] == pytest.approx([low, high] * 2)
    assert other["energy_j_change_p"] == pytest.approx(welch.pvalue)
    assert (other["energy_j_change_p_holm"], other["energy_j_comparisons"]) == (
        other["energy_j_change_p"],
        1,
    )
    assert other["pass_at_1_plus_change"] == pytest.approx((0.25 - 0.75) / 0.75)
    assert (other["tasks_lost_plus"], other["tasks_gained_plus"]) == (2, 0)
    assert other["mcnemar_p_plus"] == pytest.approx(0.5)
    assert other["pass_at_1_plus_difference"] == pytest.approx(-0.5)
    names = [f"pass_at_1_plus_difference_ci95_{end}" for end in ("low", "high")]
    # Of four tasks: one solved by both, none gained, two lost, one solved by neither.
    assert [other[name] for name in names] == pytest.approx(
        list(tango_interval(PairedCounts(1, 0, 2, 1)))
    )
    assert base["tasks_lost_plus"] is base["pass_at_1_plus_difference"] is base[names[0]] is None


def test_a_variants_size_is_compared_with_its_models_baseline(study: Any) -> None:
    rows = two_cells(study)["variant"]
    assert rows[1]["baseline_variant_id"] == "nano--none--fp32"
    assert rows[1]["size_bytes_change"] == pytest.approx((1_000_000 - 3_040_000) / 3_040_000)


def test_an_invalid_cell_is_compared_with_nothing(study: Any) -> None:
    study.cell("fp32")
    study.cell("int8", edit=lambda contents: contents["energy"].update(valid=False))
    cell = tables(study)["cell"][1]
    assert cell["energy_j_change"] is None
    assert cell["change_note"] == "this cell failed a validity check"


def test_other_cards_and_other_boundaries_are_not_compared(study: Any) -> None:
    def on(name: str) -> Any:
        meter = {**METER, "devices": [{"name": name}]}
        return lambda contents: contents["generate"].update(meters=[meter])

    study.cell("fp32", edit=on("H100"))
    study.cell("int8", edit=on("H200"))

    def in_job(contents: dict[str, Any]) -> None:
        on("H100")(contents)
        contents["energy"].update(boundary="job")

    study.cell("nf4", edit=in_job)
    _, other_card, other_boundary = tables(study)["cell"]
    assert other_card["gpu_names"] == "H200"
    assert other_card["energy_j_change"] is None
    assert "H200" in other_card["change_note"]
    assert other_card["change_note"] == "measured on different hardware: H200; baseline: H100"
    assert other_card["duration_s_change"] is other_card["j_per_correct_task_plus_change"] is None
    assert other_boundary["energy_j_change"] is None
    assert "job, CPU share 0.5" in other_boundary["change_note"]


def test_the_order_in_which_cards_are_listed_is_no_other_hardware(study: Any) -> None:
    def on(*names: str) -> Any:
        cards = [{"name": name, "device": f"GPU-{name}"} for name in names]
        return lambda contents: contents["generate"].update(meters=[{**METER, "devices": cards}])

    study.cell("fp32", edit=on("H100", "L40S"))
    study.cell("int8", edit=on("L40S", "H100"))
    cell = tables(study)["cell"][1]
    assert (cell["change_note"], cell["same_host_and_gpus"]) == (None, True)


def test_times_of_other_processors_are_not_compared(study: Any) -> None:
    def on(cpu: str) -> Any:
        return lambda contents: contents["generate"].update(
            provenance={**PROVENANCE, "host": cpu, "cpu": cpu}
        )

    study.cell("fp32", edit=on("EPYC 9654"))
    study.cell("int8", edit=on("Xeon 8480"))
    cell = tables(study)["cell"][1]
    assert cell["change_note"] == ("measured on different hardware: Xeon 8480; baseline: EPYC 9654")
    assert (
        cell["energy_j_change"] is cell["duration_s_change"] is cell["tokens_per_s_change"] is None
    )
    assert cell["pass_at_1_plus_change"] == 0


def test_a_cell_without_baseline_says_so(study: Any) -> None:
    study.cell("int8")
    cell = tables(study)["cell"][0]
    assert cell["baseline_cell_id"] is None
    assert cell["change_note"] == "no baseline cell in the study"
    assert cell["energy_j_change"] is None


def test_energy_that_came_about_differently_is_not_compared(study: Any) -> None:
    def metered(contents: dict[str, Any]) -> None:
        status = {"status": "measured", "method": "RAPL", "detail": None}
        contents["energy"]["components"] = contents["energy"]["components"] | {"cpu": status}

    study.cell("fp32")
    study.cell("int8", edit=metered)
    cell = tables(study)["cell"][1]
    assert "different origin" in cell["change_note"]
    assert cell["energy_j_change"] is cell["j_per_token_change"] is cell["co2e_kg_change"] is None
    assert cell["duration_s_change"] == 0
    assert cell["pass_at_1_plus_change"] == 0


def test_nothing_metered_is_compared_with_an_invalid_baseline(study: Any) -> None:
    study.cell("fp32", edit=fail_repeat_1)
    study.cell("int8")
    base, other = tables(study)["cell"]
    assert other["change_note"] == "baseline cell failed a validity check"
    assert other["energy_j_change"] is other["duration_s_change"] is None
    assert other["pass_at_1_plus_change"] == 0
    assert base["failed_checks"] == "gpu_not_shared (repeat 1): 2 processes, limit 1 processes"


def test_net_energy_has_a_difference_and_no_relative_change(study: Any) -> None:
    def near_zero(net: tuple[float, ...]) -> Any:
        def edit(contents: dict[str, Any]) -> None:
            for run, value in zip(contents["energy"]["runs"], net, strict=True):
                run["net_energy_j"] = joules(value, 0.0)
                run["net_uncertainty_j"] = joules(2.0, 0.0)

        return edit

    study.cell("fp32", edit=near_zero((-1.0, 0.5, 1.0)))
    study.cell("int8", edit=near_zero((3.0, 4.0, 5.0)))
    base, other = tables(study)["cell"]
    assert not any(name.startswith("net_") and name.endswith("_change") for name in other)
    assert other["net_energy_j_difference"] == pytest.approx(4 - 0.5 / 3)
    welch = ttest_ind([3, 4, 5], [-1, 0.5, 1], equal_var=False).confidence_interval(0.95)
    ends = [other[f"net_energy_j_difference_ci95_{end}"] for end in ("low", "high")]
    assert ends == pytest.approx([welch.low - 4, welch.high + 4])
    half = 4.302652729911275 / math.sqrt(3)
    ends = [other[f"net_energy_j_ci95_{end}"] for end in ("low", "high")]
    assert ends == pytest.approx([4 - half - 2, 4 + half + 2])
    assert other["net_energy_uncertainty_j_mean"] == 2
    assert base["net_energy_j_difference"] == 0
    assert base["net_energy_j_difference_ci95_low"] is None


def test_another_board_widens_the_interval_by_what_boards_may_differ(study: Any) -> None:
    def on(host: str, uuid: str) -> Any:
        meter = {**METER, "devices": [{"name": "H100", "device": uuid}]}
        found = {"meters": [meter], "provenance": {**PROVENANCE, "host": host}}
        gpus = [{"index": 0, "uuid": uuid, "name": "H100"}]
        found["placement"] = {**PLACEMENT, "gpus": gpus}
        return lambda contents: contents["generate"].update(found)

    study.cell("fp32", edit=on("n1", "GPU-a"))
    study.cell("int8", edit=on("n1", "GPU-a"), joules_per_run=(90.0, 100.0, 110.0))
    study.cell("nf4", edit=on("n1", "GPU-b"), joules_per_run=(90.0, 100.0, 110.0))
    study.cell("fp4", edit=on("n2", "GPU-a"), joules_per_run=(90.0, 100.0, 110.0))
    _, same, other, host = tables(study)["cell"]
    assert [row["same_host_and_gpus"] for row in (same, other, host)] == [True, False, False]
    assert [row["board_spread"] for row in (same, other, host)] == [0.0, 0.12, 0.12]
    assert (other["host"], other["gpu_uuids"]) == ("n1", "GPU-b")
    for row in (other, host):
        assert row["energy_j_change"] == same["energy_j_change"]
        for end, factor in (("low", 1 / 1.12), ("high", 1.12)):
            name = f"energy_j_change_ci95_{end}"
            assert 1 + row[name] == pytest.approx((1 + same[name]) * factor)
        assert row["energy_j_change_p"] > same["energy_j_change_p"]


def test_a_record_without_a_host_is_refused(study: Any) -> None:
    study.cell("fp32", edit=lambda contents: contents["generate"].update(provenance={}))
    with pytest.raises(CodewattError, match=r"generate\.json: provenance\.\w+: field is missing"):
        tables(study)


def test_another_board_widens_a_net_difference_by_a_share_of_the_whole_energy(study: Any) -> None:
    def on(host: str) -> Any:
        def edit(contents: dict[str, Any]) -> None:
            contents["generate"]["provenance"] = {**PROVENANCE, "host": host}
            for run in contents["energy"]["runs"]:
                run["net_uncertainty_j"] = joules(1.0, 0.0)

        return edit

    study.cell("fp32", edit=on("n1"))
    for precision, host in (("int8", "n1"), ("nf4", "n2")):
        study.cell(precision, edit=on(host), joules_per_run=(90.0, 100.0, 110.0))
    _, same, other = tables(study)["cell"]
    # The larger mean of the two energies is the baseline's, 110 J.
    for end, sign in (("low", -1), ("high", 1)):
        name = f"net_energy_j_difference_ci95_{end}"
        assert other[name] == pytest.approx(same[name] + sign * 0.12 * 110)


def test_p_values_are_adjusted_over_the_studys_comparisons(study: Any) -> None:
    study.cell("fp32", joules_per_run=(100.0, 110.0, 120.0))
    for precision, factor in (("int8", 0.5), ("nf4", 0.9), ("fp4", 0.95), ("gptq", 1.3)):
        repeats = tuple(factor * value for value in (100.0, 112.0, 119.0))
        study.cell(precision, joules_per_run=repeats)
    rows = tables(study)["cell"][1:]
    found = {row["energy_j_change_p"]: row["energy_j_change_p_holm"] for row in rows}
    # As R's p.adjust: the running maximum of 4 p(1), 3 p(2), 2 p(3), p(4), at most 1.
    want = np.minimum(np.maximum.accumulate(np.sort(list(found)) * [4, 3, 2, 1]), 1)
    assert [found[p] for p in sorted(found)] == pytest.approx(list(want))
    assert {row["energy_j_comparisons"] for row in rows} == {4}
    assert {row["pass_at_1_plus_comparisons"] for row in rows} == {4}
    first = rows[0]
    assert first["energy_j_change_simultaneous95_low"] < first["energy_j_change_ci95_low"]


def test_a_variant_of_many_tasks_is_shown_to_be_noninferior(study: Any) -> None:
    everything = tuple(f"t{i}" for i in range(300))
    repeats = (100.0, 110.0)
    study.cell("fp32", solved=everything[:200], tasks=300, joules_per_run=repeats)
    study.cell("int8", solved=everything[:200], tasks=300, joules_per_run=repeats)
    study.cell("nf4", solved=everything[:195], tasks=300, joules_per_run=repeats)
    _, same, worse = tables(study)["cell"]
    assert same["pass_at_1_margin"] == 0.02
    assert (same["noninferior_plus"], worse["noninferior_plus"]) == (True, False)
    assert worse["pass_at_1_plus_difference_ci95_low"] < -0.02


def test_sampled_completions_are_compared_by_their_shares(study: Any) -> None:
    def solve_first_sample(contents: dict[str, Any]) -> None:
        for verdict in contents["evaluate"]["verdicts"]:
            solved = verdict["task_id"] == "t0" and verdict["sample"] == 0
            verdict["base"] = verdict["plus"] = "pass" if solved else "fail"

    study.cell("fp32", solved=("t0", "t1"), samples=2)
    study.cell("int8", solved=("t0",), samples=2, edit=solve_first_sample)
    cell = tables(study)["cell"][1]
    assert cell["tasks_lost_plus"] is cell["mcnemar_p_plus"] is None
    assert cell["pass_at_1_plus_difference"] == pytest.approx((0.5 - 2) / 4)
    assert cell["pass_at_1_plus_difference_ci95_low"] < -0.375
    assert cell["noninferior_plus"] is False


def test_sessions_on_one_board_are_said_not_to_cover_others() -> None:
    a, b = Place("n1", ("GPU-a",)), Place("n1", ("GPU-b",))
    for places, one in (
        ({1: a, 2: a}, True),
        ({1: a, 2: b}, False),
        ({1: Place("n1", None), 2: Place("n1", None)}, False),
    ):
        cell = {"cell_id": "x", "gpu_names": None, "cpu_name": None, "status": "ok", "valid": True}
        cell |= {"baseline_cell_id": None, "change_note": None}
        base = cell | {"cell_id": "base"}
        study = StudyRows({"x": cell, "base": base}, {}, {}, {"x": places, "base": places})
        [pair] = compared_pairs(study, [("x", "base")], 0.12)[-1:]
        assert pair.one_place is one
        note = pair.interval_note(2)
        assert ("does not cover other boards" in (note or "")) is one
        assert "other boards" not in (pair.interval_note(1) or "")
