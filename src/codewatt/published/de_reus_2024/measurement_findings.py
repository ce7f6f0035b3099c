"""Findings on how de Reus et al. 2024 measured: reference dtype, nodes, whiskers, cache misses."""

import csv
import math
from collections.abc import Iterator
from itertools import combinations
from statistics import fmean, stdev

from scipy import stats

from codewatt.published.de_reus_2024.build_data import JOB_STEPS, config_of
from codewatt.published.de_reus_2024.energy_findings import PRECISIONS
from codewatt.published.de_reus_2024.paper_runs import (
    MODELS,
    STARCODERS,
    PaperRuns,
    dram_wh,
    gpu_wh,
    label,
    quantised_configs,
    runtime_s,
    total_wh,
)
from codewatt.published.de_reus_2024.printed_tables import Config, PaperTables
from codewatt.published.de_reus_2024.pruning_findings import REPOSITORIES
from codewatt.published.finding import CONTRADICTED, NOT_SHOWN, Finding, low_and_high
from codewatt.sizing.gpu_datasheets import get_gpu
from codewatt.sizing.known_configs import known_models

_FP32_BYTES = 4
_GPU = "a100-40"
_ORIGINAL_7B: Config = ("starcoder2-7b", 128, "none", 0)


def measurement_findings(tables: PaperTables, runs: PaperRuns) -> Iterator[Finding]:
    """Findings on the measurement."""
    yield _reference_dtype(tables, runs)
    yield _whiskers(tables, runs)
    yield _nodes(runs)
    yield _clocks(tables, runs)
    yield _cache_misses(tables, runs)
    yield _dram(runs)
    yield _times_of_table_iv(tables, runs)


def _reference_dtype(tables: PaperTables, runs: PaperRuns) -> Finding:
    gpu, tasks = get_gpu(_GPU), int(tables.claim("tasks").value)
    values: dict[str, float] = {}
    lines = []
    for model in STARCODERS:
        config = (MODELS[model], 128, "none", 0)
        parameters = known_models()[REPOSITORIES[model]].parameters
        if parameters is None:
            raise ValueError(f"{model}: the number of parameters is not recorded")
        token_ms = 1000 * runs.mean(config, runtime_s) / (tasks * config[1])
        read_ms = 1000 * _FP32_BYTES * parameters / gpu.bandwidth_bytes_per_s
        values |= {f"token_ms_{model}": token_ms, f"read_ms_{model}": read_ms}
        values[f"weights_gb_{model}"] = _FP32_BYTES * parameters / 1e9
        lines.append(
            f"{model} {values[f'weights_gb_{model}']:.1f} GB, {read_ms:.1f} of {token_ms:.1f} ms"
        )
    for name, model in (("phi_2_w", "Phi-2"), ("starcoder2_3b_w", "StarCoder2-3B")):
        config = (MODELS[model], 128, "none", 0)
        values[name] = runs.mean_w(config, gpu_wh)
    return Finding(
        "reference_in_float32",
        NOT_SHOWN,
        "Section VIII compares quantised models with “their full-sized counterparts”. The paper "
        "does not name the dtype of the original models. Section II.C: quantisation “reduces the "
        "model size by transforming weights from FP32 to lower-bit formats”.",
        "The authors' scripts load StarCoder2 without a dtype, which in transformers 4 means "
        'float32, and Phi-2 with torch_dtype="auto", which means the float16 of its checkpoint. '
        "The checkpoints of StarCoder2 are bfloat16. Weights in float32, and time to read them "
        f"once at the {gpu.bandwidth_bytes_per_s / 1e9:,.0f} GB/s of an A100 with 40 GB, of the "
        f"time per token: {'; '.join(lines)}. The GPU draws {values['starcoder2_3b_w']:.0f} W for "
        f"StarCoder2-3B and {values['phi_2_w']:.0f} W for Phi-2, which has about as many "
        "parameters.",
        "The reference has twice the bytes of the checkpoint. With bfloat16 the original 7B would "
        "read its weights in half the time, so 4-bit is expected to save less on the GPU than "
        "shown, and quantisation to cost more elsewhere. How much is not in the data. Figure 8 "
        "compares Phi-2 in float16 with StarCoder2 in float32.",
        values,
    )


