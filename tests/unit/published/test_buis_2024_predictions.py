"""Predictions for the runs of Buis 2024, their scores, and the page that shows them."""

import csv
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

import codewatt
from codewatt.cli import main
from codewatt.published.buis_2024.audited_study import STUDY
from codewatt.published.buis_2024.model.measured_runs import MeasuredRun, measured_runs
from codewatt.published.buis_2024.model.model_page import PAGE, render_page
from codewatt.published.buis_2024.model.model_results import ModelResults, compute_results
from codewatt.published.buis_2024.model.predictions import (
    Prediction,
    fit,
    predictors,
    step_bytes,
)
from codewatt.published.buis_2024.printed_tables import read_tables
from tests.support.buis_tables import batch, printed, run

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = Path(codewatt.__file__).parent
KINDS = ("", "-Instruct", "-Instruct-AWQ", "-Instruct-GPTQ-Int8", "-Instruct-GPTQ-Int4")
SIZES = ("0.5B", "1.5B", "3B", "7B", "14B")
LABELS = [f"{size}{kind}" for kind in KINDS for size in SIZES]


@pytest.fixture(scope="module")
def results() -> ModelResults:
    return compute_results(read_tables(STUDY.data))


@pytest.fixture(scope="module")
def runs() -> list[MeasuredRun]:
    return measured_runs(read_tables(STUDY.data))


def predict(name: str, one: MeasuredRun, runs: list[MeasuredRun]) -> Prediction:
    found = {p.name: p for p in predictors(read_tables(STUDY.data))}
    return found[name].predict(one, runs)


def test_the_25_runs_are_those_of_the_tables(runs: list[MeasuredRun]) -> None:
    assert [one.label for one in runs[:25]] == LABELS
    for one in runs[:25]:
        cells = run(one.label)
        assert one.seconds == pytest.approx(cells["Latency"] * 60 / 1140)
        assert one.tokens == pytest.approx(cells["Latency"] * 60 * cells["Throughput"] / 1140)
        assert one.joules == pytest.approx(cells["Energy consumption"] * 3.6e6 / 1140)
    assert Counter(one.group for one in runs[25:]) == {"other models": 3}
    for one in runs[25:]:
        assert one.joules == pytest.approx(batch(one.label, 1)["Energy consumption"] * 3.6e6 / 1140)


def test_predictions_of_a_run_by_hand(runs: list[MeasuredRun]) -> None:
    seven = next(one for one in runs if one.label == "7B")
    table = predict("printed_tables", seven, runs)
    assert (table.seconds, table.joules) == (10.74, 350 * 10.74)
    formulas = predict("printed_formulas", seven, runs)
    tpot = 14 / 362.05e3 + 14 / 864
    assert formulas.seconds == pytest.approx(9.24 / 362.05 + 14 / 864 + tpot * seven.tokens)
    right = predict("corrected_formulas", seven, runs)
    tokens = round(seven.tokens)
    moved = 2 * (7_615_616_512 - 152_064 * 3584) + 57_344 * (425 + tokens / 2)
    assert step_bytes(seven) == moved
    # The memory limits the prefill of 425 tokens, too.
    prefill = 2 * (7_615_616_512 - 152_064 * 3584) + 57_344 * 425
    assert right.seconds == pytest.approx(((tokens - 1) * moved + prefill) / 864e9)
    assert right.joules == pytest.approx(right.seconds * 350 * (1 - 0.18))


def test_no_run_is_faster_than_its_lower_bound(results: ModelResults) -> None:
    bounds = [one for one in results.predicted if one.predictor == "corrected_formulas"]
    assert len(bounds) == 28
    assert all(one.prediction.seconds < one.run.seconds for one in bounds)


