"""The columns of the tables, in order, with their types; units stand in the names.

| in a name | unit |
|---|---|
| `_s`, `_j`, `_w`, `_bytes`, `_kg` | seconds, joules, watts, bytes, kilograms |
| `energy_j` | the energy inside `energy_boundary`: node, job or gpu, as the study says |
| `node_j`, `job_j`, `gpu_j` | the energy inside each boundary; `cpu_j`, `dram_j` are the node's |
| `_uncertainty_j` | a bound on the error from the edges of the window |
| `solved_base`, `solved_plus` | the completion passes the base tests; base and plus tests |
| `j_per_token` | `energy_j` per generated token; all figures per unit use `energy_j` |
| `j_per_correct_task_plus` | joules per solved task; in the cell table pooled over repeats |
| `pass_at_1_plus_per_kwh` | pass@kWh: pass@1 (a fraction) per kilowatt-hour of the run |
| `tasks_lost_`, `tasks_gained_` | tasks that only the baseline solves; that only this cell solves |
| `host`, `gpu_uuids` | the machine, and the GPU boards, that the cell ran on |
| `cpu_name`, `gpu_names` | the models of processor and GPU |
| `same_board` | whether the baseline ran on the same machine and boards |
| `board_spread` | the difference between boards of one model that comparisons allow for |
| `interval_scope` | what the intervals of energy and time describe: repeats within one job |
| `ttft_s`, `tpot_s` | time to the first token; per token after it: (end - first) / (tokens - 1) |
| `bandwidth_bytes_per_s` | of this machine, as the cell measured it: bytes read and written |
| `matmul_flops_per_s` | of a square matrix multiplication, as the cell measured it |
| `step_weight_bytes` | bytes of weights that a decoding step must read |
| `kv_bytes_per_token` | bytes that a token adds to the key/value cache |
| `decode_bytes`, `_flops` | what a repeat's decoding must move and do at least; so prefill's |
| `_bandwidth_s`, `_compute_s` | the least time of those bytes, of those FLOPs |
| `_roofline_s` | the larger of the two; `_roofline_share`: of the time taken |
| `decode_tokens_per_s` | tokens after each sequence's first, per second of decoding |
| `decode_roofline_tokens_per_s` | the same tokens over `decode_roofline_s` |
| `tokens_identical_share` | tasks whose tokens are those of `engine_reference_cell_id` |
| `repeated_4grams_share`, `_lines_share` | n-grams of tokens, lines, that a completion had before |
| `loops_share` | completions that end in a loop (codewatt.analysis.repetition_metrics) |
| `_mean`, `_sd`, `_n` | over repeats: arithmetic mean, standard deviation, number of values |
| `_geomean`, `_ci95_low`, `_ci95_high` | geometric mean and its interval, on a log scale |
| `_sd196_low`, `_sd196_high` | the band of single repeats, ±1.96 SD on a log scale |
| `_change` | fraction of the baseline: x / baseline - 1, with its 95 % interval |
| `_change_p`, `_change_p_holm` | two-sided p of the change; adjusted over the study |
| `_comparisons` | how many comparisons with a baseline the study makes of this metric |
| `_change_family95_low`, `_high` | interval of the change; all comparisons hold together |
| `_difference` | x - baseline, with its 95 % interval |
| `noninferior_` | pass@1 is shown to be less than `pass_at_1_margin` below the baseline's |
| `break_even_tasks` | tasks after which a variant has saved the energy that making it cost |

docs/statistics.md defines the statistics.
"""

from codewatt.energy.boundaries import PARTS
from codewatt.energy.energy_sources import COMPONENTS

STRING, INTEGER, REAL, BOOLEAN = "string", "Int64", "Float64", "boolean"
#: Column name → pandas dtype; every dtype can be absent (NA), so that absent is never 0.
Columns = dict[str, str]

#: PARTS and "energy", which is the boundary that the study chose (`energy_boundary`).
FIGURES = (*PARTS, "energy")
TESTS = ("base", "plus")
#: Idle power: before loading, loaded before the warm-up and after the last repeat, the last two.
IDLE = ("idle_unloaded", "idle_loaded", "idle_after", "idle")
#: The k of pass@k beside 1; a column is empty where a task has fewer samples.
PASS_AT = (5, 10, 100)

_VARIANT_IDS: Columns = {
    "variant_id": STRING,
    "model": STRING,
    "prune": STRING,
    "precision": STRING,
}
CELL_IDS: Columns = {
    "cell_id": STRING,
    **_VARIANT_IDS,
    "prune_layers": INTEGER,
    "benchmark": STRING,
    "prompt": STRING,
    "token_limit": INTEGER,
    "batch_size": INTEGER,
    "engine": STRING,
    "hardware": STRING,
}
ENERGY_STATUS: Columns = {
    "energy_boundary": STRING,
    "energy_status": STRING,
    **{f"{part}_energy_status": STRING for part in PARTS},
}

