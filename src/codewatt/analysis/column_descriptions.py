"""Unit and meaning of every table column, one entry for a column or for a pattern of columns.

codewatt.analysis.columns holds names and types; codewatt.analysis.column_reference joins both to
the reference page.
"""

from codewatt.analysis.cell_column_descriptions import CELL_DESCRIPTIONS, VARIANT_DESCRIPTIONS
from codewatt.analysis.column_patterns import Description, describe
from codewatt.analysis.comparison_column_descriptions import COMPARISON_DESCRIPTIONS
from codewatt.analysis.domain_column_descriptions import (
    DOMAIN_COMPARISON_DESCRIPTIONS,
    DOMAIN_DESCRIPTIONS,
)
from codewatt.analysis.session_column_descriptions import (
    AA_TEST_DESCRIPTIONS,
    CHECK_DESCRIPTIONS,
    SESSION_DESCRIPTIONS,
)
from codewatt.analysis.start_columns import START_DESCRIPTIONS
from codewatt.analysis.statistical_tests.column_descriptions import (
    REGRESSION_DESCRIPTIONS,
    STATISTICAL_TEST_DESCRIPTIONS,
)

_IDS = describe(
    ("cell_id", "-", "Id of the cell: a variant in one setting; the same in all sessions."),
    ("variant_id", "-", "Id of the variant: model, prune and precision."),
    ("model", "-", "Id of the model in the study file."),
    ("prune", "-", "Id of the prune setting in the study file."),
    ("precision", "-", "Id of the precision in the study file."),
    ("prune_layers", "layers", "Number of decoder layers that were removed."),
    ("benchmark", "-", "Id of the benchmark in the study file."),
    ("prompt", "-", "Prompt style: `stripped`, `as_is` or `chat`."),
    ("token_limit", "tokens", "Largest number of new tokens of a completion."),
    ("batch_size", "sequences", "Number of sequences that are generated together."),
    ("engine", "-", "Id of the inference engine."),
    ("hardware", "-", "Id of the hardware in the study file; empty if the study names none."),
    ("session", "-", "Number of the session, from 1."),
    ("repeat", "-", "Number of the repeat within its session, from 0."),
)
_ENERGY_STATUS = describe(
    (
        "energy_boundary",
        "-",
        "Energy boundary of the study: `node` (GPUs of the job, all CPU packages and memory of "
        "the machine), `job` (GPUs of the job, and its CPU share of CPU and memory) or `gpu` "
        "(GPUs of the job).",
    ),
    (
        "energy_status",
        "-",
        "Origin of `energy_j`: `measured`, `modelled` (at least in part) or `unavailable`.",
    ),
    (
        "<scope>_energy_status",
        "-",
        "Origin of the energy of this component or boundary: `measured`, `modelled` or "
        "`unavailable`.",
    ),
)
_ACCURACY = describe(
    (
        "pass_at_1_<tests>",
        "fraction",
        "pass@1: mean over tasks of the share of completions that solve the task.",
    ),
    ("tasks", "tasks", "Number of tasks of the benchmark that were run."),
    (
        "tasks_judged",
        "tasks",
        "Number of these tasks that have a verdict. The others are excluded: their reference "
        "solution does not pass its own tests on this machine. pass@1, pass@k, their intervals and "
        "comparisons use the judged tasks only.",
    ),
    ("samples_per_task", "samples", "Number of completions of each task in one repeat."),
)
_SIZE = describe(
    ("size_bytes", "bytes", "Size of the variant's weight files."),
    ("parameters", "parameters", "Number of the variant's parameters."),
    (
        "weights_origin",
        "-",
        "The packing that the model's weights were unpacked from, such as `unpacked from GGUF "
        "Q4_1`: they are no more precise than that, whatever the variant's dtype. Empty for other "
        "models.",
    ),
)
_REPETITION = describe(
    (
        "repeated_4grams_share",
        "fraction",
        "Share of 4-grams of tokens that already occurred in the same completion "
        "(seq-rep-4, Welleck et al. 2020); in runs and cells the mean over tasks.",
    ),
    (
        "repeated_lines_share",
        "fraction",
        "Share of non-blank lines that already occurred in the same completion "
        "(Rae et al. 2021); in runs and cells the mean over tasks.",
    ),
    (
        "loops_share",
        "fraction",
        "Share of completions that end in a loop: a phrase that stands there at least three "
        "times in a row, over at least 12 tokens.",
    ),
)
_STATUS = describe(
    (
        "status",
        "-",
        "`ok`, or `infeasible` if it cannot run on this machine (a cell: in none of its sessions).",
    ),
    (
        "status_reason",
        "-",
        "Reason why it is infeasible; of a cell that ran, the sessions in which it was infeasible.",
    ),
)

