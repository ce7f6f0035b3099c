"""Unit and meaning of the columns that only the cell table or the variant table has."""

from codewatt.analysis.column_patterns import describe

CELL_DESCRIPTIONS = describe(
    ("valid", "-", "False if a validity check of severity `error` failed in any session."),
    (
        "failed_checks",
        "-",
        "Validity checks of severity `error` that failed; with several sessions, each with its "
        "session.",
    ),
    ("warnings", "-", "Validity checks of severity `warning` that failed; as `failed_checks`."),
    ("skipped_checks", "-", "Validity checks whose data were not recorded."),
    (
        "baseline_cell_id",
        "-",
        "Cell of the same model and setting with the study's baseline precision and prune. "
        "Every change and difference is against this cell.",
    ),
    ("change_note", "-", "Reason why changes are withheld, in full or for energy only."),
    (
        "asked",
        "-",
        "How the model was asked: `chat template` or `direct completion` "
        "(docs/explanation/prompts.md).",
    ),
    ("host", "-", "Name of the machine; of the machines of all sessions, where they differ."),
    ("cpu_name", "-", "Model of the CPU; as `host`."),
    ("gpu_uuids", "-", "UUIDs of the job's GPUs; as `host`."),
    ("gpu_names", "-", "Models of the job's GPUs; as `host`."),
    (
        "same_host_and_gpus",
        "-",
        "Whether the cell and its baseline are known to have run on the same host and GPUs: within "
        "every session that has both, or in all sessions of both.",
    ),
    (
        "board_spread",
        "fraction",
        "Difference between two GPUs of one model that the comparison allows for: the study's "
        "`comparisons.board_spread`, or 0 on the same host and GPUs.",
    ),
    (
        "interval_scope",
        "-",
        "Scope of the confidence intervals of energy and time: `within one job` (over the "
        "repeats of one session) or `between sessions` (over the means of the sessions).",
    ),
    (
        "sessions",
        "sessions",
        "Number of sessions in which the cell ran. The columns of energy, time and accuracy are "
        "over all of them.",
    ),
    ("repeats", "repeats", "Number of repeats of all sessions."),
    ("excluded_tasks", "-", "Excluded tasks (see `tasks_judged`), each with the reason."),
    (
        "completions_identical",
        "-",
        "Whether all repeats of a session gave the same completions, in every session.",
    ),
    (
        "completions_identical_between_sessions",
        "-",
        "Whether the first repeats of all sessions gave the same completions; empty with one "
        "session.",
    ),
    ("engine_reference_cell_id", "-", "The same cell with the engine `transformers`."),
    (
        "tokens_identical_share",
        "fraction",
        "Share of the first repeat's completions whose tokens equal those of "
        "`engine_reference_cell_id` in the same session; the mean over sessions.",
    ),
    ("accuracy_note", "-", "Reason why pass@1 is withheld; empty otherwise."),
    (
        "pass_at_1_margin",
        "fraction",
        "Non-inferiority margin: the study's `comparisons.pass_at_1_margin`.",
    ),
    (
        "pass_at_1_<tests>_wilson95_low",
        "fraction",
        "Lower end of the 95 % Wilson confidence interval of pass@1 over tasks.",
    ),
    ("pass_at_1_<tests>_wilson95_high", "fraction", "Upper end of the same interval."),
    ("pass_at_1_<tests>_change", "fraction", "pass@1 / the baseline's pass@1 - 1."),
    (
        "pass_at_1_<tests>_change_ci95_low",
        "fraction",
        "Lower end of its 95 % confidence interval for paired proportions (Bonett and Price 2006); "
        "empty where `tasks_lost_<tests>` is empty.",
    ),
    ("pass_at_1_<tests>_change_ci95_high", "fraction", "Upper end of the same interval."),
    (
        "pass_at_1_<tests>_difference",
        "fraction",
        "Paired difference: pass@1 - the baseline's pass@1 on the same tasks.",
    ),
    (
        "pass_at_1_<tests>_difference_ci95_low",
        "fraction",
        "Lower end of its 95 % confidence interval (Tango 1998; Agresti and Min 2005 for "
        "sampled completions).",
    ),
    ("pass_at_1_<tests>_difference_ci95_high", "fraction", "Upper end of the same interval."),
    (
        "tasks_lost_<tests>",
        "tasks",
        "Tasks that the baseline solves and this cell does not; empty if, in one of the two "
        "cells, a task is solved by some of its completions and not by others.",
    ),
    (
        "tasks_gained_<tests>",
        "tasks",
        "Tasks that this cell solves and the baseline does not; empty where "
        "`tasks_lost_<tests>` is empty.",
    ),
    (
        "mcnemar_p_<tests>",
        "-",
        "p value of the exact two-sided McNemar test; empty where `tasks_lost_<tests>` is empty.",
    ),
    ("mcnemar_p_holm_<tests>", "-", "The same, Holm-adjusted over the study's comparisons."),
    ("pass_at_1_<tests>_comparisons", "comparisons", "Number of pass@1 comparisons of the study."),
    (
        "noninferior_p_<tests>",
        "-",
        "One-sided p value of the hypothesis that the loss of pass@1 is at least the margin.",
    ),
    ("noninferior_p_holm_<tests>", "-", "The same, Holm-adjusted over the study's comparisons."),
    (
        "noninferior_<tests>",
        "-",
        "Whether the loss of pass@1 is shown to be smaller than the margin (adjusted p < 0.025). "
        "False does not show a larger loss.",
    ),
    (
        "pass_at_<k>_<tests>",
        "fraction",
        "Unbiased pass@k (Chen et al. 2021), the mean over repeats; empty with fewer than k "
        "samples per task.",
    ),
    (
        "repeated_4grams_share_ci95_low",
        "fraction",
        "Lower end of the 95 % t interval of the mean over tasks.",
    ),
    ("repeated_4grams_share_ci95_high", "fraction", "Upper end of the same interval."),
    (
        "repeated_lines_share_ci95_low",
        "fraction",
        "Lower end of the 95 % t interval of the mean over tasks.",
    ),
    ("repeated_lines_share_ci95_high", "fraction", "Upper end of the same interval."),
    ("loops_share_wilson95_low", "fraction", "Lower end of the 95 % Wilson interval over tasks."),
    ("loops_share_wilson95_high", "fraction", "Upper end of the same interval."),
    ("<component>_energy_method", "-", "Method that gave the component's energy."),
    ("grid_country", "-", "Country whose grid's carbon intensity is used."),
    ("grid_gco2e_per_kwh", "g CO2e/kWh", "Carbon intensity of that grid."),
    ("cpu_share", "fraction", "Share of the machine's logical CPUs that the job held."),
    ("sampler_cpu_share", "fraction", "Share of one logical CPU that the energy sampler used."),
    ("<net>_mean", "J", "Arithmetic mean over repeats."),
    ("<net>_sd", "J", "Sample standard deviation over repeats (n - 1)."),
    ("<net>_n", "repeats", "Number of repeats of all sessions with a value."),
    (
        "<net>_ci95_low",
        "J",
        "Lower end of the 95 % confidence interval of the mean (Student's t, over repeats or "
        "sessions as `interval_scope` says), widened by the mean bound on the meters' error.",
    ),
    ("<net>_ci95_high", "J", "Upper end of the same interval."),
    (
        "<net>_difference",
        "J",
        "Mean - the baseline's mean, where one session has both cells; else the mean over sessions "
        "of the differences within a session.",
    ),
    (
        "<net>_difference_ci95_low",
        "J",
        "Lower end of its 95 % confidence interval (Welch where one session has both cells; "
        "Student's t of the differences within sessions where several have them), widened by both "
        "bounds on the meters' error and by `board_spread` of the larger mean energy.",
    ),
    ("<net>_difference_ci95_high", "J", "Upper end of the same interval."),
    ("<judging>_mean", "unit of the energy", "Arithmetic mean over repeats."),
    ("<bound>_mean", "J", "Mean over repeats."),
    ("<bound>_max", "J", "Largest value over repeats."),
    ("<net_bound>_mean", "J", "Mean over repeats."),
    ("<metric>_mean", "unit of the metric", "Arithmetic mean over repeats."),
    ("<metric>_sd", "unit of the metric", "Sample standard deviation over repeats (n - 1)."),
    ("<metric>_n", "repeats", "Number of repeats of all sessions with a value."),
    ("<metric>_geomean", "unit of the metric", "Geometric mean over repeats."),
    (
        "<metric>_ci95_low",
        "unit of the metric",
        "Lower end of the 95 % confidence interval of the geometric mean (Student's t on "
        "logarithms): over the repeats of one session, or over the means of several.",
    ),
    ("<metric>_ci95_high", "unit of the metric", "Upper end of the same interval."),
    (
        "<metric>_sd_band_low",
        "unit of the metric",
        "exp(mean of ln x - 1.96 SD of ln x): lower end of the band of single repeats. It is not "
        "a confidence interval of the mean.",
    ),
    ("<metric>_sd_band_high", "unit of the metric", "Upper end of the same band."),
    (
        "<tested>_log_sd_between_sessions",
        "-",
        "Sample standard deviation of the sessions' means of ln x: 0.02 is a spread of about 2 %. "
        "It contains the spread of repeats, divided by their number. Empty with one session.",
    ),
    (
        "<metric>_change",
        "fraction",
        "Geometric mean / the baseline's geometric mean - 1; both of the sessions that have both "
        "cells, each session with the same weight.",
    ),
    (
        "<metric>_change_ci95_low",
        "fraction",
        "Lower end of its 95 % confidence interval on logarithms (Welch where one session has "
        "both cells; Student's t of the differences within sessions where several have them), "
        "widened by `board_spread`.",
    ),
    ("<metric>_change_ci95_high", "fraction", "Upper end of the same interval."),
    (
        "<tested>_change_p",
        "-",
        "Two-sided p value, from the same t distribution as the interval, of the hypothesis that "
        "the two differ by no more than `board_spread`.",
    ),
    ("<tested>_comparisons", "comparisons", "Number of comparisons of this metric in the study."),
    ("<tested>_change_p_holm", "-", "`<tested>_change_p`, Holm-adjusted over these comparisons."),
    (
        "<tested>_change_simultaneous95_low",
        "fraction",
        "Lower end of the simultaneous 95 % confidence interval (Bonferroni): the intervals of "
        "all comparisons of this metric hold together.",
    ),
    ("<tested>_change_simultaneous95_high", "fraction", "Upper end of the same interval."),
    (
        "j_per_correct_task_<tests>",
        "J/completion",
        "Energy of all repeats / number of their completions that solve the task; the energy of "
        "excluded tasks is left out (energy times `tasks_judged` / `tasks`).",
    ),
    (
        "pass_at_1_<tests>_per_kwh",
        "1/kWh",
        "pass@kWh (Buis 2024): pass@1 / mean energy of a run in kWh.",
    ),
    (
        "generate_evaluate_j_per_correct_task_<tests>",
        "J/completion",
        "Energy of generating and judging all repeats / number of their completions that solve "
        "the task; the energy of generating excluded tasks is left out. The changes of "
        "`generate_evaluate_` columns are empty if the two cells were judged on different models "
        "of CPU, or if their energies of judging have different origins.",
    ),
    (
        "generate_evaluate_pass_at_1_<tests>_per_kwh",
        "1/kWh",
        "pass@kWh by the energy of generating and judging: pass@1 / mean of "
        "`generate_evaluate_energy_j` in kWh.",
    ),
    (
        "frontier_probability_<tests>",
        "fraction",
        "Probability that the cell is on the efficient frontier of energy and pass@1 among the "
        "cells of its setting (bootstrap over tasks and sessions or repeats).",
    ),
    (
        "<ratio>_ci95_low",
        "unit of the ratio",
        "Lower end of the 95 % confidence interval (BCa bootstrap over tasks, with the spread of "
        "energy between sessions or repeats).",
    ),
    ("<ratio>_ci95_high", "unit of the ratio", "Upper end of the same interval."),
    ("<ratio>_change", "fraction", "Ratio / the baseline's ratio - 1."),
    ("<ratio>_change_ci95_low", "fraction", "Lower end of its 95 % confidence interval (BCa)."),
    ("<ratio>_change_ci95_high", "fraction", "Upper end of the same interval."),
    (
        "break_even_tasks",
        "tasks",
        "Break-even point: number of tasks after which the energy saved against the baseline "
        "equals the energy that making the variant cost.",
    ),
    (
        "break_even_tasks_low",
        "tasks",
        "Break-even point at the upper end of the 95 % confidence interval of the saving.",
    ),
    (
        "break_even_tasks_high",
        "tasks",
        "Break-even point at the lower end of that interval; empty where the interval contains 0.",
    ),
    ("break_even_note", "-", "Reason why the break-even point, or an end of it, is missing."),
    ("bandwidth_bytes_per_s", "bytes/s", "Memory bandwidth, as the cell measured it."),
    (
        "matmul_flops_per_s",
        "FLOPs/s",
        "Rate of a square matrix multiplication in the model's dtype, as the cell measured it.",
    ),
    ("step_weight_bytes", "bytes", "Bytes of weights that a decode step must read."),
    ("kv_bytes_per_token", "bytes", "Bytes that one token adds to the KV cache."),
    ("<counted>_mean", "unit of the quantity", "Mean over repeats."),
    (
        "<idle>_<component>_w",
        "W",
        "Idle power of the component at this time; the mean over sessions.",
    ),
    ("load_<part>_j", "J", "Energy of loading the model; the mean over sessions."),
    ("warmup_<part>_j", "J", "Energy of the warm-up; the mean over sessions."),
    (
        "evaluate_s",
        "s",
        "Duration of running the tests on the completions of a session; the mean over sessions.",
    ),
    (
        "evaluate_<part>_j",
        "J",
        "Energy of running the tests on the completions of all repeats of a session; not part of "
        "the run's energy. Identical completions are judged once. The mean over sessions.",
    ),
    ("evaluate_<scope>_energy_status", "-", "Origin of that energy."),
    ("evaluate_energy_uncertainty_j", "J", "Bound on the error of `evaluate_energy_j`."),
    (
        "generate_evaluate_energy_status",
        "-",
        "Origin of `generate_evaluate_energy_j`: the less reliable of `energy_status` and the "
        "status of the energy of judging (measured, modelled, unavailable).",
    ),
    ("evaluate_host", "-", "Name of the machine that judged the completions."),
    ("evaluate_cpu_name", "-", "Model of the CPU that judged the completions."),
    (
        "evaluate_note",
        "-",
        "Reason why runs and tasks have no energy of judging; also says so if judging and "
        "generating ran on different machines. Empty otherwise.",
    ),
)