def _whiskers(tables: PaperTables, runs: PaperRuns) -> Finding:
    count = len(runs.groups[_ORIGINAL_7B])
    factor = float(tables.claim("whisker_factor"))
    quantile = float(stats.t.ppf(0.975, count - 1))
    values = {
        "runs": float(count),
        "interval_of_mean": quantile / math.sqrt(count),
        "interval_of_next_run": quantile * math.sqrt(1 + 1 / count),
        "normal_coverage": 100
        * float(1 - 2 * stats.t.sf(factor / math.sqrt(1 + 1 / count), count - 1)),
    }
    values["too_wide"] = factor / values["interval_of_mean"]
    values["too_narrow"] = factor / values["interval_of_next_run"]
    return Finding(
        "whiskers_are_no_confidence_interval",
        CONTRADICTED,
        "Captions of figures 3 to 6 and 8: “The whiskers display the 95% confidence interval”, "
        "1.96 times the standard deviation.",
        f"With {count} runs the 95 % confidence interval of the mean is "
        f"{values['interval_of_mean']:.2f} standard deviations wide on each side, and the interval "
        f"that contains another run with 95 % is {values['interval_of_next_run']:.2f}. 1.96 is "
        "neither.",
        f"As intervals of the mean the whiskers are {values['too_wide']:.2f} times too wide; as "
        f"intervals of single runs they contain {values['normal_coverage']:.0f} %. And the runs "
        "are not independent: most configurations are one job on one node, so the spread between "
        "nodes and days is in none of them.",
        values,
    )


def _node(file: str) -> str:
    """Node of one of EAR's logs, such as gcn37 of 3b_128_quantised.gcn37.time.csv."""
    return file.rpartition("/")[2].split(".")[1] if file else ""


def _nodes(runs: PaperRuns) -> Finding:
    nodes = {
        config: sorted({_node(one.run.ear_file) for one in found if one.run.ear_file})
        for config, found in runs.groups.items()
    }
    mixed = [config for config in quantised_configs() if len(nodes[config]) > 1]
    values: dict[str, float] = {"mixed": len(mixed)}
    lines = []
    for config in mixed:
        for node in nodes[config]:
            totals = [
                one.corrected_wh for one in runs.groups[config] if _node(one.run.ear_file) == node
            ]
            values[f"{label(config)}_{node}"] = fmean(totals)
        lines.append(
            f"{label(config)} "
            + ", ".join(
                f"{node} {values[f'{label(config)}_{node}']:.0f} Wh" for node in nodes[config]
            )
        )
    pruned = {node for config, found in nodes.items() if config[3] for node in found}
    values["pruned_nodes"] = len(pruned)
    seven_b = {
        name: ", ".join(nodes[("starcoder2-7b", limit, precision, 0)])
        for name, limit, precision in (
            ("original", 128, "none"),
            ("4-bit and 8-bit with 128 tokens", 128, "4bit"),
            ("with 256 tokens", 256, "4bit"),
        )
    }
    return Finding(
        "mixed_nodes",
        NOT_SHOWN,
        "Section VI.C: “all our experiments were done on different nodes, but for each task a "
        "different node was assigned. Figure 8 was the only experiment done on five different "
        "nodes”.",
        f"EAR's logs name the nodes. Figure 4 averages runs of two nodes: {'; '.join(lines)} (mean "
        "totals, wraps corrected). 7B ran on "
        f"{'; '.join(f'{nodes} ({name})' for name, nodes in seven_b.items())}. EAR logged no "
        f"original 3B. The published logs of figure 8 are of {values['pruned_nodes']:.0f} nodes "
        f"({', '.join(sorted(pruned))}), on one of which two jobs ran at the same time.",
        "For 7B, precision and node cannot be told apart. The two nodes of figure 4 show how much "
        "a node can matter to a total.",
        values,
    )