_TASK = describe(
    (
        "evaluate_s",
        "s",
        "Wall time of judging the completion's program: starting sandboxes, running its tests and "
        "comparing outputs. Empty for an excluded task, whose programs do not run.",
    ),
    (
        "evaluate_cpu_s",
        "s",
        "CPU time of the program's sandboxes, in steps of 10 ms; empty if it was not read. It is "
        "not used to compute energy.",
    ),
    (
        "evaluate_completions",
        "completions",
        "Number of completions of the cell, in all repeats, that have the same program. The "
        "program ran once for all of them.",
    ),
    (
        "evaluate_<judged_part>_uncertainty_j",
        "J",
        "Bound on the error of `evaluate_<judged_part>_j`. It is often larger than the energy, "
        "because a program is shorter than the time between two readings.",
    ),
    (
        "evaluate_<judged_part>_j",
        "J",
        "Energy of judging the completion. Programs that run at the same time share the power "
        "equally; the energy of the time without a program is divided equally among all "
        "completions; completions with the same program share its energy equally. The values of "
        "a cell add up to the energy of judging the cell.",
    ),
    (
        "generate_evaluate_<judged_part>_j",
        "J",
        "Energy of generating and judging the completion: `<judged_part>_j` + "
        "`evaluate_<judged_part>_j`. With boundary `gpu`, `generate_evaluate_energy_j` is "
        "`energy_j`, because judging uses no GPU.",
    ),
    (
        "generate_evaluate_energy_uncertainty_j",
        "J",
        "Bound on the error of `generate_evaluate_energy_j`: the sum of both bounds.",
    ),
    ("evaluate_note", "-", "Reason why the task has no energy of judging; empty otherwise."),
    ("sample", "-", "Number of the completion of this task in this repeat, from 0."),
    ("task_id", "-", "Id of the benchmark's task."),
    (
        "domains",
        "-",
        "Domains of the libraries that the task's reference solution uses; empty if the "
        "benchmark has no domains.",
    ),
    ("prompt_tokens", "tokens", "Number of tokens of the prompt."),
    ("new_tokens", "tokens", "Number of generated tokens."),
    ("latency_s", "s", "Time from the start of the sequence's batch to its last token."),
    ("ttft_s", "s", "Time to first token (TTFT)."),
    (
        "tpot_s",
        "s",
        "Time per output token (TPOT) after the first: (end - first token) / (tokens - 1).",
    ),
    ("stop_reason", "-", "Reason why generation of the completion ended."),
    ("ends_in_loop", "-", "Whether the completion ends in a loop (see `loops_share`)."),
    ("base_status", "-", "Verdict of the base tests alone; empty for an excluded task."),
    ("plus_status", "-", "Verdict of the plus tests alone."),
    (
        "exclusion_reason",
        "-",
        "Reason why the task is excluded, so its completions have no verdict; empty otherwise.",
    ),
    ("solved_base", "-", "Whether the completion passes the base tests."),
    ("solved_plus", "-", "Whether the completion passes the base tests and the plus tests."),
    ("valid", "-", "False if a validity check of severity `error` failed for this repeat."),
    (
        "<part>_uncertainty_j",
        "J",
        "Bound on the error of the task's energy, as the task begins and ends between two "
        "readings of the meter.",
    ),
    (
        "<part>_j",
        "J",
        "Energy of the task. Tasks that run at the same time share the power equally at each "
        "moment.",
    ),
    ("energy_note", "-", "Reason why the task has no energy; empty otherwise."),
)

