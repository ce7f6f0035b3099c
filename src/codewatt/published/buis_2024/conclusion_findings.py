"""Findings on claims of abstract and conclusion of Buis 2024 that several tables bear on."""

import math
from collections.abc import Iterator, Mapping

from codewatt.published.buis_2024.accuracy_findings import efficient_frontier
from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.proportions import two_proportion_p
from codewatt.published.buis_2024.published_runs import (
    QUANTISED,
    SIZES,
    TASKS,
    Run,
    printed_saving,
    read_runs,
)
from codewatt.published.buis_2024.statistics_checks import REGRESSIONS
from codewatt.published.finding import BOUNDED, CONTRADICTED, NOT_SHOWN, Finding, low_and_high

Runs = Mapping[str, Run]
_LEVEL = 0.05
_DOMAINS = ("Computation", "Cryptography", "Network", "System", "Time", "Visualization")


def conclusion_findings(tables: ThesisTables) -> Iterator[Finding]:
    """Findings on claims of abstract and conclusion."""
    runs = read_runs(tables)
    yield _quantised_save(runs)
    yield _tuned_accuracy(runs)
    yield _domains(tables)
    yield _software(tables, runs)
    yield _unit_tests(runs)
    yield _pass_per_kwh(runs)


def _quantised_save(runs: Runs) -> Finding:
    values: dict[str, float] = {}
    for suffix in QUANTISED:
        for size in SIZES:
            run, whole = runs[f"{size}-Instruct-{suffix}"], runs[f"{size}-Instruct"]
            values[f"saving_{suffix}_{size}"] = 100 * float(printed_saving(run, whole))
            longer = float(run.latency_min) / float(whole.latency_min) - 1
            values[f"time_{suffix}_{size}"] = 100 * longer
    savings = [value for name, value in values.items() if name.startswith("saving_")]
    times = {name: value for name, value in values.items() if name.startswith("time_")}
    longer_runs = [value for value in times.values() if value > 0]
    smallest = [value for name, value in times.items() if name.endswith("_0.5B")]
    values |= {"runs": len(savings), "saving": sum(saving > 0 for saving in savings)}
    values |= {"longer": len(longer_runs), "shorter_low": -max(v for v in times.values() if v < 0)}
    values |= {"shorter_high": -min(times.values())} | low_and_high("time_0.5B_{}", smallest)
    shown = {
        suffix: [f"{values[f'saving_{suffix}_{size}']:.0f}" for size in SIZES]
        for suffix in QUANTISED
    }
    lists = "; ".join(f"{suffix} {', '.join(found)}" for suffix, found in shown.items())
    return Finding(
        "quantised_models_save",
        BOUNDED,
        "Chapter 5: “the effectiveness of optimisation tasks such as fine-tuning, AWQ and GPTQ has "
        "been shown to achieve energy savings”; “it is possible to generate correct and functional "
        "code with significantly less energy”.",
        f"Savings of 0.5B, 1.5B, 3B, 7B, 14B in per cent of the Instruct model's energy: {lists}. "
        f"{values['saving']:.0f} of {values['runs']:.0f} quantised models use less energy; AWQ of "
        "0.5B has the same printed energy. Run times (Instruct models of table 5.29) fall by "
        f"{values['shorter_low']:.0f} to {values['shorter_high']:.0f} % from 1.5B on. Those of "
        f"0.5B rise by {values['time_0.5B_low']:.0f} to {values['time_0.5B_high']:.0f} %.",
        "Quantised models save energy of one GPU above idle. From 1.5B on the runs are also "
        "shorter, so a boundary with CPU and DRAM would show savings too. For 0.5B the runs are "
        "longer, and such a boundary could show a cost. One run each; the engine is not stated. Of "
        "the fine-tuned models two of five use less (see the finding on fine tuning and tokens).",
        values,
    )


def _tuned_accuracy(runs: Runs) -> Finding:
    values: dict[str, float] = {}
    lines = []
    for size in SIZES:
        old, new = (float(runs[label].pass_at_1) for label in (size, f"{size}-Instruct"))
        values[f"change_{size}"] = new - old
        values[f"p_{size}"] = two_proportion_p(round(new * TASKS), round(old * TASKS))
        lines.append(f"{size} {old:.2f} to {new:.2f} (p = {values[f'p_{size}']:.2g})")
    values["higher"] = sum(values[f"change_{size}"] > 0 for size in SIZES)
    return Finding(
        "fine_tuning_and_accuracy",
        CONTRADICTED,
        "Chapter 5: “Fine-tuned models not only increase the accuracy of models”.",
        f"pass@1 of table 5.29, base to Instruct, with two-proportion tests of {TASKS:,} tasks "
        f"(independent samples assumed, not adjusted, printed values): {'; '.join(lines)}.",
        f"pass@1 rises for {values['higher']:.0f} of {len(SIZES)} sizes: 3B, 7B and 14B. It falls "
        "for 0.5B and 1.5B.",
        values,
    )


