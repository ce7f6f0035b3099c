"""Unit and meaning of the columns of the comparison table."""

from codewatt.analysis.column_patterns import describe

COMPARISON_DESCRIPTIONS = describe(
    ("reference_cell_id", "-", "The cell that this cell is compared with."),
    (
        "metric",
        "-",
        "What is compared. `task_energy_j` and `task_latency_s` are compared task by task.",
    ),
    (
        "scale",
        "-",
        "`ratio`: figures are relative changes (ratio - 1). `difference`: they are differences.",
    ),
    ("estimate", "fraction", "The change, or the difference, of this cell against its reference."),
    ("ci95_low", "fraction", "Lower end of its 95 % confidence interval."),
    ("ci95_high", "fraction", "Upper end of the same interval."),
    ("method", "-", "How estimate and interval were obtained."),
    ("sessions", "sessions", "Number of sessions in which both cells ran."),
    ("n", "repeats or tasks", "Number of values of this cell; of tasks, if paired by task."),
    ("n_reference", "repeats or tasks", "Number of values of the reference."),
    ("df", "-", "Degrees of freedom of Student's t; empty for other distributions."),
    ("p", "-", "Two-sided p value of the hypothesis of no difference."),
    ("p_holm", "-", "`p`, Holm-adjusted over all comparisons of this metric in the study."),
    ("comparisons", "comparisons", "Number of comparisons of this metric that have a p value."),
    (
        "hedges_g",
        "SD",
        "Standardised mean difference (Hedges 1981), of logarithms where `scale` is `ratio`; of "
        "paired differences with several sessions or with tasks.",
    ),
    ("hedges_g_ci95_low", "SD", "Lower end of its 95 % confidence interval (noncentral t)."),
    ("hedges_g_ci95_high", "SD", "Upper end of the same interval."),
    (
        "cliffs_delta",
        "-",
        "Cliff's delta: probability that a value of this cell is larger than one of the reference, "
        "minus the probability that it is smaller; within sessions, or within tasks.",
    ),
    ("cliffs_delta_ci95_low", "-", "Lower end of its 95 % confidence interval."),
    ("cliffs_delta_ci95_high", "-", "Upper end of the same interval."),
    ("a12", "-", "Vargha and Delaney's A12: (Cliff's delta + 1) / 2."),
    ("a12_ci95_low", "-", "Lower end of its 95 % confidence interval."),
    ("a12_ci95_high", "-", "Upper end of the same interval."),
    (
        "equivalence_margin",
        "fraction",
        "Margin of the equivalence test: `comparisons.equivalence_margin`, or of pass@1 "
        "`comparisons.pass_at_1_margin`.",
    ),
    ("equivalence_p", "-", "p value of the equivalence test (two one-sided tests)."),
    ("equivalence_p_holm", "-", "The same, Holm-adjusted over the comparisons of this metric."),
    ("equivalent", "-", "Whether the two cells are shown to differ by less than the margin."),
    ("noninferiority_p", "-", "pass@1 only: p value of the non-inferiority test."),
    ("noninferiority_p_holm", "-", "The same, Holm-adjusted over the comparisons of this metric."),
    ("noninferior", "-", "Whether a loss of pass@1 is shown to be smaller than the margin."),
    (
        "minimum_detectable_effect",
        "fraction",
        "Smallest change or difference that a comparison with this standard error detects with "
        "80 % power.",
    ),
    (
        "within_job_log_sd",
        "-",
        "Standard deviation (SD) of the metric's logarithm between the repeats of one job: 0.01 is "
        "about 1 %. All four components are estimated from the valid cells that share this cell's "
        "baseline.",
    ),
    (
        "cell_session_log_sd",
        "-",
        "SD of the logarithm between the jobs of a cell, beyond what changes all cells of a "
        "session alike, beyond the boards where they can be separated, and beyond the spread of "
        "repeats; empty with one session.",
    ),
    (
        "between_boards_log_sd",
        "-",
        "SD of the logarithm between boards (a host and its GPUs); empty unless a session has "
        "cells on different boards and a cell ran on different boards.",
    ),
    (
        "between_sessions_log_sd",
        "-",
        "SD of the logarithm between sessions, of what changes all cells of a session alike; "
        "empty with one session.",
    ),
    ("note", "-", "What the interval does not cover, or why there is no estimate."),
)
