"""Names and types of the columns of all tables, in their order.

Units are part of the names: `_s` seconds, `_j` joules, `_w` watts, `_bytes` bytes, `_kg`
kilograms. codewatt.analysis.column_descriptions says what each column means; a test fails when a
column has no description.
"""

from collections.abc import Iterable
from typing import Any

from codewatt.energy.boundaries import PARTS
from codewatt.energy.energy_sources import COMPONENTS
from codewatt.energy.task_energy import JUDGED_PARTS

STRING, INTEGER, REAL, BOOLEAN = "string", "Int64", "Float64", "boolean"
#: A row of a table: column -> value, None where absent.
Row = dict[str, Any]
#: Column name → pandas dtype. Each dtype has NA, so that an absent value is never 0.
Columns = dict[str, str]

#: PARTS, and "energy": the part that the study chose (`energy_boundary`).
FIGURES = (*PARTS, "energy")
#: Parts of the energy of judging, which uses no GPU; "energy" as in FIGURES.
JUDGED_FIGURES = (*JUDGED_PARTS, "energy")
#: Begins the names of columns on the energy of generating and judging together.
BOTH = "generate_evaluate_"
TESTS = ("base", "plus")
#: Times of idle power: before loading, loaded before the warm-up, after the last repeat, and the
#: mean of the last two.
IDLE = ("idle_unloaded", "idle_loaded", "idle_after", "idle")
#: The k of pass@k, besides 1, that every cell table has; a column is empty if a task has fewer
#: samples, or the study does not ask for this k. `cell_columns` adds a study's other k.
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
#: A cell in one session; without `session`, `cell_id` names the cell of the design.
SESSION_IDS: Columns = {**CELL_IDS, "session": INTEGER}
ENERGY_STATUS: Columns = {
    "energy_boundary": STRING,
    "energy_status": STRING,
    **{f"{part}_energy_status": STRING for part in PARTS},
}

TASK: Columns = {
    **SESSION_IDS,
    "repeat": INTEGER,
    "sample": INTEGER,
    "task_id": STRING,
    "domains": STRING,
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
    "exclusion_reason": STRING,
    **{f"solved_{tests}": BOOLEAN for tests in TESTS},
    "valid": BOOLEAN,
    **{f"{part}{kind}_j": REAL for part in FIGURES for kind in ("", "_uncertainty")},
    "energy_note": STRING,
    "evaluate_s": REAL,
    "evaluate_cpu_s": REAL,
    "evaluate_completions": INTEGER,
    **{
        f"evaluate_{part}{kind}_j": REAL for part in JUDGED_FIGURES for kind in ("", "_uncertainty")
    },
    **{f"{BOTH}{part}_j": REAL for part in JUDGED_FIGURES},
    f"{BOTH}energy_uncertainty_j": REAL,
    "evaluate_note": STRING,
}

#: Repetition metric (a mean over tasks) -> kind of its interval over tasks in the cell table.
REPETITION = {
    "repeated_4grams_share": "ci95",
    "repeated_lines_share": "ci95",
    "loops_share": "wilson95",
}

#: Positive metrics of a run: the cell table has their mean, SD, geometric mean, intervals, changes.
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
    f"{BOTH}energy_j",
)
#: Energies of a run that include judging: the cell table has only their mean, as a session is
#: judged once.
JUDGING: tuple[str, ...] = (
    *(f"evaluate_{part}_j" for part in JUDGED_FIGURES),
    "evaluate_energy_uncertainty_j",
    "evaluate_unshared_energy_j",
    *(f"{BOTH}{part}_j" for part in JUDGED_PARTS),
    f"{BOTH}energy_uncertainty_j",
    f"{BOTH}j_per_task",
)
#: Net energies can be zero or negative: the cell table has differences, not relative changes.
SIGNED: tuple[str, ...] = tuple(f"net_{part}_j" for part in FIGURES)
#: Bounds on the error of a run's energy: the cell table has their mean and largest value.
BOUNDS: tuple[str, ...] = tuple(
    f"{phase}energy_uncertainty_j" for phase in ("", "prefill_", "decode_")
)
#: Bounds on the error of net energies: the cell table has their mean.
NET_BOUNDS: tuple[str, ...] = tuple(f"net_{part}_uncertainty_j" for part in FIGURES)
#: Ratios of energy and solved tasks: the cell table pools them over the repeats.
POOLED: tuple[str, ...] = tuple(
    name
    for of in ("", BOTH)
    for name in (
        *(f"{of}j_per_correct_task_{tests}" for tests in TESTS),
        *(f"{of}pass_at_1_{tests}_per_kwh" for tests in TESTS),
    )
)
#: Metrics whose changes are tested: their p values are Holm-adjusted over the study.
CLAIMED: tuple[str, ...] = ("energy_j", "duration_s", "j_per_token", "tokens_per_s")