def _clocks(tables: PaperTables, runs: PaperRuns) -> Finding:
    values = {
        "cpu_mhz_low": min(counts.cpu_mhz_low for counts in tables.ear.values()),
        "cpu_mhz_high": max(counts.cpu_mhz_high for counts in tables.ear.values()),
    }
    values["clock_range"] = 100 * (values["cpu_mhz_high"] / values["cpu_mhz_low"] - 1)
    config: Config = ("starcoder2-7b", 128, "4bit", 0)
    powers = [one.run.ear_packages_w or 0.0 for one in runs.groups[config]]
    totals = [one.run.total_wh for one in runs.groups[config]]
    worst = powers.index(max(powers))
    rest = [total for number, total in enumerate(totals) if number != worst]
    values |= {
        "packages_w_highest": powers[worst],
        "packages_w_others": fmean(power for power in powers if power != powers[worst]),
        "total_highest": totals[worst],
        "total_others": fmean(rest),
        "sd_all": stdev(totals),
        "sd_others": stdev(rest),
    }
    return Finding(
        "clocks_and_other_jobs",
        CONTRADICTED,
        "Section VI.A: EAR shows “that the average CPU and GPU frequency did not change during our "
        "experiments, ruling out the hypothesis that other users on the same node impact the "
        "frequency”. Section VI.C: “Using the EAR framework, we found some deviations in the "
        "average CPU frequency.”",
        f"Mean CPU clocks of all logged steps are {values['cpu_mhz_low']:,.0f} to "
        f"{values['cpu_mhz_high']:,.0f} MHz, a range of {values['clock_range']:.1f} %: for the "
        "CPU the first statement is right, the second is not. But the CPU energy is that of the "
        "whole node, and that does change with other jobs: in one run of 7B, 128 tokens, 4-bit the "
        "packages draw "
        f"{values['packages_w_highest']:.0f} W instead of {values['packages_w_others']:.0f} W, and "
        f"its total is {values['total_highest']:.0f} instead of {values['total_others']:.0f} Wh.",
        "Equal clocks do not exclude other users; their power is counted. Without that run the "
        "standard deviation of the configuration in figure 5 is "
        f"{values['sd_others']:.2f} instead of {values['sd_all']:.2f} Wh.",
        values,
    )


def _cache_misses(tables: PaperTables, runs: PaperRuns) -> Finding:
    values: dict[str, float] = {}
    lines = []
    for precision, name in PRECISIONS.items():
        config: Config = ("starcoder2-7b", 128, precision, 0)
        time = runs.mean(config, runtime_s) / runs.mean(_ORIGINAL_7B, runtime_s)
        values[f"time_{precision}"] = 100 * (time - 1)
        for level in ("L1", "L2"):
            printed = tables.number(
                "readme", "Avg. increase", f"{name} {level} misses", "StarCoder2-7B, 128 tokens"
            )
            per_second = (1 + float(printed) / 100) / time
            values[f"printed_{level}_{precision}"] = float(printed)
            values[f"per_second_{level}_{precision}"] = 100 * (per_second - 1)
        lines.append(
            f"{name}: time {values[f'time_{precision}']:+.0f} %, L1 misses "
            f"{values[f'printed_L1_{precision}']:+.0f} %, L2 misses "
            f"{values[f'printed_L2_{precision}']:+.0f} %; per second "
            f"{values[f'per_second_L1_{precision}']:+.0f} % and "
            f"{values[f'per_second_L2_{precision}']:+.0f} %"
        )
    ear = tables.ear[("starcoder2-7b", 128, "4bit", 0)]
    reference = tables.ear[_ORIGINAL_7B]
    values["ear_L1_4bit"] = 100 * (ear.l1_misses / reference.l1_misses - 1)
    values["ear_L2_4bit"] = 100 * (ear.l2_misses / reference.l2_misses - 1)
    return Finding(
        "cache_misses_and_time",
        NOT_SHOWN,
        "Section VI.A: cache misses “can increase the runtime of code”; “L1 and L2 cache misses "
        "increase with quantised models”. README: for 4-bit “L2-misses increased by 45%”.",
        f"StarCoder2-7B with 128 tokens, by the README's table: {'. '.join(lines)}. The table's "
        "average for L2 with 4-bit is 48 %, not 45 %; it follows from EAR's log "
        f"({values['ear_L2_4bit']:.0f} %).",
        "L1 misses grow with the time of a run and hardly beyond it, so they do not explain it; "
        "L2 misses per second fall for 4-bit and rise for 8-bit. Both are counters of the CPU, "
        "while the weights are dequantised on the GPU.",
        values,
    )


