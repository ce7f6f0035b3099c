"""Tables 5.14 to 5.35 of Buis 2024: from the printed formulas, and corrected."""

from collections import Counter
from fractions import Fraction

import pytest

from codewatt.published.buis_2024.audited_study import STUDY
from codewatt.published.buis_2024.model.corrected_estimates import correct_estimate
from codewatt.published.buis_2024.model.model_estimates import estimate_model
from codewatt.published.buis_2024.model.reproduced_estimates import (
    DIFFERS,
    FOLLOWS,
    ROUNDED_TWICE,
    WITHOUT_COMPUTE,
    ReproducedEstimate,
    reproduce_estimates,
    tokens_that_fit,
)
from codewatt.published.buis_2024.model.study_models import study_models
from codewatt.published.buis_2024.printed_tables import read_tables
from tests.support.buis_tables import printed

TABLES = read_tables(STUDY.data)
FRAME = printed("estimates.csv").set_index(["table", "row", "column"])["printed"]


@pytest.fixture(scope="module")
def estimates() -> dict[tuple[str, str, str], ReproducedEstimate]:
    return {
        (one.figure.table, one.figure.row, one.figure.column): one
        for one in reproduce_estimates(TABLES)
    }


def test_every_printed_estimate_has_a_verdict(
    estimates: dict[tuple[str, str, str], ReproducedEstimate],
) -> None:
    assert set(estimates) == set(FRAME.index)
    counts = Counter(one.verdict for one in estimates.values())
    assert counts == {FOLLOWS: 301, ROUNDED_TWICE: 11, WITHOUT_COMPUTE: 26, DIFFERS: 3}
    differing = {key for key, one in estimates.items() if one.verdict == DIFFERS}
    rows = ("Qwen2.5-Coder-7B", "Meta-Llama-3.1-8B", "DeepSeek-V2-Lite-16B")
    assert differing == {("5.14", row, "TGT") for row in rows}
    assert {key[2] for key, one in estimates.items() if one.verdict == WITHOUT_COMPUTE} == {"TGT"}


@pytest.mark.parametrize(
    ("key", "by_hand"),
    [
        (("5.14", "Meta-Llama-3.1-8B", "Prefill compute"), 2 * 8e9 * 256),
        (("5.14", "DeepSeek-V2-Lite-16B", "Decode compute"), 2 * 15.8),
        (("5.14", "DeepSeek-V2-Lite-16B", "TTFT"), 8089.6 / 181.05 + 31600 / 864),
        (("5.14", "DeepSeek-V2-Lite-16B", "TPOT"), 31.6 / 362.05 + 31600 / 864),
        (("5.14", "Meta-Llama-3.1-8B", "VRAM"), 1.2 * 16),
        (("5.25", "14B", "Prefill compute"), 2 * 14e9 * 660 / 1e12),
        (("5.35", "14B-Instruct", "TTFT"), 18.48 / 362.05 + 28 / 864),
        (("5.35", "14B-Instruct-GPTQ-Int4", "TTFT"), 4.62 / 733 + 7 / 864),
        (("5.30", "7B-Instruct-AWQ", "TPOT"), 7e-3 / 733 + 7 / 864),
        (("5.35", "7B-Instruct-GPTQ-Int8", "VRAM"), 7),
    ],
)
def test_formulas_with_the_settings_found_give_the_printed_number(
    key: tuple[str, str, str],
    by_hand: float,
    estimates: dict[tuple[str, str, str], ReproducedEstimate],
) -> None:
    assert estimates[key].computed == pytest.approx(by_hand, rel=1e-12)
    text = FRAME[key]
    if "e" in text:
        assert f"{by_hand:.2e}" == text.replace("e", "e+")
    else:
        assert f"{by_hand:.{len(text.partition('.')[2])}f}" == text


def test_the_printed_digits_tell_the_rates_apart() -> None:
    """The rates of the L40 and L40S are close; only one of each pair gives the printed number."""
    ttft = 18.48 / 362.1 + 28 / 864
    assert f"{ttft:.4f}" != FRAME["5.35", "14B-Instruct", "TTFT"]
    half = 4096 / (362.05 / 2) + 16000 / 864
    assert f"{half:.2f}" != FRAME["5.14", "Meta-Llama-3.1-8B", "TTFT"]
    whole = 4096 / 362.05 + 16000 / 864
    assert whole < 31 < float(FRAME["5.14", "Meta-Llama-3.1-8B", "TTFT"])


