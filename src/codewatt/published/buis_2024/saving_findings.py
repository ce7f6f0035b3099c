"""Findings on the energy that fine-tuning and quantisation save in Buis 2024."""

import math
from collections.abc import Iterator, Mapping
from itertools import combinations

from codewatt.published.buis_2024.batch_findings import DEEPSEEK, LLAMA
from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.published_runs import (
    QUANTISED,
    SIZES,
    Run,
    printed_saving,
    read_runs,
    saving,
)
from codewatt.published.finding import CONTRADICTED, HOLDS, NOT_SHOWN, Finding
from codewatt.published.printed_number import Interval

Runs = Mapping[str, Run]


def saving_findings(tables: ThesisTables) -> Iterator[Finding]:
    """Findings on savings of energy and time."""
    runs = read_runs(tables)
    yield _wrong_reference(tables, runs)
    yield _disagreeing_savings(runs)
    yield _llama_over_deepseek(tables, runs)
    yield _larger_models(runs)
    yield _fine_tuning(runs)
    yield _tokens_of_quantised(runs)


def change_percent(new: float, old: float) -> float:
    """new / old - 1 in per cent."""
    return 100 * (new / old - 1)


def _wrong_reference(tables: ThesisTables, runs: Runs) -> Finding:
    """Latency changes of all quantised models against the printed and the right reference."""
    values: dict[str, float] = {}
    for size in SIZES:
        instruct = runs[f"{size}-Instruct"]
        for suffix, table in QUANTISED.items():
            run = runs[f"{size}-Instruct-{suffix}"]
            printed = tables.number(table, instruct.model, "Latency")
            name = f"{size}_{suffix}"
            values[f"printed_{name}"] = change_percent(float(run.latency_min), float(printed))
            values[f"right_{name}"] = change_percent(
                float(run.latency_min), float(instruct.latency_min)
            )
    examples = "; ".join(
        f"{size} {suffix} {values[f'printed_{size}_{suffix}']:+.1f} % becomes "
        f"{values[f'right_{size}_{suffix}']:+.1f} %"
        for size, suffix in (("7B", "GPTQ-Int8"), ("14B", "GPTQ-Int4"), ("14B", "AWQ"))
    )
    base, instruct = runs["14B"], runs["14B-Instruct"]
    mixed = instruct.energy_kwh.rounded * 60_000 / base.latency_min.rounded
    values["mixed_power_14b_w"] = float(mixed.middle)
    values["right_power_14b_w"] = float(instruct.power_w.middle)
    return Finding(
        "wrong_reference_of_latency",
        CONTRADICTED,
        "Tables 5.34 and 5.40 list the Instruct models as the reference of AWQ and GPTQ. Section "
        "4.2.3.4: “latency reduction from 191.68 ms to 109.55 ms” for GPTQ-Int8 of 7B; section "
        "4.2.3.3: 3B-Instruct “sees an increase from 76.24 tokens per second”.",
        "All five Instruct rows of both tables have the latency and throughput of the base models "
        "(table 5.24) beside the energy and pass@1 of the Instruct models (table 5.29: 7B-Instruct "
        "180.82 min and 38.95 tokens/s, not 191.68 and 37.00). Energy over latency shows that the "
        f"rows are mixed: 14B-Instruct would draw {values['mixed_power_14b_w']:.0f} W, with table "
        f"5.29 it draws {values['right_power_14b_w']:.0f} W like the other 14B runs. Changes of "
        f"latency, corrected: {examples}.",
        "Changes of latency and throughput by AWQ and GPTQ must be taken from table 5.29. Savings "
        "of energy are not affected.",
        values,
    )