#: Quantities behind the roofline: counted, not measured, so the cell table has only their mean.
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
    **SESSION_IDS,
    "repeat": INTEGER,
    "valid": BOOLEAN,
    "tasks": INTEGER,
    "tasks_judged": INTEGER,
    "samples_per_task": INTEGER,
    "prompt_tokens": INTEGER,
    "new_tokens": INTEGER,
    **dict.fromkeys(REPETITION, REAL),
    **{f"correct_{tests}": INTEGER for tests in TESTS},
    **{f"pass_at_1_{tests}": REAL for tests in TESTS},
    **dict.fromkeys((*POSITIVE, *SIGNED, *BOUNDS, *NET_BOUNDS, *POOLED, *JUDGING), REAL),
    "evaluate_note": STRING,
    **ROOFLINE,
    **ENERGY_STATUS,
}


def _ends(name: str) -> tuple[str, str]:
    return f"{name}_low", f"{name}_high"


_SAMPLE = ("mean", "sd", "n")
_OF_POSITIVE = (
    *_SAMPLE, "geomean", *_ends("ci95"), *_ends("sd_band"), "change", *_ends("change_ci95"),
)  # fmt: skip
_OF_CLAIMED = (
    *_OF_POSITIVE,
    "log_sd_between_sessions",
    "change_p",
    "comparisons",
    "change_p_holm",
    *_ends("change_simultaneous95"),
)
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
    "asked": STRING,
    "host": STRING,
    "cpu_name": STRING,
    "gpu_uuids": STRING,
    "same_host_and_gpus": BOOLEAN,
    "board_spread": REAL,
    "interval_scope": STRING,
    "sessions": INTEGER,
    "repeats": INTEGER,
    "tasks": INTEGER,
    "tasks_judged": INTEGER,
    "excluded_tasks": STRING,
    "samples_per_task": INTEGER,
    "completions_identical": BOOLEAN,
    "completions_identical_between_sessions": BOOLEAN,
    "engine_reference_cell_id": STRING,
    "tokens_identical_share": REAL,
    "accuracy_note": STRING,
    "pass_at_1_margin": REAL,
    **_accuracy("base"),
    **_accuracy("plus"),
    **{f"frontier_probability_{tests}": REAL for tests in TESTS},
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
    "evaluate_energy_uncertainty_j": REAL,
    **{f"{name}_mean": REAL for name in JUDGING},
    f"{BOTH}energy_status": STRING,
    "evaluate_host": STRING,
    "evaluate_cpu_name": STRING,
    "evaluate_note": STRING,
    "size_bytes": INTEGER,
    "parameters": INTEGER,
    "weights_origin": STRING,
}


def cell_columns(ks: Iterable[int]) -> Columns:
    """The columns of the cell table of a study that asks for pass@k with these k.

    Each k that is not in PASS_AT has its columns after those of the last k in PASS_AT.
    """
    more = sorted(set(ks) - {1, *PASS_AT})
    columns: Columns = {}
    for name, dtype in CELL.items():
        columns[name] = dtype
        for tests in TESTS:
            if name == f"pass_at_{PASS_AT[-1]}_{tests}":
                columns |= {f"pass_at_{k}_{tests}": REAL for k in more}
    return columns


#: Empty if the study measures no fidelity.
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
    """Columns of duration and energy of one phase of making a variant."""
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
    "weights_origin": STRING,
    "size_bytes": INTEGER,
    "size_bytes_change": REAL,
    "baseline_variant_id": STRING,
    "meaningful_accuracy": BOOLEAN,
    **FIDELITY,
    **_cost("quantise"),
    **_cost("score_layers"),
}

#: A cell in one session: where and when it ran, and what it took.
#: What preceded the repeats of a cell: the rest before it, and its warm-up.
START: Columns = {
    "rest_s": REAL,
    "rest_condition_met": BOOLEAN,
    "start_temperature_c": REAL,
    "start_power_w": REAL,
    "warmup_batches": INTEGER,
    "warmup_cv": REAL,
    "warmup_steady": BOOLEAN,
}