def test_no_whole_number_of_tokens_gives_the_total_times_of_table_5_14() -> None:
    half = Fraction(1, 200)
    low, high = Fraction(0), Fraction(1000)
    for row in ("Qwen2.5-Coder-7B", "Meta-Llama-3.1-8B", "DeepSeek-V2-Lite-16B"):
        tgt, ttft, tpot = (Fraction(FRAME["5.14", row, c]) for c in ("TGT", "TTFT", "TPOT"))
        low = max(low, ((tgt - half) * 1000 - ttft - half) / (tpot + half))
        high = min(high, ((tgt + half) * 1000 - ttft + half) / (tpot - half))
    found = tokens_that_fit(TABLES, "5.14")
    assert (found.low, found.high) == (low, high)
    assert 254 < low < high < 255


def test_estimates_that_were_rounded_twice_differ_from_the_computed_number(
    estimates: dict[tuple[str, str, str], ReproducedEstimate],
) -> None:
    for key, one in estimates.items():
        if one.verdict == ROUNDED_TWICE:
            digits = len(FRAME[key].partition(".")[2])
            assert f"{one.computed:.{digits}f}" != FRAME[key]
            assert f"{round(one.computed, digits + 1) + 1e-9:.{digits}f}" == FRAME[key]


def test_corrected_estimates_are_closed_forms() -> None:
    seven, tokens = correct_estimate("5.25", "7B-Instruct"), 660
    table, norms, biases = 152_064 * 3584, 57 * 3584, 28 * 128 * 36
    matrices = 7_615_616_512 - 2 * table - norms - biases
    context = tokens + (1 + tokens - 1) / 2  # mean of the 659 steps
    assert seven.step_bytes == 2 * (7_615_616_512 - table) + 57_344 * context
    attention = 28 * 4 * 3584
    assert seven.decode_flops == 2 * (matrices + table) + attention * context
    assert seven.prefill_flops == 2 * (tokens * matrices + table) + attention * 660 * 661 / 2
    assert seven.ttft_s == seven.prefill_flops / 362.05e12  # limited by compute
    assert seven.tpot_s == pytest.approx(seven.step_bytes / 864e9)
    assert seven.tgt_s == pytest.approx(seven.ttft_s + 659 * seven.tpot_s)
    assert seven.vram_bytes == 2 * 7_615_616_512 + 1320 * 57_344


def test_quantising_weights_changes_bytes_but_no_compute() -> None:
    rows = ("", "-AWQ", "-GPTQ-Int8", "-GPTQ-Int4")
    whole, awq, int8, int4 = (
        correct_estimate("5.30" if row == "-AWQ" else "5.35", f"14B-Instruct{row}") for row in rows
    )
    for one in (awq, int8, int4):
        assert (one.prefill_flops, one.decode_flops) == (whole.prefill_flops, whole.decode_flops)
    assert whole.step_bytes / 4 < awq.step_bytes < int4.step_bytes < whole.step_bytes / 3
    assert whole.step_bytes / 2 < int8.step_bytes < whole.step_bytes / 1.8


def test_a_token_of_the_mixture_of_experts_uses_six_of_64_experts() -> None:
    found = correct_estimate("5.14", "DeepSeek-V2-Lite-16B")
    idle = 26 * (64 - 6) * 3 * 2048 * 1408
    assert found.active_parameters == 15_706_484_224 - idle
    assert found.step_bytes == 2 * (found.active_parameters - 102_400 * 2048) + 31_104 * 384


def test_costs_of_a_model_of_the_other_study_are_closed_forms() -> None:
    """Phi-2: every head has its own keys and values; the head is not tied and has a bias."""
    found = estimate_model(study_models()["Phi-2"])
    n, table = 2_779_683_840, 51_200 * 2560
    matrices = 32 * (4 * 2560**2 + 2 * 2560 * 10240)
    assert n == matrices + 2 * table + 51_200 + 32 * (5 * 2560 + 10240) + 33 * 2 * 2560
    printed, right = found.printed, found.right
    assert (printed.prefill_flops, printed.decode_flops) == (2 * n * 660, 2 * n)
    assert (printed.step_bytes, printed.vram_bytes) == (2 * n, 2 * n)
    assert printed.tgt_s == pytest.approx(printed.ttft_s + 660 * printed.tpot_s)
    assert printed.energy_j == 350 * printed.tgt_s
    assert right.prefill_flops == 2 * (660 * matrices + table) + 32 * 4 * 2560 * 660 * 661 / 2
    assert right.step_bytes == 2 * (n - table) + 327_680 * 990
    assert right.vram_bytes == 2 * n + 1320 * 327_680
    assert right.energy_j == pytest.approx(350 * (right.ttft_s + 659 * right.tpot_s))


def test_with_exact_parameters_the_printed_time_per_token_is_near_the_bound_of_dense_models() -> (
    None
):
    for name, model in study_models().items():
        found = estimate_model(model)
        ratio = found.printed.tpot_s / found.right.tpot_s
        assert (ratio > 6) if model.architecture.experts else (0.98 < ratio < 1.08), name