_BOTH = "Energy of generating and judging (`generate_evaluate_energy_j`)"
_JUDGED_RUN = describe(
    (
        "evaluate_energy_uncertainty_j",
        "J",
        "Bound on the error of `evaluate_energy_j`.",
    ),
    (
        "evaluate_unshared_energy_j",
        "J",
        "Energy of judging if every completion were judged, also identical ones: the energy of a "
        "program counts once for each of its completions.",
    ),
    (
        "evaluate_<judged_part>_j",
        "J",
        "Energy of judging the completions of the run: the sum over its tasks. A program that "
        "occurs in several repeats ran once, and its energy is divided among them. The values of "
        "a cell's runs add up to the energy of judging the cell.",
    ),
    (
        "generate_evaluate_energy_uncertainty_j",
        "J",
        "Bound on the error of `generate_evaluate_energy_j`: the sum of both bounds.",
    ),
    (
        "generate_evaluate_<judged_part>_j",
        "J",
        "Energy of generating and judging: `<judged_part>_j` + `evaluate_<judged_part>_j`. With "
        "boundary `gpu`, `generate_evaluate_energy_j` is `energy_j`, because judging uses no GPU.",
    ),
    ("generate_evaluate_j_per_task", "J/completion", f"{_BOTH} per completion."),
    (
        "generate_evaluate_j_per_correct_task_<tests>",
        "J/completion",
        f"{_BOTH} per completion that solves its task; the energy of generating excluded tasks "
        "is left out.",
    ),
    (
        "generate_evaluate_pass_at_1_<tests>_per_kwh",
        "1/kWh",
        f"pass@kWh by the energy of generating and judging: pass@1 / {_BOTH[:1].lower()}"
        f"{_BOTH[1:]} in kWh.",
    ),
    (
        "evaluate_note",
        "-",
        "Reason why the energy of judging is missing; also says so if judging and generating ran "
        "on different machines. Empty otherwise.",
    ),
)
_RUN = describe(
    ("valid", "-", "False if a validity check of severity `error` failed for this repeat."),
    ("prompt_tokens", "tokens", "Sum of the prompts' tokens."),
    ("new_tokens", "tokens", "Sum of the generated tokens."),
    (
        "correct_<tests>",
        "completions",
        "Number of completions that solve their task; empty for random weights.",
    ),
    ("duration_s", "s", "Duration of the run: every task of the benchmark once."),
    ("tokens_per_s", "tokens/s", "Generated tokens per second of the run."),
    (
        "latency_s",
        "s",
        "Mean over completions of the time from the batch's start to the last token.",
    ),
    ("ttft_s", "s", "Mean over completions of the time to first token."),
    ("tpot_s", "s", "Mean over completions of the time per output token after the first."),
    ("<phase>_s", "s", "Time of this phase, summed over the batches of the run."),
    (
        "decode_tokens_per_s",
        "tokens/s",
        "Tokens after each sequence's first, per second of decoding.",
    ),
    (
        "decode_roofline_tokens_per_s",
        "tokens/s",
        "Value of `decode_tokens_per_s` if decoding took `decode_roofline_s`.",
    ),
    (
        "<phase>_roofline_s",
        "s",
        "Shortest possible time of this phase on this machine (roofline): the larger of "
        "`<phase>_bandwidth_s` and `<phase>_compute_s`.",
    ),
    (
        "<phase>_roofline_share",
        "fraction",
        "Share of the roofline that was reached: `<phase>_roofline_s` / `<phase>_s`.",
    ),
    ("<phase>_bytes", "bytes", "Smallest number of bytes that this phase must move."),
    ("<phase>_flops", "FLOPs", "Smallest number of FLOPs that this phase must do."),
    ("<phase>_bandwidth_s", "s", "Time of `<phase>_bytes` at the measured memory bandwidth."),
    ("<phase>_compute_s", "s", "Time of `<phase>_flops` at the measured FLOPs per second."),
    ("<phase>_energy_uncertainty_j", "J", "Bound on the error of `<phase>_energy_j`."),
    ("<phase>_<part>_j", "J", "Energy of this phase."),
    (
        "energy_uncertainty_j",
        "J",
        "Bound on the error of `energy_j`: the run begins and ends between two readings of the "
        "meter.",
    ),
    ("net_<part>_uncertainty_j", "J", "Bound on the error of `net_<part>_j`."),
    ("net_<part>_j", "J", "Net energy: energy of the run minus idle power of the loaded machine."),
    ("<part>_j", "J", "Energy of the run, with idle power."),
    ("j_per_token", "J/token", "`energy_j` per generated token."),
    ("j_per_task", "J/completion", "`energy_j` per completion (one task, one sample)."),
    (
        "j_per_correct_task_<tests>",
        "J/completion",
        "`energy_j` per completion that solves its task; the energy of excluded tasks is left out "
        "(`energy_j` times `tasks_judged` / `tasks`).",
    ),
    (
        "pass_at_1_<tests>_per_kwh",
        "1/kWh",
        "pass@kWh (Buis 2024): pass@1 divided by the run's energy in kWh.",
    ),
    ("co2e_kg", "kg CO2e", "Emissions: `energy_j` times the grid's carbon intensity."),
)

