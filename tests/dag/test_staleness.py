"""After a change, exactly the stale jobs run again: each test names all of them."""

import copy
import os
import shutil

import pytest

from tests.support.workbench import SMALL

pytestmark = pytest.mark.dag

VARIANTS = ["one--full--fp32", "one--full--int8", "one--last1--fp32", "two--full--fp32"]
ASKED = "nano--stripped--t24--b2--transformers"
CELLS = [f"{variant}--{ASKED}" for variant in VARIANTS]
DISPLAY = {(rule, "") for rule in ("plot", "plot_power", "summarise", "explore")}
AFTER_CELLS = {("aggregate", ""), ("statistical_tests", "")} | DISPLAY


def jobs(*rules, of):
    """(rule, id) for each rule and id."""
    return {(rule, name) for rule in rules for name in of}


CELL_RULES = ("generate", "evaluate", "measure_energy")
VARIANT_RULES = ("quantise", "measure_making_energy")
ENERGY = jobs("measure_energy", of=CELLS) | jobs("measure_making_energy", of=VARIANTS)


def _with(bench, change):
    study = copy.deepcopy(SMALL)
    change(study)
    bench.write_study(study)


def test_nothing_changed(bench):
    assert bench.would_run() == set()


def test_every_stage_is_done(bench):
    stages = ("quantise", "generate", "evaluate", "energy", "aggregate", "plot")
    assert bench.would_run(*(f"{stage}_all" for stage in stages)) == set()


def test_keys_in_another_order(bench):
    _with(
        bench,
        lambda study: study.update(models=[dict(reversed(m.items())) for m in study["models"]]),
    )
    assert bench.would_run() == set()


def test_a_label_changed(bench):
    _with(bench, lambda study: study["precisions"][1].update(label="8 bits"))
    assert bench.would_run() == DISPLAY


def test_files_touched(bench):
    """A checkout gives every file a new time; nothing is measured again for that."""
    for path in [*bench.root.glob("src/**/*.py"), *bench.root.glob("workflow/**/*")]:
        os.utime(path)
    assert bench.would_run() == set()


def test_a_result_touched(bench):
    os.utime(bench.root / f"results/small/cells/{CELLS[0]}/generate.json")
    os.utime(bench.root / "results/small/models/one/manifest.json")
    assert bench.would_run() == set()


def test_a_token_limit_added(bench):
    _with(bench, lambda study: study.update(token_limits=[24, 32]))
    new = [cell.replace("--t24--", "--t32--") for cell in CELLS]
    assert bench.would_run() == jobs(*CELL_RULES, of=new) | AFTER_CELLS


def test_one_precisions_setting_changed(bench):
    _with(bench, lambda study: study["precisions"][1].update(outlier_threshold=0.0))
    stale = jobs(*VARIANT_RULES, of=VARIANTS[1:2]) | jobs(*CELL_RULES, of=CELLS[1:2])
    assert bench.would_run() == stale | AFTER_CELLS


def test_the_repeat_count_changed(bench):
    _with(bench, lambda study: study["decoding"].update(repeats=3))
    assert bench.would_run() == jobs(*CELL_RULES, of=CELLS) | AFTER_CELLS


def test_a_model_removed(bench):
    def change(study):
        study["models"] = study["models"][:1]
        study["exclude"] = study["exclude"][:1]

    _with(bench, change)
    assert bench.would_run() == AFTER_CELLS


def test_a_models_training_changed(bench):
    _with(bench, lambda study: study["models"][1].update(seed=2))
    stale = {("train_nano", "two")} | jobs(*VARIANT_RULES, of=VARIANTS[3:])
    assert bench.would_run() == stale | jobs(*CELL_RULES, of=CELLS[3:]) | AFTER_CELLS


def test_the_country_changed(bench):
    _with(bench, lambda study: study["energy"].update(country="FRA"))
    assert bench.would_run() == ENERGY | AFTER_CELLS


def test_the_boundary_changed(bench):
    _with(bench, lambda study: study["energy"].update(boundary="job"))
    assert bench.would_run() == ENERGY | AFTER_CELLS


def test_a_margin_of_comparisons_changed(bench):
    """No joule and no verdict depends on it."""
    _with(bench, lambda study: study.update(comparisons={"pass_at_1_margin": 0.05}))
    assert bench.would_run() == AFTER_CELLS


def test_the_margin_of_the_aa_test_changed(bench):
    _with(bench, lambda study: study.update(comparisons={"aa_margin": 0.02}))
    assert bench.would_run() == set()


def test_a_module_of_comparisons_edited(bench):
    with bench.appended("src/codewatt/analysis/changes.py"):
        assert bench.would_run() == AFTER_CELLS


def test_more_memory_for_jobs(bench):
    with bench.edited(
        "config/config.yaml",
        "benchmark_files:",
        "machine: {cpu: {mem_mb: 64000}}\nbenchmark_files:",
    ):
        assert bench.would_run() == set()


def test_a_module_of_energy_that_computes_joules_edited(bench):
    with bench.appended("src/codewatt/energy/validity/phase.py"):
        assert bench.would_run() == ENERGY | AFTER_CELLS


def test_a_module_of_energy_that_samples_edited(bench):
    with bench.appended("src/codewatt/energy/sampler.py"):
        stale = jobs(*VARIANT_RULES, of=VARIANTS) | jobs(*CELL_RULES, of=CELLS)
        assert bench.would_run() == stale | AFTER_CELLS


def test_a_module_that_measures_the_machine_edited(bench):
    """The manifest holds what it found; the tables count what is to be moved from it."""
    with bench.appended("src/codewatt/sizing/measured_machine.py"):
        assert bench.would_run() == jobs(*CELL_RULES, of=CELLS) | AFTER_CELLS


def test_a_module_of_the_roofline_columns_edited(bench):
    with bench.appended("src/codewatt/analysis/roofline_columns.py"):
        assert bench.would_run() == AFTER_CELLS


def test_a_module_of_plots_edited(bench):
    with bench.appended("src/codewatt/plots/frontier.py"):
        assert bench.would_run() == {("plot", ""), ("summarise", "")}


def test_one_quantiser_edited(bench):
    """The other variants were not made by it."""
    with bench.appended("src/codewatt/quantise/bitsandbytes.py"):
        stale = jobs(*VARIANT_RULES, of=VARIANTS[1:2]) | jobs(*CELL_RULES, of=CELLS[1:2])
        assert bench.would_run() == stale | AFTER_CELLS


def test_a_comment_edited(bench):
    with bench.appended("src/codewatt/generate/generate_cell.py", "# A comment.\n"):
        assert bench.would_run() == set()


def test_the_reason_names_the_module(bench):
    with bench.appended("src/codewatt/plots/frontier.py"):
        output = bench.snakemake("-n").stdout
    assert "codewatt.plots.frontier" in output


def test_weights_deleted_after_they_were_used(bench):
    """Freeing the disk when a study is done makes nothing stale."""
    weights = bench.root / "results/small/variants" / VARIANTS[1] / "weights"
    shutil.move(weights, bench.root / "aside")
    try:
        assert bench.would_run() == set()
    finally:
        shutil.move(bench.root / "aside", weights)