def test_the_fit_is_that_of_scipy(runs: list[MeasuredRun]) -> None:
    known = [one for one in runs if one.group in ("base", "Instruct")]
    moved = np.array([step_bytes(one) for one in known]) / 1e9
    for quantity in ("seconds", "joules"):
        measured = np.array([getattr(one, quantity) / one.tokens for one in known])
        expected, _ = optimize.curve_fit(
            lambda x, start, slope: start + slope * x, moved, measured, sigma=measured
        )
        start, slope = fit(known, lambda one, name=quantity: getattr(one, name), fixed=True)
        assert (start, slope * 1e9) == pytest.approx(tuple(expected), rel=1e-6)
        alone, _ = optimize.curve_fit(lambda x, b: b * x, moved, measured, sigma=measured)
        _, slope = fit(known, lambda one, name=quantity: getattr(one, name), fixed=False)
        assert slope * 1e9 == pytest.approx(alone[0], rel=1e-6)


def test_a_fitted_prediction_does_not_know_the_runs_of_its_own_size(
    runs: list[MeasuredRun],
) -> None:
    seven = next(one for one in runs if one.label == "7B-Instruct-AWQ")
    honest = predict("fitted_fixed_and_bandwidth", seven, runs)

    def slower(size: str, group: str | None = None) -> list[MeasuredRun]:
        return [
            replace(one, seconds=3 * one.seconds, joules=2 * one.joules)
            if one.size == size and group in (None, one.group)
            else one
            for one in runs
        ]

    assert predict("fitted_fixed_and_bandwidth", seven, slower("7B")) == honest
    assert predict("fitted_fixed_and_bandwidth", seven, slower("3B", "AWQ")) == honest
    assert predict("fitted_fixed_and_bandwidth", seven, slower("3B")) != honest


def test_scores_are_those_of_numpy_and_scipy(results: ModelResults) -> None:
    for quantity, name in (("time", "seconds"), ("energy", "joules")):
        chosen = [one for one in results.predicted if one.predictor == "printed_tables"]
        pairs = {
            one.run.label: (getattr(one.prediction, name), getattr(one.run, name)) for one in chosen
        }
        guessed, measured = np.array([pairs[label] for label in LABELS]).T
        found = results.score("printed_tables", quantity, "all 25")
        assert found.runs == 25
        assert found.ratio == pytest.approx(stats.gmean(guessed / measured))
        assert found.spread == pytest.approx(stats.gstd(guessed / measured))
        assert found.error == pytest.approx(np.abs(guessed / measured - 1).mean())
        assert found.rank == pytest.approx(stats.spearmanr(guessed, measured).statistic)
        relative, true = [], []
        for label in LABELS[10:]:
            instruct = f"{label.split('-')[0]}-Instruct"
            relative.append(pairs[label][0] / pairs[instruct][0])  # both have 660 tokens
            tokens = run(label)["Latency"] * run(label)["Throughput"]
            own = run(instruct)["Latency"] * run(instruct)["Throughput"]
            true.append(pairs[label][1] / pairs[instruct][1] * own / tokens)
        found = results.score("printed_tables", quantity, "quantised / Instruct")
        assert found.runs == 15
        assert found.ratio == pytest.approx(stats.gmean(np.array(relative) / true))
        assert found.rank == pytest.approx(stats.spearmanr(relative, true).statistic)


def test_what_the_page_concludes_follows_from_the_scores(results: ModelResults) -> None:
    """The conclusions in words; their numbers are computed when the page is made."""
    table, fitted = "printed_tables", "fitted_fixed_and_bandwidth"
    for quantity in ("time", "energy"):
        errors = {p: results.score(p, quantity, "all 25").error for p in (table, fitted)}
        assert errors[fitted] < 0.1 < 0.3 < errors[table]
        ranks = {
            p: results.score(p, quantity, "quantised / Instruct").rank or 0.0
            for p in (table, "corrected_formulas", fitted)
        }
        assert ranks[table] < 0.2 < 0.7 < ranks["corrected_formulas"] < ranks[fitted]
    assert results.score("printed_formulas", "time", "all 25").ratio < 0.4
    assert results.score("measured_host", "time", "all 25").ratio > 2
    for group in ("AWQ", "GPTQ-Int4"):
        assert results.score(fitted, "time", group).ratio < 0.9