def _dram(runs: PaperRuns) -> Finding:
    powers = [one.run.dram_w for config in quantised_configs() for one in runs.groups[config]]
    logged = [
        one.run.ear_dram_w
        for config in quantised_configs()
        for one in runs.groups[config]
        if one.run.own_dram_w is not None and one.run.ear_dram_w is not None
    ]
    shares = [100 * runs.mean(c, dram_wh) / runs.mean(c, total_wh) for c in quantised_configs()]
    values = {
        **low_and_high("dram_w_{}", powers),
        **low_and_high("ear_dram_w_{}", logged),
        **low_and_high("share_{}", shares),
    }
    return Finding(
        "dram_energy_is_time",
        NOT_SHOWN,
        "Figures 3 to 6 have a bar for the energy of the DRAM, with whiskers.",
        f"DRAM power is {values['dram_w_low']:.1f} W in all {len(powers)} "
        "runs: CodeCarbon's 0.375 W per GB of the memory that the job was given. EAR measured "
        f"{values['ear_dram_w_low']:.0f} to {values['ear_dram_w_high']:.0f} W for the node.",
        "The bars show the run time, times a constant. They are "
        f"{values['share_low']:.0f} to {values['share_high']:.0f} % of the published totals.",
        values,
    )


def _times_of_table_iv(tables: PaperTables, runs: PaperRuns) -> Finding:
    four: Config = ("starcoder2-3b", 128, "4bit", 0)
    eight: Config = ("starcoder2-3b", 256, "8bit", 0)
    printed = {
        config: [
            float(tables.number("IV", row, column, f"StarCoder2-{section}"))
            for column in ("Avg. time", "Std. deviation")
        ]
        for config, section, row in (
            (four, "3B, 128 tokens", "4-bit"),
            (eight, "3B, 256 tokens", "8-bit"),
        )
    }
    with open(JOB_STEPS, encoding="utf-8", newline="") as stream:
        times = sorted(
            float(row["runtime_s"])
            for row in csv.DictReader(stream)
            if config_of(row["table"]) == (eight[0], "256", "8bit", "0")
        )
    found = [
        chosen
        for chosen in combinations(times, 5)
        if [round(fmean(chosen), 1), round(stdev(chosen), 1)] == printed[eight]
    ]
    kept = {round(one.run.runtime_s, 1) for one in runs.groups[eight]}
    values = {
        "printed_4bit": printed[four][0],
        "runs_4bit": runs.mean(four, runtime_s),
        "printed_8bit": printed[eight][0],
        "runs_8bit": runs.mean(eight, runtime_s),
        "printed_runs": float(len(times)),
        "choices": float(len(found)),
        "common": float(sum(round(time, 1) in kept for time in found[0])) if found else 0.0,
    }
    return Finding(
        "times_of_other_runs",
        CONTRADICTED,
        "Caption of table IV: “We show the average execution time over these five experiments”.",
        f"Two of twelve rows are not of the runs of figures 3 to 6: 3B with 128 tokens and 4-bit "
        f"has {values['printed_4bit']:.1f} s, the runs {values['runs_4bit']:.1f} s; 3B with 256 "
        f"tokens and 8-bit has {values['printed_8bit']:.1f} s, the runs "
        f"{values['runs_8bit']:.1f} s. The jobs of the latter printed {len(times)} run times, and "
        f"exactly {values['choices']:.0f} choice of five of them has the printed mean and "
        f"standard deviation; {values['common']:.0f} of its runs are in the energy table.",
        "Energies and times of a configuration are of different choices of runs. The differences "
        "are below 1 %.",
        values,
    )
