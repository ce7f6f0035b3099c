"""Unit and meaning of the columns of the tables of domains and of comparisons by domain."""

from codewatt.analysis.column_patterns import describe

DOMAIN_DESCRIPTIONS = describe(
    ("domain", "-", "Domain of the tasks. A task with several domains counts in each of them."),
    ("valid", "-", "False if a validity check of severity `error` failed in this session."),
    ("tasks", "tasks", "Number of tasks of the domain that were run."),
    ("tasks_judged", "tasks", "Number of these tasks that have a verdict (not excluded)."),
    (
        "pass_at_1_base",
        "fraction",
        "pass@1 on the judged tasks of the domain, over all repeats and samples.",
    ),
    (
        "pass_at_1_base_wilson95_low",
        "fraction",
        "Lower end of its 95 % Wilson interval over tasks.",
    ),
    ("pass_at_1_base_wilson95_high", "fraction", "Upper end of the same interval."),
    ("new_tokens_per_task", "tokens/completion", "Mean number of generated tokens."),
    (
        "j_per_task",
        "J/completion",
        "Mean of `energy_j` of the task table, in which completions that are generated at the same "
        "time share the power equally.",
    ),
    (
        "j_per_task_ci95_low",
        "J/completion",
        "Lower end of the 95 % interval of the energy per task of a repeat (Student's t of "
        "logarithms): it describes repeats within one job.",
    ),
    ("j_per_task_ci95_high", "J/completion", "Upper end of the same interval."),
    (
        "j_per_correct_task_base",
        "J/completion",
        "Sum of `energy_j` of the task table over the judged tasks / number of completions that "
        "solve their task.",
    ),
)

DOMAIN_COMPARISON_DESCRIPTIONS = describe(
    (
        "reference_cell_id",
        "-",
        "The cell that this cell is compared with, on the same tasks.",
    ),
    ("domain", "-", "Domain of the tasks. A task with several domains counts in each of them."),
    (
        "metric",
        "-",
        "What is compared: `pass_at_1_base`, or `j_per_task` (energy of a completion).",
    ),
    (
        "scale",
        "-",
        "`ratio`: figures are relative changes (ratio - 1). `difference`: they are differences.",
    ),
    (
        "tasks",
        "tasks",
        "Number of tasks that are compared: those with a verdict, or with an energy in each "
        "completion of both cells.",
    ),
    ("estimate", "fraction", "The change, or the difference, of this cell against its reference."),
    ("ci95_low", "fraction", "Lower end of its 95 % confidence interval."),
    ("ci95_high", "fraction", "Upper end of the same interval."),
    ("method", "-", "How estimate and interval were obtained."),
    ("sessions", "sessions", "Number of sessions in which both cells ran."),
    ("n", "repeats or tasks", "Number of values of this cell: tasks for pass@1, else repeats."),
    ("n_reference", "repeats or tasks", "Number of values of the reference."),
    (
        "tasks_lost",
        "tasks",
        "pass@1 only: tasks that the reference solves and this cell does not; empty if a task is "
        "solved in a part of its completions.",
    ),
    ("tasks_gained", "tasks", "The same, of tasks that only this cell solves."),
    ("df", "-", "Degrees of freedom of Student's t; empty for other distributions."),
    ("p", "-", "Two-sided p value of the hypothesis of no difference."),
    (
        "p_holm",
        "-",
        "`p`, Holm-adjusted over all comparisons of this metric in the study: each cell and each "
        "domain is one.",
    ),
    ("comparisons", "comparisons", "Number of comparisons of this metric that have a p value."),
    (
        "minimum_detectable_effect",
        "fraction",
        "Smallest change or difference that a comparison with this standard error detects with "
        "80 % power.",
    ),
    ("note", "-", "What the interval does not cover, or why there is no estimate."),
)