VARIANT_DESCRIPTIONS = describe(
    ("method", "-", "Quantisation method and its settings, as the manifest records them."),
    ("dtype", "-", "Data type of the computation."),
    ("layers", "layers", "Number of decoder layers that remain."),
    ("size_bytes_change", "fraction", "Size / the baseline variant's size - 1."),
    (
        "baseline_variant_id",
        "-",
        "Variant of the same model with the baseline precision and prune.",
    ),
    ("meaningful_accuracy", "-", "False for random weights, whose accuracy has no meaning."),
    ("fidelity_corpus", "-", "Held-out corpus on which fidelity is measured."),
    ("fidelity_positions", "tokens", "Number of token positions that are compared."),
    (
        "logits_cosine_mean",
        "-",
        "Mean over positions of the cosine of the variant's logits with the baseline's.",
    ),
    ("logits_cosine_min", "-", "Smallest of these cosines."),
    (
        "kl_nats_per_token",
        "nats/token",
        "Mean Kullback-Leibler divergence of the variant's next-token distribution from the "
        "baseline's.",
    ),
    (
        "top1_agreement_share",
        "fraction",
        "Share of positions at which variant and baseline predict the same token.",
    ),
    (
        "perplexity",
        "-",
        "Perplexity per token on the held-out corpus. It must not be compared between tokenizers.",
    ),
    ("perplexity_change", "fraction", "Perplexity / the baseline's perplexity - 1."),
    (
        "perplexity_change_ci95_low",
        "fraction",
        "Lower end of its 95 % confidence interval over the corpus's sequences.",
    ),
    ("perplexity_change_ci95_high", "fraction", "Upper end of the same interval."),
    ("fidelity_note", "-", "Reason why fidelity is missing or has no meaning."),
    ("quantise_s", "s", "Duration of making the variant (pruning and quantising)."),
    ("quantise_<part>_j", "J", "Energy of making the variant, with idle power."),
    ("quantise_<scope>_energy_status", "-", "Origin of that energy."),
    ("quantise_energy_note", "-", "Reason why that energy must not be trusted; empty otherwise."),
    ("score_layers_s", "s", "Duration of scoring the layers that the prune setting is based on."),
    ("score_layers_<part>_j", "J", "Energy of scoring the layers, with idle power."),
    ("score_layers_<scope>_energy_status", "-", "Origin of that energy."),
    (
        "score_layers_energy_note",
        "-",
        "Reason why that energy must not be trusted; empty otherwise.",
    ),
)