TASK: Columns = {
    **CELL_IDS,
    "repeat": INTEGER,
    "sample": INTEGER,
    "task_id": STRING,
    "prompt_tokens": INTEGER,
    "new_tokens": INTEGER,
    "latency_s": REAL,
    "ttft_s": REAL,
    "tpot_s": REAL,
    "stop_reason": STRING,
    "repeated_4grams_share": REAL,
    "repeated_lines_share": REAL,
    "ends_in_loop": BOOLEAN,
    "base_status": STRING,
    "plus_status": STRING,
    **{f"solved_{tests}": BOOLEAN for tests in TESTS},
    "valid": BOOLEAN,
    **{f"{part}{kind}_j": REAL for part in FIGURES for kind in ("", "_uncertainty")},
    "energy_note": STRING,
}

#: Means over tasks of what completions repeat -> the interval over tasks that a cell has of it.
REPETITION = {
    "repeated_4grams_share": "ci95",
    "repeated_lines_share": "ci95",
    "loops_share": "wilson95",
}

#: Positive metrics of a run: a cell has their mean, SD, geometric mean, intervals and changes.
POSITIVE: tuple[str, ...] = (
    "duration_s",
    "tokens_per_s",
    "latency_s",
    "ttft_s",
    "tpot_s",
    *(f"{part}_j" for part in FIGURES),
    "prefill_s",
    "decode_s",
    "decode_tokens_per_s",
    "decode_roofline_tokens_per_s",
    *(f"{phase}_roofline_{kind}" for phase in ("prefill", "decode") for kind in ("s", "share")),
    *(f"prefill_{part}_j" for part in FIGURES),
    *(f"decode_{part}_j" for part in FIGURES),
    "j_per_token",
    "j_per_task",
    "co2e_kg",
)
#: Metrics of a run that can be near or below zero: a cell has differences, no relative changes.
SIGNED: tuple[str, ...] = tuple(f"net_{part}_j" for part in FIGURES)
#: Bounds on the error of a run's energy: a cell has their mean and largest value.
BOUNDS: tuple[str, ...] = tuple(
    f"{phase}energy_uncertainty_j" for phase in ("", "prefill_", "decode_")
)
#: Bounds on the error of net energies: a cell has their mean.
NET_BOUNDS: tuple[str, ...] = tuple(f"net_{part}_uncertainty_j" for part in FIGURES)
#: Ratios of a run's energy and its solved tasks: a cell pools them over its repeats.
POOLED: tuple[str, ...] = (
    *(f"j_per_correct_task_{tests}" for tests in TESTS),
    *(f"pass_at_1_{tests}_per_kwh" for tests in TESTS),
)
#: Metrics whose changes the pages make claims about: their p values are adjusted over the study.
CLAIMED: tuple[str, ...] = ("energy_j", "duration_s", "j_per_token", "tokens_per_s")

#: What the roofline rests on, beside METRICS; a cell has the mean, as it is counted, not measured.
ROOFLINE: Columns = {
    f"{phase}_{kind}": dtype
    for phase in ("prefill", "decode")
    for kind, dtype in (
        ("bytes", INTEGER),
        ("flops", INTEGER),
        ("bandwidth_s", REAL),
        ("compute_s", REAL),
    )
}

RUN: Columns = {
    **CELL_IDS,
    "repeat": INTEGER,
    "valid": BOOLEAN,
    "tasks": INTEGER,
    "samples_per_task": INTEGER,
    "prompt_tokens": INTEGER,
    "new_tokens": INTEGER,
    **dict.fromkeys(REPETITION, REAL),
    **{f"correct_{tests}": INTEGER for tests in TESTS},
    **{f"pass_at_1_{tests}": REAL for tests in TESTS},
    **dict.fromkeys((*POSITIVE, *SIGNED, *BOUNDS, *NET_BOUNDS, *POOLED), REAL),
    **ROOFLINE,
    **ENERGY_STATUS,
}


def _ends(name: str) -> tuple[str, str]:
    return f"{name}_low", f"{name}_high"


_SAMPLE = ("mean", "sd", "n")
_OF_POSITIVE = (
    *_SAMPLE, "geomean", *_ends("ci95"), *_ends("sd196"), "change", *_ends("change_ci95"),
)  # fmt: skip
_OF_CLAIMED = (*_OF_POSITIVE, "change_p", "comparisons", "change_p_holm", *_ends("change_family95"))
_OF_SIGNED = (*_SAMPLE, *_ends("ci95"), "difference", *_ends("difference_ci95"))
_COUNTS = ("n", "comparisons")

_METRIC_STATISTICS: Columns = {
    f"{metric}_{statistic}": INTEGER if statistic in _COUNTS else REAL
    for metrics, statistics in (
        (POSITIVE, None),
        (SIGNED, _OF_SIGNED),
        (BOUNDS, ("mean", "max")),
        (NET_BOUNDS, ("mean",)),
    )
    for metric in metrics
    for statistic in statistics or (_OF_CLAIMED if metric in CLAIMED else _OF_POSITIVE)
}
_POOLED_STATISTICS: Columns = {
    name: REAL
    for metric in POOLED
    for name in (
        metric, *_ends(f"{metric}_ci95"), f"{metric}_change", *_ends(f"{metric}_change_ci95"),
    )
}  # fmt: skip