SESSION: Columns = {
    **SESSION_IDS,
    "block": STRING,
    "status": STRING,
    "status_reason": STRING,
    "valid": BOOLEAN,
    "order_position": INTEGER,
    "start_rank": INTEGER,
    "started_at_utc": STRING,
    "host": STRING,
    "gpu_uuids": STRING,
    "same_board_as_baseline": BOOLEAN,
    **START,
    "repeats": INTEGER,
    **{f"{metric}_geomean": REAL for metric in CLAIMED},
    **{f"pass_at_1_{tests}": REAL for tests in TESTS},
}

#: A cell beside its baseline, or beside another cell that the study names: one metric.
COMPARISON: Columns = {
    **CELL_IDS,
    "reference_cell_id": STRING,
    "metric": STRING,
    "scale": STRING,
    "estimate": REAL,
    **dict.fromkeys(_ends("ci95"), REAL),
    "method": STRING,
    "sessions": INTEGER,
    "n": INTEGER,
    "n_reference": INTEGER,
    "df": REAL,
    "p": REAL,
    "p_holm": REAL,
    "comparisons": INTEGER,
    **{
        name: REAL
        for size in ("hedges_g", "cliffs_delta", "a12")
        for name in (size, *_ends(f"{size}_ci95"))
    },
    "equivalence_margin": REAL,
    "equivalence_p": REAL,
    "equivalence_p_holm": REAL,
    "equivalent": BOOLEAN,
    "noninferiority_p": REAL,
    "noninferiority_p_holm": REAL,
    "noninferior": BOOLEAN,
    "minimum_detectable_effect": REAL,
    "within_job_log_sd": REAL,
    "cell_session_log_sd": REAL,
    "between_boards_log_sd": REAL,
    "between_sessions_log_sd": REAL,
    "note": STRING,
}

#: Empty if the benchmark's tasks have no domains.
DOMAIN: Columns = {
    **SESSION_IDS,
    "domain": STRING,
    "valid": BOOLEAN,
    "tasks": INTEGER,
    "tasks_judged": INTEGER,
    "pass_at_1_base": REAL,
    **dict.fromkeys(_ends("pass_at_1_base_wilson95"), REAL),
    "new_tokens_per_task": REAL,
    **dict.fromkeys(("j_per_task", *_ends("j_per_task_ci95")), REAL),
    "j_per_correct_task_base": REAL,
}

#: A cell beside its baseline, or beside another cell that the study names, on the tasks of one
#: domain: one metric of the table DOMAIN. Empty if the benchmark's tasks have no domains.
DOMAIN_COMPARISON: Columns = {
    **CELL_IDS,
    "reference_cell_id": STRING,
    "domain": STRING,
    "metric": STRING,
    "scale": STRING,
    "tasks": INTEGER,
    "estimate": REAL,
    **dict.fromkeys(_ends("ci95"), REAL),
    "method": STRING,
    "sessions": INTEGER,
    "n": INTEGER,
    "n_reference": INTEGER,
    "tasks_lost": INTEGER,
    "tasks_gained": INTEGER,
    "df": REAL,
    "p": REAL,
    "p_holm": REAL,
    "comparisons": INTEGER,
    "minimum_detectable_effect": REAL,
    "note": STRING,
}

CHECK: Columns = {
    "cell_id": STRING,
    "session": INTEGER,
    "repeat": INTEGER,
    "name": STRING,
    "severity": STRING,
    "passed": BOOLEAN,
    "observed": STRING,
    "limit": STRING,
    "unit": STRING,
    "detail": STRING,
}

#: Not among TABLES, as only `snakemake aa_test` writes it.
AA_TEST: Columns = {
    "comparison": STRING,
    "cell_id": STRING,
    "session": INTEGER,
    "other_cell_id": STRING,
    "metric": STRING,
    "valid": BOOLEAN,
    "n": INTEGER,
    "other_n": INTEGER,
    "mean": REAL,
    "other_mean": REAL,
    "change": REAL,
    "change_ci90_low": REAL,
    "change_ci90_high": REAL,
    "change_ci95_low": REAL,
    "change_ci95_high": REAL,
    "margin": REAL,
    "p_equivalence": REAL,
    "p_difference": REAL,
    "minimum_detectable_change": REAL,
    "outcome": STRING,
    "passed": BOOLEAN,
    "note": STRING,
}

TABLES: dict[str, Columns] = {
    "task": TASK,
    "run": RUN,
    "session": SESSION,
    "cell": CELL,
    "comparison": COMPARISON,
    "variant": VARIANT,
    "domain": DOMAIN,
    "domain_comparison": DOMAIN_COMPARISON,
    "check": CHECK,
}
