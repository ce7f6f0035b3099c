"""Findings on pass@1, pass@kWh and the efficient frontier of Buis 2024."""

from collections.abc import Iterator, Mapping

from codewatt.published.buis_2024.batch_findings import DEEPSEEK, LLAMA
from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.proportions import (
    detection_probability,
    largest_p,
    smallest_p,
    two_proportion_p,
)
from codewatt.published.buis_2024.published_runs import QUANTISED, SIZES, TASKS, Run, read_runs
from codewatt.published.finding import CONTRADICTED, HOLDS, NOT_SHOWN, Finding

Runs = Mapping[str, Run]
_LEVEL = 0.05


def accuracy_findings(tables: ThesisTables) -> Iterator[Finding]:
    """Findings on accuracy."""
    runs = {label: run for label, run in read_runs(tables).items() if run.table != "5.18"}
    yield _quantised_accuracy(runs)
    yield _size_and_accuracy(runs)
    yield _pass_per_kwh_and_size(tables)
    yield _rounded_pass_per_kwh(runs)
    yield _frontier(runs)
    yield _llama_and_deepseek(read_runs(tables))


def efficient_frontier(runs: Runs) -> list[str]:
    """Labels of the runs of which no other has at most the energy and at least the pass@1.

    Printed values; a run with equal values does not dominate.
    """
    points = {label: (run.energy_kwh.value, run.pass_at_1.value) for label, run in runs.items()}
    return [
        label
        for label, (energy, accuracy) in points.items()
        if not any(
            other[0] <= energy and other[1] >= accuracy and other != (energy, accuracy)
            for other in points.values()
        )
    ]


def _quantised_accuracy(runs: Runs) -> Finding:
    values: dict[str, float] = {}
    for suffix in QUANTISED:
        for size in SIZES:
            pair = runs[f"{size}-Instruct"], runs[f"{size}-Instruct-{suffix}"]
            counts = [round(float(run.pass_at_1.value) * TASKS) for run in pair]
            values[f"p_{size}_{suffix}"] = two_proportion_p(counts[0], counts[1])
            values[f"largest_p_{size}_{suffix}"] = largest_p(*pair)
            values[f"smallest_p_{size}_{suffix}"] = smallest_p(*pair)
    found = {
        suffix: [size for size in SIZES if values[f"p_{size}_{suffix}"] < _LEVEL]
        for suffix in QUANTISED
    }
    undecided = [
        f"{suffix} of {size}"
        for suffix in QUANTISED
        for size in SIZES
        if values[f"smallest_p_{size}_{suffix}"] < _LEVEL <= values[f"largest_p_{size}_{suffix}"]
    ]
    values["found_loss_of_0.03"] = detection_probability(0.4, 0.03)
    return Finding(
        "accuracy_of_quantised_models",
        HOLDS,
        "Abstract: GPTQ-INT8 “without significantly reduced accuracy, whereas GPTQ-INT4 models "
        "showed slight decreases and AWQ showed substantially lower pass@1 scores”. The thesis "
        "has no test of pass@1.",
        f"Two-proportion tests of {TASKS:,} tasks against the Instruct model (independent samples "
        "assumed, not adjusted, printed values): GPTQ-Int8 p >= "
        f"{min(values[f'p_{size}_GPTQ-Int8'] for size in SIZES):.2f}; GPTQ-Int4 p < 0.05 for "
        f"{', '.join(found['GPTQ-Int4'])}; AWQ p < 0.05 for {', '.join(found['AWQ'])}, and "
        f"{values['p_7B_AWQ']:.3f} for 7B. Rounding can change only the conclusion on "
        f"{', '.join(undecided)}.",
        "The statement holds: no loss is shown for GPTQ-Int8, a loss for "
        f"{len(found['GPTQ-Int4'])} of {len(SIZES)} sizes of GPTQ-Int4 and for {len(found['AWQ'])} "
        "of AWQ. That no loss is shown does not mean that there is none: at a pass@1 of 0.4 this "
        f"test finds a loss of 0.03 in {100 * values['found_loss_of_0.03']:.0f} % of the cases.",
        values,
    )


def _size_and_accuracy(runs: Runs) -> Finding:
    values = {size: float(runs[size].pass_at_1) for size in SIZES}
    values["p_3b_7b"] = two_proportion_p(
        *(round(float(runs[size].pass_at_1) * TASKS) for size in ("3B", "7B"))
    )
    values["largest_p_3b_7b"] = largest_p(runs["3B"], runs["7B"])
    return Finding(
        "size_and_accuracy",
        NOT_SHOWN,
        "Section 4.2.3.1: table 5.24 shows “improved accuracy which is reflected in a higher "
        "pass@k rate” of larger models.",
        "pass@1 of the base models: "
        + ", ".join(f"{size} {values[size]:.2f}" for size in SIZES)
        + ". 3B is ahead of 7B; a two-proportion test gives p = "
        f"{values['p_3b_7b']:.2f}, and up to {values['largest_p_3b_7b']:.2f} within rounding. The "
        "Instruct models rise with size throughout.",
        "The statement holds for the Instruct models. Among the base models 7B is an exception, "
        "which may be chance.",
        values,
    )