def _accuracy(tests: str) -> Columns:
    name = f"pass_at_1_{tests}"
    return {
        name: REAL,
        f"{name}_wilson95_low": REAL,
        f"{name}_wilson95_high": REAL,
        **dict.fromkeys((f"{name}_change", *_ends(f"{name}_change_ci95")), REAL),
        **dict.fromkeys((f"{name}_difference", *_ends(f"{name}_difference_ci95")), REAL),
        f"tasks_lost_{tests}": INTEGER,
        f"tasks_gained_{tests}": INTEGER,
        f"mcnemar_p_{tests}": REAL,
        f"mcnemar_p_holm_{tests}": REAL,
        f"{name}_comparisons": INTEGER,
        f"noninferior_p_{tests}": REAL,
        f"noninferior_p_holm_{tests}": REAL,
        f"noninferior_{tests}": BOOLEAN,
        **{f"pass_at_{k}_{tests}": REAL for k in PASS_AT},
    }


CELL: Columns = {
    **CELL_IDS,
    "status": STRING,
    "status_reason": STRING,
    "valid": BOOLEAN,
    "failed_checks": STRING,
    "warnings": STRING,
    "skipped_checks": STRING,
    "baseline_cell_id": STRING,
    "change_note": STRING,
    "host": STRING,
    "cpu_name": STRING,
    "gpu_uuids": STRING,
    "same_board": BOOLEAN,
    "board_spread": REAL,
    "interval_scope": STRING,
    "repeats": INTEGER,
    "tasks": INTEGER,
    "samples_per_task": INTEGER,
    "completions_identical": BOOLEAN,
    "engine_reference_cell_id": STRING,
    "tokens_identical_share": REAL,
    "accuracy_note": STRING,
    "pass_at_1_margin": REAL,
    **_accuracy("base"),
    **_accuracy("plus"),
    **{
        f"{name}{end}": REAL
        for name, kind in REPETITION.items()
        for end in ("", f"_{kind}_low", f"_{kind}_high")
    },
    **ENERGY_STATUS,
    **{f"{part}_energy_method": STRING for part in COMPONENTS},
    "grid_country": STRING,
    "grid_gco2e_per_kwh": REAL,
    "gpu_names": STRING,
    "cpu_share": REAL,
    "sampler_cpu_share": REAL,
    **_METRIC_STATISTICS,
    **_POOLED_STATISTICS,
    "break_even_tasks": REAL,
    "break_even_tasks_low": REAL,
    "break_even_tasks_high": REAL,
    "break_even_note": STRING,
    "bandwidth_bytes_per_s": REAL,
    "matmul_flops_per_s": REAL,
    "step_weight_bytes": INTEGER,
    "kv_bytes_per_token": INTEGER,
    **{f"{name}_mean": REAL for name in ROOFLINE},
    **{f"{phase}_{part}_w": REAL for phase in IDLE for part in COMPONENTS},
    **{f"load_{part}_j": REAL for part in FIGURES},
    **{f"warmup_{part}_j": REAL for part in FIGURES},
    "evaluate_s": REAL,
    **{f"evaluate_{part}_j": REAL for part in FIGURES},
    **{f"evaluate_{part}_energy_status": STRING for part in PARTS},
    "size_bytes": INTEGER,
    "parameters": INTEGER,
}

#: docs/compression.md defines these; empty if the study has no fidelity.
FIDELITY: Columns = {
    "fidelity_corpus": STRING,
    "fidelity_positions": INTEGER,
    "logits_cosine_mean": REAL,
    "logits_cosine_min": REAL,
    "kl_nats_per_token": REAL,
    "top1_agreement_share": REAL,
    "perplexity": REAL,
    **dict.fromkeys(("perplexity_change", *_ends("perplexity_change_ci95")), REAL),
    "fidelity_note": STRING,
}


def _cost(phase: str) -> Columns:
    """What making a variant took."""
    return {
        f"{phase}_s": REAL,
        **{f"{phase}_{part}_j": REAL for part in FIGURES},
        **{f"{phase}_{part}_energy_status": STRING for part in PARTS},
        f"{phase}_energy_note": STRING,
    }


VARIANT: Columns = {
    **_VARIANT_IDS,
    "status": STRING,
    "status_reason": STRING,
    "method": STRING,
    "dtype": STRING,
    "layers": INTEGER,
    "parameters": INTEGER,
    "size_bytes": INTEGER,
    "size_bytes_change": REAL,
    "baseline_variant_id": STRING,
    "meaningful_accuracy": BOOLEAN,
    **FIDELITY,
    **_cost("quantise"),
    **_cost("score_layers"),
}

CHECK: Columns = {
    "cell_id": STRING,
    "repeat": INTEGER,
    "name": STRING,
    "severity": STRING,
    "passed": BOOLEAN,
    "observed": STRING,
    "limit": STRING,
    "unit": STRING,
    "detail": STRING,
}

TABLES: dict[str, Columns] = {
    "task": TASK,
    "run": RUN,
    "cell": CELL,
    "variant": VARIANT,
    "check": CHECK,
}