def _disagreeing_savings(runs: Runs) -> Finding:
    pairs = {"fine_tuning": [(runs[f"{size}-Instruct"], runs[size]) for size in SIZES]}
    for suffix in QUANTISED:
        pairs[suffix] = [
            (runs[f"{size}-Instruct-{suffix}"], runs[f"{size}-Instruct"]) for size in SIZES
        ]
    values: dict[str, float] = {}
    for name, found in pairs.items():
        run, reference = max(found, key=lambda pair: printed_saving(*pair))
        allowed = saving(run, reference) * 100
        values[f"largest_{name}"] = 100 * float(printed_saving(run, reference))
        values[f"low_{name}"], values[f"high_{name}"] = float(allowed.low), float(allowed.high)

    def largest(name: str) -> str:
        return (
            f"{values[f'largest_{name}']:.2f} % ({values[f'low_{name}']:.1f} to "
            f"{values[f'high_{name}']:.1f} by rounding)"
        )

    return Finding(
        "disagreeing_savings",
        CONTRADICTED,
        "“up to 19%, 67%, 40% and 67%” (abstract) or “up to 19.65%, 51.11%, 41.48% and 63.41%” "
        "(chapter 5) for fine-tuning, AWQ, GPTQ-INT8 and GPTQ-INT4; GPTQ-INT4 of 14B “66%” in "
        "sections 4.2.3.4 and 4.3.",
        f"The largest savings of tables 5.29, 5.34 and 5.40: fine-tuning "
        f"{largest('fine_tuning')}, 14B; AWQ {largest('AWQ')}, 7B; GPTQ-Int8 "
        f"{largest('GPTQ-Int8')}, 14B; GPTQ-Int4 {largest('GPTQ-Int4')}, 14B. 51.11 % is AWQ of "
        "14B, and 63.41 % is GPTQ-Int4 of 7B: not the largest. 67 % for GPTQ-Int4 and 40 % for "
        "GPTQ-Int8 are outside what rounding allows.",
        "That the models save energy is not in doubt; some of the figures are wrong, by one point "
        "or by 16. The largest savings are 20 % (fine-tuning), 67 % (AWQ), 41 % (GPTQ-Int8) and "
        "66 % (GPTQ-Int4).",
        values,
    )


def _llama_over_deepseek(tables: ThesisTables, runs: Runs) -> Finding:
    llama, deepseek = (runs[f"{model}, Batch size 1"].energy_kwh for model in (LLAMA, DEEPSEEK))
    means = [tables.claim(f"mean_energy_{name}") for name in ("llama", "deepseek")]
    allowed = (llama.rounded / deepseek.rounded - 1) * 100
    values = {
        "of_rounded": change_percent(float(llama), float(deepseek)),
        "of_means": change_percent(float(means[0]), float(means[1])),
        "low": float(allowed.low),
        "high": float(allowed.high),
    }
    return Finding(
        "llama_over_deepseek",
        CONTRADICTED,
        "Llama uses “130.77% more energy” than DeepSeekCoder (abstract, section 4.3, chapter 5); "
        "section 4.2.2.1: “134.22% higher energy consumption”.",
        f"0.90 / 0.39 of table 5.18 gives {values['of_rounded']:.2f} %; the means of section "
        f"4.2.2.1, 0.9055 / 0.3866, give {values['of_means']:.2f} %. The rounded energies allow "
        f"{values['low']:.1f} to {values['high']:.1f} %.",
        "134.22 % is the better figure. The five digits of 130.77 % come from two rounded numbers "
        "with two digits.",
        values,
    )


def _larger_models(runs: Runs) -> Finding:
    values = {
        f"{suffix}_{size}": 100
        * float(printed_saving(runs[f"{size}-Instruct-{suffix}"], runs[f"{size}-Instruct"]))
        for suffix in QUANTISED
        for size in SIZES
    }
    pairs = [
        values[f"{suffix}_{large}"] > values[f"{suffix}_{small}"]
        for suffix in QUANTISED
        for small, large in combinations(SIZES, 2)
    ]
    values |= {"pairs": len(pairs), "larger_saves_more": sum(pairs)}
    lists = "; ".join(
        f"{suffix} " + ", ".join(f"{values[f'{suffix}_{size}']:.0f}" for size in SIZES)
        for suffix in QUANTISED
    )
    return Finding(
        "larger_models_save_more",
        HOLDS,
        "Chapter 5: “Larger models tend to show larger relative reductions in energy consumption "
        "compared to smaller models.”",
        f"Savings of 0.5B, 1.5B, 3B, 7B, 14B in per cent: {lists}. In "
        f"{values['larger_saves_more']:.0f} of {len(pairs)} pairs of sizes the larger model saves "
        "more.",
        "The tendency holds. The exception is AWQ of 14B, which saves less than AWQ of 1.5B, 3B "
        "and 7B.",
        values,
    )


