"""Unit and meaning of each column of the tables `statistical_test` and `regression`."""

from codewatt.analysis.column_patterns import describe

_COMMON = describe(
    ("p", "-", "p value, two-sided where the test has two sides; not adjusted."),
    (
        "p_holm",
        "-",
        "p value adjusted over the rows with the same `family` (Holm 1979). Conclusions use it.",
    ),
    ("family", "-", "Name of the family of tests over which p is adjusted."),
    ("family_tests", "tests", "Number of tests of this family that have a p value."),
)
STATISTICAL_TEST_DESCRIPTIONS = (
    *_COMMON,
    *describe(
        (
            "test",
            "-",
            "Name of the test: `Shapiro-Wilk`, `Levene`, `Brown-Forsythe`, `Kruskal-Wallis`, "
            "`Friedman`, `Dunn`, `Durbin-Watson`, or `Durbin-Watson, not centred` (the statistic "
            "of the energies themselves, not of their distance to the mean).",
        ),
        (
            "level",
            "-",
            "What one value is. `task`: the energy of a task, its mean over repeats. `run`: the "
            "energy of a run. `session`: the mean energy of the runs of a session, if the cell "
            "has two or more sessions. All cells of a test have the same level.",
        ),
        (
            "metric",
            "-",
            "Values that are tested: `energy_j` or `ln energy_j`, the natural logarithm.",
        ),
        (
            "factor",
            "-",
            "What differs between the cells: `variant` (prune and precision), `model` or "
            "`batch_size`; empty for a test of one cell.",
        ),
        ("group", "-", "What is the same in all cells; empty for a test of one cell."),
        (
            "cell_id",
            "-",
            "Id of the cell, for Dunn's test of the first cell; empty for other tests of a group.",
        ),
        ("other_cell_id", "-", "Id of the second cell of Dunn's test; empty for other tests."),
        (
            "cells",
            "cells",
            "Number of cells that are tested. Levene and Brown-Forsythe of one cell compare the "
            "first half of its tasks with the second half.",
        ),
        ("n", "values", "Number of values; for Friedman's test the number of tasks."),
        (
            "statistic_name",
            "-",
            "Symbol of the statistic: `W`, `F`, `H`, `Q`, `z` or `d`.",
        ),
        ("statistic", "-", "Value of the statistic."),
        ("df", "-", "Degrees of freedom, for F of the numerator; empty if there are none."),
        ("df_residual", "-", "Degrees of freedom of the denominator of F; empty otherwise."),
        ("effect_name", "-", "Name of the effect size."),
        (
            "effect",
            "-",
            "Effect size. Positive `Cliff's delta` means that the first cell has the larger "
            "values.",
        ),
        ("conclusion", "-", "One sentence on what the test shows at the level of 5 %."),
        ("note", "-", "Reason why the test is withheld, or a remark on it; empty otherwise."),
    ),
)
REGRESSION_DESCRIPTIONS = (
    *_COMMON,
    *describe(
        (
            "model_name",
            "-",
            "`thesis`: the model of Buis (2024), without an intercept. `thesis with intercept`: "
            "the same with one. `corrected`: ln of the energy, with an intercept.",
        ),
        (
            "errors",
            "-",
            "Kind of standard error: `HC3`, `Newey-West` or `clustered by task`.",
        ),
        ("outcome", "-", "Outcome of the model: `ln(1 + Wh)` or `ln(J)` of a task's energy."),
        (
            "term",
            "-",
            "`intercept`, `new_tokens`, `lagged_log_energy` (outcome of the previous task of the "
            "same repeat and session) or the name of a domain; empty if the model is withheld.",
        ),
        ("coefficient", "outcome per unit of the term", "Estimate by ordinary least squares."),
        ("std_error", "outcome per unit of the term", "Standard error of the coefficient."),
        ("ci95_low", "outcome per unit of the term", "Lower end of its 95 % confidence interval."),
        ("ci95_high", "outcome per unit of the term", "Upper end of the same interval."),
        ("statistic_name", "-", "`z` (normal distribution) or `t`."),
        ("statistic", "-", "Coefficient / standard error."),
        ("df", "-", "Degrees of freedom of t; empty for z."),
        (
            "n",
            "observations",
            "Number of observations: tasks of all repeats that have an energy and a previous task.",
        ),
        ("tasks", "tasks", "Number of different tasks among them: the clusters."),
        (
            "series",
            "series",
            "Number of uninterrupted sequences of tasks; none crosses a repeat or a session.",
        ),
        ("lags", "tasks", "Largest lag of the Newey-West errors."),
        ("r_squared_uncentred", "fraction", "1 - sum of squared residuals / sum of y²."),
        (
            "r_squared_centred",
            "fraction",
            "1 - sum of squared residuals / sum of (y - mean of y)²; can be negative without an "
            "intercept.",
        ),
        (
            "residual_durbin_watson",
            "-",
            "Durbin-Watson statistic of the residuals within the sequences. It is near 2 in a "
            "model with a lagged outcome even if the errors are autocorrelated.",
        ),
        (
            "thesis_coefficient",
            "outcome per unit of the term",
            "Coefficient of the same term in the model `thesis` of this cell.",
        ),
        ("thesis_p", "-", "p value of that coefficient, not adjusted, as in the thesis."),
        (
            "conclusion_changes",
            "-",
            "Whether the finding (higher, lower, no effect shown; at 5 %) differs from that of the "
            "model `thesis`.",
        ),
        ("conclusion", "-", "One sentence on the coefficient and on what changes."),
        (
            "note",
            "-",
            "Reason why the model is withheld or the term has no coefficient; empty otherwise.",
        ),
    ),
)