def test_the_checklist_has_every_formula_and_names_existing_functions(
    results: ModelResults,
) -> None:
    assert [row.number for row in results.formulas] == [f"3.{n}" for n in range(1, 38)]
    for row in results.formulas:
        module, _, names = row.function.partition(": ")
        text = (LIBRARY / "published/buis_2024" / module).read_text(encoding="utf-8")
        for name in names.split(", "):
            assert f"def {name}(" in text, row.number
        assert not row.where or (LIBRARY / row.where).exists(), row.number
        assert (row.verdict == "right") == (not row.right), row.number
        assert row.consequence


def test_printed_numbers_that_the_checklist_quotes_are_in_the_tables(
    results: ModelResults,
) -> None:
    quoted = {
        number
        for row in results.formulas
        for number in re.findall(r"([\d.]+) (?:TFLOP|GFLOP|GB|ms)?\s?printed", row.consequence)
    }
    assert {"9.24", "4.62", "8.09", "31.60", "36.00", "16.24"} <= quoted
    values = {float(v) for v in printed("estimates.csv")["printed"]}
    scaled = values | {1e3 * v for v in values} | {v / 1e12 for v in values}
    for number in quoted:
        assert any(abs(float(number) - value) < 1e-9 for value in scaled), number


def test_the_page_of_the_documentation_is_what_the_command_makes(results: ModelResults) -> None:
    """The page that `--out` writes, with the figures in docs/figures, named buis_2024_*.png."""
    page = (ROOT / "docs/archive" / PAGE).read_text(encoding="utf-8")
    assert page == render_page(results, "../figures/buis_2024_")
    for name in re.findall(r"\{figure\} (\S+)", page):
        assert (ROOT / "docs/archive" / name).is_file()


def test_the_explanation_has_the_scores(results: ModelResults) -> None:
    page = (ROOT / "docs/explanation/reproduced-studies.md").read_text(encoding="utf-8")
    shown = (
        *("printed_tables", "printed_formulas", "corrected_formulas", "measured_share"),
        "fitted_fixed_and_bandwidth",
    )
    for name in shown:
        time, energy = (results.score(name, quantity, "all 25") for quantity in ("time", "energy"))
        cells = (f"{one.ratio:.2f}, {100 * one.error:.0f} %" for one in (time, energy))
        assert f"| {' | '.join(cells)} |" in page, name
    rank = results.score("printed_tables", "energy", "quantised / Instruct").rank
    assert f"(rank correlation {rank:.2f} over 15 models)" in page
    awq, int4 = (
        1 / results.score("fitted_fixed_and_bandwidth", "time", group).ratio
        for group in ("AWQ", "GPTQ-Int4")
    )
    assert f"AWQ {awq:.2f} times, GPTQ-Int4 {int4:.2f} times" in page
    known = [run for run in measured_runs(results.tables) if run.group in ("base", "Instruct")]
    start, slope = fit(known, lambda one: one.seconds, fixed=True)
    assert f"A fixed {1000 * start:.1f} ms per token and {1e-9 / slope:.0f} GB/s" in page
    smallest = known[0]
    assert smallest.label == "0.5B"
    assert f"fixed time is {100 * start * smallest.tokens / smallest.seconds:.0f} %" in page


def test_the_command_writes_page_figures_and_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], results: ModelResults
) -> None:
    out = tmp_path / "model"
    assert main(["published", "model", "buis_2024", "--out", str(out)]) == 0
    page = render_page(results)
    assert capsys.readouterr().out.strip() == page.strip()
    assert (out / PAGE).read_text(encoding="utf-8") == page
    rows = {
        path.stem: len(list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())))
        for path in out.glob("*.csv")
    }
    assert rows == {
        "formulas": 37,
        "parameters": len(results.parts),
        "sizes": 17,
        "printed_estimates": 341,
        "model_estimates": 17,
        "corrected_estimates": len({(r.table, r.row) for r in results.corrected}),
        "figures_4_1_to_4_5": len(results.figures),
        "predictions": 28 * 7,
        "scores": 2 * 7 * 8,
    }
    for stem in ("predictions", "figures_4_1_to_4_5"):
        assert (out / f"{stem}.png").stat().st_size > 10_000


def test_a_study_without_a_model_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["published", "model", "de_reus_2024"]) == 1
    assert "published study 'de_reus_2024': it has no analytical model" in capsys.readouterr().err