def _fine_tuning(runs: Runs) -> Finding:
    values: dict[str, float] = {}
    for size in SIZES:
        base, tuned = runs[size], runs[f"{size}-Instruct"]
        values[f"energy_{size}"] = -100 * float(printed_saving(tuned, base))
        values[f"tokens_{size}"] = _change(tuned.tokens_per_task, base.tokens_per_task)
        values[f"per_token_{size}"] = _change(tuned.j_per_token, base.j_per_token)
        values[f"throughput_{size}"] = change_percent(
            float(tuned.throughput), float(base.throughput)
        )
    values["token_share_14B"] = math.log1p(values["tokens_14B"] / 100) / math.log1p(
        values["energy_14B"] / 100
    )
    changed = "; ".join(
        f"{size} {values[f'energy_{size}']:+.1f} %, {values[f'tokens_{size}']:+.1f} %, "
        f"{values[f'per_token_{size}']:+.1f} %"
        for size in ("3B", "7B", "14B")
    )
    return Finding(
        "fine_tuning_and_tokens",
        NOT_SHOWN,
        "Chapter 5: “Fine-tuned models not only increase the accuracy of models but also tend to "
        "lower the energy consumption of a model.” Section 4.2.3.2: fine-tuned models “have higher "
        "token processing speed”.",
        "Changes of energy, tokens per task and energy per token from base to Instruct: "
        f"{changed}. Base and Instruct models have the same shape, so the computation of a token "
        f"is the same. Yet throughput of 14B rises by {values['throughput_14B']:.1f} % and of 7B "
        f"by {values['throughput_7B']:.1f} %. Energies of 0.5B and 1.5B are equal as printed, that "
        "of 3B is higher. pass@1 falls for 0.5B and 1.5B, although section 4.2.3.2 says “smaller "
        "models do not show lower pass@k rates”.",
        "Two of five models use less energy after fine-tuning. For 14B "
        f"{100 * values['token_share_14B']:.0f} % of the saving (of its logarithm) is that fewer "
        "tokens were generated. The rest must have another cause than the weights, such as the "
        "lengths of single answers or the state of the machine. One run each cannot tell.",
        values,
    )


def _tokens_of_quantised(runs: Runs) -> Finding:
    values: dict[str, float] = {}
    for size in SIZES:
        instruct = runs[f"{size}-Instruct"]
        for suffix in QUANTISED:
            run, name = runs[f"{size}-Instruct-{suffix}"], f"{size}_{suffix}"
            values[f"tokens_{name}"] = _change(run.tokens_per_task, instruct.tokens_per_task)
            values[f"per_run_{name}"] = 100 * float(printed_saving(run, instruct))
            values[f"per_token_{name}"] = -_change(run.j_per_token, instruct.j_per_token)
    awq = "; ".join(
        f"{size} {values[f'tokens_{size}_AWQ']:+.0f} % tokens, saving "
        f"{values[f'per_run_{size}_AWQ']:.0f} % per run and "
        f"{values[f'per_token_{size}_AWQ']:.0f} % per token"
        for size in SIZES[1:]
    )
    gptq = max(
        abs(values[f"tokens_{size}_{suffix}"])
        for size in SIZES
        for suffix in ("GPTQ-Int8", "GPTQ-Int4")
    )
    values["largest_gptq_tokens"] = gptq
    return Finding(
        "tokens_of_quantised_models",
        NOT_SHOWN,
        "Section 4.2.3.3 attributes the savings of AWQ to “the reduced precision in the parameter "
        "weights”.",
        f"AWQ also changes how long the answers are: {awq}. GPTQ changes the tokens by at most "
        f"{gptq:.1f} %. Tokens per task are latency * throughput / 1,140, with the Instruct models "
        "of table 5.29.",
        "Part of the savings of AWQ of 1.5B and 3B is shorter answers, which also goes with their "
        "lower pass@1. Savings per token are the fairer comparison of precisions.",
        values,
    )


def _change(new: Interval, old: Interval) -> float:
    """Change of the middles in per cent."""
    return change_percent(float(new.middle), float(old.middle))
