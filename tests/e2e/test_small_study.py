"""The small study, from its file to its tables: every number has a unit, a status and a source."""

import pandas as pd
import pytest

from codewatt.files import read_json, read_jsonl

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def results(finished_study):
    return finished_study.root / "results/small"


def _table(results, level):
    return pd.read_parquet(results / "tables" / f"{level}.parquet")


def test_there_is_one_row_for_each_cell_run_and_completion(results):
    assert len(_table(results, "cell")) == 4
    assert len(_table(results, "variant")) == 4
    assert len(_table(results, "run")) == 4 * 2
    assert len(_table(results, "task")) == 4 * 2 * 6


def test_csv_and_parquet_hold_the_same(results):
    for level in ("task", "run", "cell", "variant"):
        written = pd.read_csv(results / "tables" / f"{level}.csv")
        assert list(written.columns) == list(_table(results, level).columns)
        assert len(written) == len(_table(results, level))


def test_a_machine_without_a_gpu_says_so(results):
    cells = _table(results, "cell")
    energy = read_json(next((results / "cells").glob("*/energy.json")))
    if energy["components"]["gpu"]["status"] == "measured":
        pytest.skip("this machine has a GPU that NVML reads")
    assert set(cells["gpu_energy_status"]) == {"unavailable"}
    assert cells["gpu_j_mean"].isna().all(), "absent is empty, never 0"


def test_energies_are_sums_of_their_parts(results):
    runs = _table(results, "run")
    parts = runs[["gpu_j", "cpu_j", "dram_j"]].sum(axis=1, min_count=1)
    known = runs["energy_j"].notna()
    assert known.any(), "some repeat is long enough for a figure"
    pd.testing.assert_series_equal(
        parts[known], runs["energy_j"][known], check_names=False, check_exact=False
    )


def test_repeats_of_greedy_decoding_are_identical(results):
    assert _table(results, "cell")["completions_identical"].all()
    for path in (results / "cells").glob("*/completions.jsonl.gz"):
        rows = list(read_jsonl(path))
        by_repeat = [[r["solution"] for r in rows if r["repeat"] == n] for n in (0, 1)]
        assert by_repeat[0] == by_repeat[1]


def test_each_program_is_judged_once(results):
    for path in (results / "cells").glob("*/evaluate.json"):
        evaluated = read_json(path)
        assert len(evaluated["verdicts"]) == 2 * 6
        assert evaluated["judged"] <= 6


def test_variants_say_what_was_made(results):
    variants = _table(results, "variant").set_index("variant_id")
    int8, fp32 = variants.loc["one--full--int8"], variants.loc["one--full--fp32"]
    assert int8["size_bytes"] < 0.5 * fp32["size_bytes"]
    assert int8["quantise_s"] > 0
    assert variants.loc["one--last1--fp32", "layers"] == 3
    manifest = read_json(results / "variants/one--full--int8/manifest.json")
    assert manifest["quantised"]["quantised_modules"] == 4 * 6
    assert manifest["provenance"]["versions"]["bitsandbytes"]
    assert set(manifest["energy_j"]) == {"gpu", "cpu", "dram", "node", "job"}


def test_figures_and_summary_are_there(results):
    for name in ("frontier", "energy_by_precision", "prune_depth", "prompts"):
        assert (results / "figures" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert (results / "figures" / f"{name}.pdf").read_bytes()[:4] == b"%PDF"
    page = (results / "summary.html").read_text()
    assert "modelled" in page
    assert "http" not in page.split("</style>")[0], "the page needs no network"


def test_the_report_is_made_offline(finished_study):
    finished_study.snakemake("--report", "report.html")
    report = (finished_study.root / "report.html").read_text(errors="ignore")
    assert "frontier" in report
    assert "Which" in report or "Energy" in report