def _pass_per_kwh_and_size(tables: ThesisTables) -> Finding:
    values = {size: float(tables.number("5.24", size, "Pass@kWh")) for size in SIZES}
    return Finding(
        "pass_per_kwh_and_size",
        CONTRADICTED,
        "Section 4.2.4: figure 4.12 “shows that larger models have higher pass@kwh rates”, and the "
        "efficient frontier is formed by models that “minimise the pass@kwh rate”.",
        "pass@kWh of table 5.24 falls with size: "
        + ", ".join(f"{size} {values[size]:.2f}" for size in SIZES)
        + ". By equation 3.37 a high pass@kWh is good.",
        "Larger models have lower pass@kWh. Both sentences are probably slips for the opposite.",
        values,
    )


def _rounded_pass_per_kwh(runs: Runs) -> Finding:
    values = {}
    for label, run in runs.items():
        allowed = run.pass_per_kwh
        values[label] = float((allowed.high - allowed.low) / 2 / allowed.middle)
    names = ("0.5B", "0.5B-Instruct-GPTQ-Int8", "0.5B-Instruct-AWQ", "14B")
    ranges = "; ".join(
        f"{name} {float(runs[name].pass_per_kwh.low):.2f} to "
        f"{float(runs[name].pass_per_kwh.high):.2f}"
        for name in names
    )
    return Finding(
        "rounded_pass_per_kwh",
        NOT_SHOWN,
        "Tables 5.24, 5.29, 5.34 and 5.40 print pass@kWh with two decimals, such as 1.25 for 0.5B.",
        "All 40 values are quotients of the printed pass@1 and energy, which have one or two "
        f"digits for small models. What the rounding allows: {ranges}.",
        "The values follow. Small models' pass@kWh is uncertain by up to 15 %, and by more than "
        "half for 0.5B with AWQ, so neighbouring ranks of the 0.5B models are not certain.",
        values,
    )


def _frontier(runs: Runs) -> Finding:
    frontier = efficient_frontier(runs)
    unquantised = [label for label in frontier if not any(name in label for name in QUANTISED)]
    values = {
        "runs": len(runs),
        "frontier": len(frontier),
        "gptq": sum("GPTQ" in label for label in frontier),
        "awq": sum("AWQ" in label for label in frontier),
        "unquantised": len(unquantised),
    }
    return Finding(
        "efficient_frontier",
        HOLDS,
        "Section 4.2.4: “the GPTQ-INT4 models and the GPTQ-INT8 models regularly lie on this "
        "efficient frontier”.",
        f"Of {len(runs)} runs, {len(frontier)} are on the frontier of energy and pass@1 (printed "
        f"values): {', '.join(frontier)}.",
        "GPTQ models lie on the frontier regularly, as the text says. AWQ of 3B and 7B is on it "
        f"too. Of the unquantised models only {', '.join(unquantised)} is.",
        values,
    )


def _llama_and_deepseek(runs: Runs) -> Finding:
    values: dict[str, float] = {}
    pairs = {}
    for size in (1, 4, 8):
        llama, deepseek = (runs[f"{model}, Batch size {size}"] for model in (LLAMA, DEEPSEEK))
        pairs[size] = (llama.pass_at_1.text, deepseek.pass_at_1.text)
        values[f"difference_{size}"] = float(llama.pass_at_1.value - deepseek.pass_at_1.value)
        values[f"largest_p_{size}"] = largest_p(llama, deepseek)
    printed = "; ".join(
        f"{left} and {right} (batch size {size})" for size, (left, right) in pairs.items()
    )
    highest = max(values[f"largest_p_{size}"] for size in pairs)
    below = all(values[f"difference_{size}"] < 0 for size in pairs)
    return Finding(
        "llama_below_deepseek",
        HOLDS if below and highest < _LEVEL else NOT_SHOWN,
        "Abstract: Llama used more energy than DeepSeekCoder “while achieving lower accuracy”.",
        f"pass@1 of Llama and DeepSeekCoder: {printed}. A test of two independent proportions of "
        f"1,140 tasks gives p of at most {highest:.2g}, not adjusted, for any number of solved "
        "tasks that the printed values allow.",
        "Llama is below DeepSeekCoder in all three pairs of runs. By how much is uncertain, "
        "because DeepSeekCoder has two values of pass@1 for equal runs "
        "(see the finding on the accuracy of equal runs).",
        values,
    )
