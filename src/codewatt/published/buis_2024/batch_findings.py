"""Findings on the batch sizes 1, 4 and 8 of Buis 2024 (tables 5.16 to 5.18)."""

import math
from collections.abc import Iterator

from scipy.special import ndtri

from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.proportions import largest_p, smallest_difference
from codewatt.published.buis_2024.published_runs import TASKS, Run, read_runs
from codewatt.published.finding import CONTRADICTED, NOT_SHOWN, Finding
from codewatt.published.printed_number import Interval

QWEN_CODER = "Qwen-Coder2.5-7B-Instruct"
LLAMA = "Meta Llama3.1-8B-Instruct"
DEEPSEEK = "DeepSeekCoder-V2-Lite-16B"
_NAMES = {"qwen": QWEN_CODER, "llama": LLAMA, "deepseek": DEEPSEEK}
_SIZES = ("Batch size 1", "Batch size 4", "Batch size 8")
_GROUPS = len(_SIZES)


def batch_findings(tables: ThesisTables) -> Iterator[Finding]:
    """Findings on the batch sizes."""
    runs = read_runs(tables)
    by_model = {
        name: [runs[f"{model}, {size}"] for size in _SIZES] for name, model in _NAMES.items()
    }
    yield _inert(by_model)
    yield _accuracy(by_model)
    yield _statements(tables)
    yield _adjustment(tables)


def _inert(by_model: dict[str, list[Run]]) -> Finding:
    values: dict[str, float] = {}
    lines = []
    for name, runs in by_model.items():
        tokens = [run.tokens_per_task for run in runs]
        values[f"tokens_{name}"] = float(tokens[0].middle)
        values[f"tokens_spread_{name}"] = _spread(tokens)
        values[f"seconds_spread_{name}"] = _spread([run.seconds for run in runs])
        lines.append(
            f"{_NAMES[name]} {values[f'tokens_{name}']:.1f} "
            f"(spread {100 * values[f'tokens_spread_{name}']:.2f} %, of the run time "
            f"{100 * values[f'seconds_spread_{name}']:.2f} %)"
        )
    return Finding(
        "inert_batch_axis",
        NOT_SHOWN,
        "Abstract: “batch size has a minor effect”. Section 4.3: “models run with higher batch "
        "sizes tend to consume slightly more energy than models with lower batch sizes”.",
        f"Tokens per task, latency * throughput / {TASKS:,} of table 5.18, at batch sizes 1, 4 and "
        f"8 alike: {'; '.join(lines)}. A decode step of 4 or 8 sequences reads the weights once, "
        "so a batch that was used would shorten the run several times. Samples drawn at random "
        "would also change the number of tokens. BigCodeBench's generator of 2024 sets its batch "
        "size to 1 for one greedy sample per task (bigcodebench/generate.py, “Greedy decoding ON "
        "(--greedy): setting bs=1”). That the thesis used this generator and greedy decoding is "
        "an assumption.",
        "The three runs of a model are most likely repeats of one run at batch size 1. They say "
        "how well a run can be repeated, not how batch size changes energy.",
        values,
    )


def _accuracy(by_model: dict[str, list[Run]]) -> Finding:
    qwen, deepseek = by_model["qwen"], by_model["deepseek"]
    values = {
        "p_qwen_1_4": largest_p(qwen[0], qwen[1]),
        "tasks_qwen_1_4": smallest_difference(qwen[0], qwen[1]),
        "p_deepseek_1_8": largest_p(deepseek[0], deepseek[2]),
        "tasks_deepseek_1_8": smallest_difference(deepseek[0], deepseek[2]),
    }
    return Finding(
        "accuracy_of_equal_runs",
        CONTRADICTED,
        "Table 5.18: pass@1 of Qwen-Coder 0.32, 0.21, 0.21 and of DeepSeekCoder 0.29, 0.29, 0.49 "
        "at batch sizes 1, 4, 8. Section 4.2.2.1 compares models by DeepSeekCoder's “pass@1 score "
        "of 0.4947” at batch size 8.",
        "Greedy runs with equal tokens have equal programs and verdicts, apart from single tasks. "
        f"But at least {values['tasks_qwen_1_4']:.0f} verdicts differ between batch sizes 1 and 4 "
        f"of Qwen-Coder and {values['tasks_deepseek_1_8']:.0f} between 1 and 8 of DeepSeekCoder. "
        "Chance cannot explain it either: a two-proportion test, which assumes independent samples "
        f"of {TASKS:,} tasks, gives at most p = {values['p_qwen_1_4']:.1e} and "
        f"{values['p_deepseek_1_8']:.1e} for the counts that rounding allows. Llama has 0.24 "
        "three times, as expected.",
        "Some of these pass@1 were probably extracted or judged in another way. The data do not "
        "tell which of them is right, so pass@1 of Qwen-Coder and DeepSeekCoder is uncertain by "
        "0.11 and 0.20. DeepSeekCoder is ahead of Llama at every batch size, but ahead of "
        "Qwen-Coder at 4 and 8 only.",
        values,
    )