def _domains(tables: ThesisTables) -> Finding:
    values: dict[str, float] = {"regressions": len(REGRESSIONS)}
    for name in _DOMAINS:
        values[name] = sum(
            float(tables.number(table, name, "P>|z|")) < _LEVEL for table in REGRESSIONS
        )
    counts = ", ".join(f"{name} {values[name]:.0f}" for name in _DOMAINS)
    coefficients = [
        float(tables.number(table, name, "Coef."))
        for table in REGRESSIONS
        for name in _DOMAINS
        if values[name] == len(REGRESSIONS)
    ]
    values |= low_and_high("{}_percent", [100 * math.expm1(one) for one in coefficients])
    system = tables.domains["System"]
    values["system_printed"] = float(tables.number("5.1", "System", "Usage"))
    values["system_own"] = 100 * system.tasks / system.all_tasks
    return Finding(
        "domains_and_energy",
        NOT_SHOWN,
        "Abstract: “task nature significantly affects energy consumption across all tested "
        "models”.",
        f"Regressions of {values['regressions']:.0f} in which a domain has p < 0.05 at equal "
        f"numbers of tokens: {counts}. Coefficients of the domains that are significant in all are "
        f"{values['low_percent']:.0f} to {values['high_percent']:.0f} % of a task's energy. The "
        "energy of a task is mostly its time, because power was read every 10 s (finding “readings "
        "every 10 s”). The domains of table 5.1 are not those of BigCodeBench: System has "
        f"{values['system_printed']:.1f} % of the tasks instead of {values['system_own']:.1f} % "
        "(finding “domain shares”).",
        "Four domains have significant coefficients for all models. Whether the nature of a task "
        "causes them depends on how tasks were assigned to domains, which is not published.",
        values,
    )


def _software(tables: ThesisTables, runs: Runs) -> Finding:
    batches: dict[str, list[float]] = {}
    for run in runs.values():
        if run.batch_size:
            batches.setdefault(run.model, []).append(float(run.energy_kwh))
    spreads = {model: 100 * (max(found) / min(found) - 1) for model, found in batches.items()}
    values = {f"spread_{model}": spread for model, spread in spreads.items()}
    values["largest_spread"] = max(spreads.values())
    powers = [float(run.power_w.middle) for run in runs.values()]
    values |= low_and_high("{}_w", powers)
    rating = float(tables.claim("gpu_rating").value)
    return Finding(
        "software_measurement",
        NOT_SHOWN,
        "Chapter 5: “Energy consumption can be effectively measured without additional hardware”. "
        "Section 4.3: “This method accurately measured the energy consumption of LLMs”.",
        "The thesis compares its readings with no other meter. The printed energies of the three "
        f"runs of a model in table 5.18 differ by at most {values['largest_spread']:.1f} %. Mean "
        f"powers are {values['low_w']:.0f} to {values['high_w']:.0f} W above idle, below the "
        f"rating of {rating:.0f} W.",
        "The readings are repeatable and plausible. That they are accurate is not shown, and they "
        "cover one GPU only.",
        values,
    )


def _unit_tests(runs: Runs) -> Finding:
    values = low_and_high("{}_pass", [float(run.pass_at_1) for run in runs.values()])
    return Finding(
        "unit_tests_and_correctness",
        NOT_SHOWN,
        "Chapter 5: “unit testing ensured the correctness and functionality preservation of "
        "LLM-generated code”.",
        f"pass@1 of the {len(runs)} runs is {values['low_pass']:.2f} to {values['high_pass']:.2f}: "
        f"{100 * (1 - values['high_pass']):.0f} to {100 * (1 - values['low_pass']):.0f} % of the "
        "programs fail their tests. Runs that are most likely equal have different pass@1 (see "
        "the finding on the accuracy of equal runs).",
        "Unit tests count correct programs; they do not make programs correct. The unequal counts "
        "of equal runs also leave open whether all verdicts are right.",
        values,
    )


def _pass_per_kwh(runs: Runs) -> Finding:
    qwen = {label: run for label, run in runs.items() if run.table != "5.18"}
    frontier = efficient_frontier(qwen)
    order = sorted(
        qwen, key=lambda label: -qwen[label].pass_at_1.value / qwen[label].energy_kwh.value
    )
    ranks = {label: place for place, label in enumerate(order, start=1)}
    best = max(qwen, key=lambda label: qwen[label].pass_at_1.value)
    small, large = qwen["0.5B"], qwen["14B-Instruct-GPTQ-Int4"]
    values = {f"rank_{label}": rank for label, rank in ranks.items()} | {
        "frontier": len(frontier),
        "frontier_in_first": sum(ranks[label] <= len(frontier) for label in frontier),
    }
    return Finding(
        "pass_per_kwh_and_trade_off",
        NOT_SHOWN,
        "Chapter 5: “The pass@kWh metric captures the trade-off between these two information "
        "sources”.",
        f"By pass@kWh 0.5B (pass@1 {small.pass_at_1.text}) is number {ranks['0.5B']} of "
        f"{len(qwen)} runs, before 14B-Instruct-GPTQ-Int4 (pass@1 {large.pass_at_1.text}). "
        f"{best} has the highest pass@1 and is on the efficient frontier, but number "
        f"{ranks[best]}. Of {values['frontier']:.0f} runs on the frontier "
        f"{values['frontier_in_first']:.0f} are among the first {values['frontier']:.0f}.",
        "A ratio gives one order: twice the pass@1 counts as much as half the energy. It can put a "
        "model that solves a tenth of the tasks before one that solves half of them. The trade-off "
        "is shown by the frontier of figure 4.12, not by pass@kWh.",
        values,
    )