#: Table -> descriptions of its columns; the first that matches a column holds.
DESCRIPTIONS: dict[str, tuple[Description, ...]] = {
    "task": (*_TASK, *_IDS, *_REPETITION, *_ENERGY_STATUS),
    "run": (*_IDS, *_REPETITION, *_ACCURACY, *_ENERGY_STATUS, *_JUDGED_RUN, *_RUN),
    "cell": (
        *_IDS,
        *_STATUS,
        *_SIZE,
        *_REPETITION,
        *_ACCURACY,
        *_ENERGY_STATUS,
        *CELL_DESCRIPTIONS,
    ),
    "comparison": (*COMPARISON_DESCRIPTIONS, *_IDS),
    "variant": (*_IDS, *_STATUS, *_SIZE, *VARIANT_DESCRIPTIONS),
    "session": (*SESSION_DESCRIPTIONS, *START_DESCRIPTIONS, *_IDS, *_STATUS),
    "domain": (*DOMAIN_DESCRIPTIONS, *_IDS),
    "domain_comparison": (*DOMAIN_COMPARISON_DESCRIPTIONS, *_IDS),
    "check": (*CHECK_DESCRIPTIONS, *_IDS),
    "statistical_test": STATISTICAL_TEST_DESCRIPTIONS,
    "regression": (*REGRESSION_DESCRIPTIONS, *_IDS),
    "aa_test": (*AA_TEST_DESCRIPTIONS, *_IDS),
}

#: Table -> what one row is.
ROWS = {
    "task": "One row for each completion: one task, one sample, one repeat of a cell in one "
    "session.",
    "run": "One row for each run: one repeat of a cell in one session, every task of the benchmark "
    "once.",
    "session": "One row for each cell and session: where and when the cell ran, and what it took.",
    "cell": "One row for each cell: one variant in one setting, over all its sessions and repeats.",
    "comparison": "One row for each cell, metric and other cell that it is compared with: its "
    "baseline, or a cell that `comparisons.pairs` names.",
    "variant": "One row for each variant: one model with one prune setting and one precision.",
    "domain": "One row for each cell, session and domain of the cell's tasks. Only BigCodeBench "
    "has domains; cells of other benchmarks have no row.",
    "domain_comparison": "One row for each cell, domain, metric and other cell that it is compared "
    "with: its baseline, or a cell that `comparisons.pairs` names. Cells of benchmarks without "
    "domains have no row.",
    "check": "One row for each validity check of a cell in one session, or of one of its repeats.",
    "statistical_test": "One row for each test of one cell or of cells that differ in one factor "
    "(rule `statistical_tests`).",
    "regression": "One row for each cell, model, kind of standard error and coefficient (rule "
    "`statistical_tests`).",
    "aa_test": "One row for each comparison of the A/A test (`snakemake aa_test`); CSV only.",
}