def _statements(tables: ThesisTables) -> Finding:
    statistics = {
        name: tables.number("5.16", model, "Kruskal-Wallis statistic")
        for name, model in _NAMES.items()
    }
    values = {
        f"epsilon_squared_{name}": float(number.value) / (_GROUPS * TASKS - 1)
        for name, number in statistics.items()
    }
    shares = ", ".join(f"{100 * value:.1f} %" for value in values.values())
    return Finding(
        "batch_statements",
        CONTRADICTED,
        "Section 4.3: “Batching was shown to be crucial for managing energy efficiency”, and “the "
        "differences are minimal”. Section 4.4: “In the batch size analysis there were no "
        "significant differences in energy consumption”. Chapter 5: “A significant difference in "
        "energy consumption was found across batch sizes for the Meta and Qwen2.5 models”.",
        "Table 5.16 has p < 0.001 for Qwen-Coder and Llama and 0.28 for DeepSeekCoder. Batch size "
        f"explains {shares} of the variance of ranks (epsilon squared, H / (N - 1), with N = 3 * "
        f"{TASKS:,}).",
        "The differences of two models are significant and very small. With an inert batch size "
        "they are differences between single runs, for instance of temperature.",
        values,
    )


def _adjustment(tables: ThesisTables) -> Finding:
    """For groups of equal size without ties the squared z of all pairs sum to H * groups / 2."""
    first, second = (float(tables.claim(f"dunn_qwen_{pair}").value) for pair in ("1_4", "4_8"))
    expected = float(tables.claim("kruskal_wallis_qwen").value) * _GROUPS / 2
    values = {
        "expected_sum": expected,
        "sum_bonferroni": _sum_of_squares(first / 3, second / 3),
        "sum_holm": _sum_of_squares(first, second / 2),
        "sum_unadjusted": _sum_of_squares(first, second),
    }
    block = tables.rows("5.17")
    row = block["5.17", LLAMA, "Batch size 1"]
    llama = [float(row[f"p-value, batch size {size}"].number.value) for size in (4, 8)]
    values["sum_bonferroni_llama"] = _sum_of_squares(llama[0] / 3, llama[1] / 3)
    values["expected_sum_llama"] = float(tables.claim("kruskal_wallis_llama").value) * _GROUPS / 2
    return Finding(
        "unnamed_adjustment",
        NOT_SHOWN,
        "Table 5.17: “Dunn's Post-Hoc Test with Adjusted p-values”, and section 4.2.2.1: “batch "
        "size 8 has a statistically significant higher energy consumption than batch size 4”. The "
        "adjustment is not named.",
        "For groups of equal size the squares of Dunn's z of the three pairs sum to 1.5 H = "
        f"{expected:.2f} for Qwen-Coder. p = 0.0801 and 0.0494 give "
        f"{values['sum_bonferroni']:.2f} if they were adjusted by Bonferroni's rule, "
        f"{values['sum_holm']:.2f} by Holm's, {values['sum_unadjusted']:.2f} if not at all. For "
        f"Llama Bonferroni's rule gives {values['sum_bonferroni_llama']:.1f} of "
        f"{values['expected_sum_llama']:.1f}, if its batch size 1 lies between 4 and 8.",
        "The p values are adjusted by Bonferroni's rule. Llama's energies rank 4, 1, 8: energy "
        "does not grow with batch size.",
        values,
    )


def _sum_of_squares(p_first: float, p_second: float) -> float:
    """Squares of z of two neighbouring pairs and of their sum, from two-sided p values."""
    first, second = (float(-ndtri(p / 2)) for p in (p_first, p_second))
    return math.fsum((first**2, second**2, (first + second) ** 2))


def _spread(intervals: list[Interval]) -> float:
    """Largest / smallest printed value - 1."""
    middles = [interval.middle for interval in intervals]
    return float(max(middles) / min(middles) - 1)
