"""A making is paid back after as many tasks as its joules take, and only where that is known."""

from typing import Any

import pytest
from scipy.stats import ttest_ind

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.tables import to_rows
from tests.support.records import window

BASELINE = {"precision": "fp32", "prune": "none"}
MADE = [window("quantise", 0.0, 9.0)]
Making = dict[str, Any]
FIGURES = ("break_even_tasks", "break_even_tasks_low", "break_even_tasks_high")


@pytest.fixture
def making(study: Any) -> dict[str, Any]:
    """Making a variant takes 1000 J inside the node; changes hold for variants added later."""
    status = {"gpu": "unavailable", "cpu": "modelled", "dram": "modelled", "node": "modelled"}
    joules = {"gpu": None, "cpu": 700.0, "dram": 300.0, "node": 1000.0, "job": 300.0}
    study.making = {"energy_j": joules, "energy_status": status, "energy_note": None}
    status["job"] = "modelled"
    made: dict[str, Any] = study.making
    return made


def cells(study: Any) -> list[dict[str, Any]]:
    return to_rows(aggregate(study.cells, study.variants, BASELINE, {})["cell"])


def compared(
    study: Any,
    ours: tuple[float, ...] = (36.0, 40.0, 44.0),
    base: tuple[float, ...] = (76.0, 80.0, 84.0),
    **changes: Any,
) -> dict[str, Any]:
    """The row of int8, of four tasks a run, against fp32."""
    study.variant("fp32", windows=[])
    study.variant("int8", windows=MADE)
    study.cell("fp32", joules_per_run=base)
    study.cell("int8", joules_per_run=ours, **changes)
    return cells(study)[1]


def withheld(row: dict[str, Any], note: str) -> None:
    assert [row[name] for name in FIGURES] == [None] * 3
    assert row["break_even_note"] == note


def test_it_is_the_making_over_what_a_task_saves(study: Any, making: Making) -> None:
    row = compared(study)
    assert row["break_even_tasks"] == pytest.approx(1000 / (80 / 4 - 40 / 4))
    assert row["break_even_note"] is None


def test_its_ends_are_those_of_the_savings_interval(study: Any, making: Making) -> None:
    row = compared(study)
    base, ours = [value / 4 for value in (76, 80, 84)], [value / 4 for value in (36, 40, 44)]
    saving = ttest_ind(base, ours, equal_var=False).confidence_interval(0.95)
    assert row["break_even_tasks_low"] == pytest.approx(1000 / saving.high)
    assert row["break_even_tasks_high"] == pytest.approx(1000 / saving.low)


def test_a_saving_that_may_be_nothing_leaves_the_end_open(study: Any, making: Making) -> None:
    row = compared(study, ours=(60.0, 70.0, 80.0))
    assert row["break_even_tasks"] == pytest.approx(1000 / (20 - 17.5))
    assert 0 < row["break_even_tasks_low"] < row["break_even_tasks"]
    assert row["break_even_tasks_high"] is None
    assert row["break_even_note"] == "the interval of the saving contains zero: it may save nothing"


def test_single_runs_have_no_interval(study: Any, making: Making) -> None:
    row = compared(study, ours=(40.0,), base=(80.0,))
    assert row["break_even_tasks"] == pytest.approx(100)
    assert row["break_even_tasks_low"] is row["break_even_tasks_high"] is None
    assert row["break_even_note"] == "no interval: fewer than two repeats"


@pytest.mark.parametrize("ours", [(80.0,) * 3, (90.0, 100.0, 110.0)])
def test_what_saves_nothing_never_pays_back(
    study: Any, making: Making, ours: tuple[float, ...]
) -> None:
    base = (80.0, 80.0, 80.0)
    withheld(compared(study, ours, base), "saves no energy per task")


def test_a_variant_that_was_not_made_has_nothing_to_pay_back(study: Any, making: Making) -> None:
    compared(study)
    study.variant("bf16", windows=[])
    study.cell("bf16", joules_per_run=(50.0, 51.0, 52.0))
    withheld(cells(study)[2], "nothing was made")


def test_nothing_is_said_of_the_baseline(study: Any, making: Making) -> None:
    compared(study)
    assert cells(study)[0]["break_even_note"] is None
    assert cells(study)[0]["break_even_tasks"] is None


def test_energies_that_cannot_be_compared_pay_nothing_back(study: Any, making: Making) -> None:
    def metered(contents: dict[str, Any]) -> None:
        status = {"status": "measured", "method": "RAPL", "detail": None}
        contents["energy"]["components"] = contents["energy"]["components"] | {"cpu": status}

    row = compared(study, edit=metered)
    assert row["change_note"].startswith("energy of different origin")
    withheld(row, row["change_note"])


def test_an_invalid_cell_pays_nothing_back(study: Any, making: Making) -> None:
    row = compared(study, edit=lambda contents: contents["energy"].update(valid=False))
    withheld(row, "this cell failed a validity check")


def test_scoring_layers_is_part_of_the_making(study: Any, making: Making) -> None:
    row = compared(study)
    study.variants.clear()
    study.variant("fp32", windows=[])
    study.variant("int8", windows=MADE, scored=True)
    assert cells(study)[1]["break_even_tasks"] == pytest.approx(2 * row["break_even_tasks"])
    variant = to_rows(aggregate(study.cells, study.variants, BASELINE, {})["variant"])[1]
    assert (variant["score_layers_s"], variant["score_layers_energy_j"]) == (2.5, 1000)


def test_a_cell_without_baseline_pays_nothing_back(study: Any, making: Making) -> None:
    study.variant("int8", windows=MADE)
    study.cell("int8")
    withheld(cells(study)[0], "no baseline cell in the study")


def test_a_making_that_is_not_to_be_trusted_is_not_counted(study: Any, making: Making) -> None:
    making["energy_note"] = "cpu: 0.9 s without a reading"
    withheld(compared(study), "quantising: cpu: 0.9 s without a reading")


def test_a_making_measured_otherwise_than_the_cell_is_not_counted(
    study: Any, making: Making
) -> None:
    making["energy_status"]["cpu"] = "measured"
    note = "energies of different origin: cpu is measured in quantising and modelled in the cell"
    withheld(compared(study), note)


def test_a_making_without_a_figure_is_not_counted_as_free(study: Any, making: Making) -> None:
    making["energy_j"]["node"] = None
    withheld(compared(study), "quantising: no energy within boundary node")


def test_a_making_without_manifest_is_not_counted_as_free(study: Any, making: Making) -> None:
    study.cell("fp32", joules_per_run=(80.0,) * 3)
    study.cell("int8", joules_per_run=(40.0,) * 3)
    withheld(cells(study)[1], "the manifest of the variant is missing")


def test_the_boundary_is_the_cells(study: Any, making: Making) -> None:
    job = {"boundary": "job"}
    study.variant("fp32", windows=[])
    study.variant("int8", windows=MADE)
    study.cell("fp32", joules_per_run=(80.0,) * 3, edit=lambda c: c["energy"].update(job))
    study.cell("int8", joules_per_run=(40.0,) * 3, edit=lambda c: c["energy"].update(job))
    row = cells(study)[1]
    # The fixture's job is half its node: 10 and 5 J a task; making took 300 J of the job's.
    assert row["break_even_tasks"] == pytest.approx(300 / 5)


def test_an_infeasible_cell_says_nothing(study: Any, making: Making) -> None:
    study.cell("fp32")
    study.infeasible("int8", "no GPU")
    assert cells(study)[1]["break_even_note"] is None
