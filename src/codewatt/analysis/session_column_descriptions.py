"""Unit and meaning of the columns of the tables of sessions, checks and the A/A test."""

from codewatt.analysis.column_patterns import describe

SESSION_DESCRIPTIONS = describe(
    ("valid", "-", "False if a validity check of severity `error` failed in this session."),
    (
        "block",
        "-",
        "Id of the block: cells that differ only in prune setting and precision have the same one.",
    ),
    (
        "order_position",
        "-",
        "Place of the cell in the random order of its session, from 1, drawn from the study's "
        "`order_seed`. `start_rank` is the order in which the cells began.",
    ),
    (
        "start_rank",
        "-",
        "Rank of the cell in its session by the time at which its job began to sample, from 1.",
    ),
    ("started_at_utc", "-", "That time (UTC, ISO 8601)."),
    ("host", "-", "Name of the machine."),
    ("gpu_uuids", "-", "UUIDs of the job's GPUs."),
    (
        "same_board_as_baseline",
        "-",
        "Whether the cell is known to have run on the same host and GPUs as its baseline in the "
        "same session; empty if one of the two did not run.",
    ),
    ("repeats", "repeats", "Number of repeats of the session."),
    (
        "<tested>_geomean",
        "unit of the metric",
        "Geometric mean over the repeats of the session.",
    ),
    (
        "pass_at_1_<tests>",
        "fraction",
        "pass@1, the mean over the repeats of the session; empty for random weights.",
    ),
)

CHECK_DESCRIPTIONS = describe(
    (
        "repeat",
        "-",
        "Number of the repeat within its session, from 0; empty for a check of the whole session.",
    ),
    ("name", "-", "Name of the validity check."),
    (
        "severity",
        "-",
        "`error` (a failure makes the cell invalid; of `variant_not_confounded`, it withholds the "
        "cell's changes against its baseline) or `warning`.",
    ),
    ("passed", "-", "Whether the check passed; empty if its data were not recorded."),
    ("observed", "see `unit`", "Observed value."),
    ("limit", "see `unit`", "Limit of the check."),
    ("unit", "-", "Unit of `observed` and `limit`."),
    ("detail", "-", "What was compared, and on which device."),
)

AA_TEST_DESCRIPTIONS = describe(
    (
        "comparison",
        "-",
        "`halves`: first half of a cell's repeats against the second half. `twin`: a baseline "
        "cell against a second run of the same cell.",
    ),
    ("other_cell_id", "-", "Cell on the other side of the comparison, in the same session."),
    ("metric", "-", "Metric that is compared."),
    ("valid", "-", "Whether every validity check of severity `error` passed on both sides."),
    ("n", "repeats", "Number of values on the first side."),
    ("other_n", "repeats", "Number of values on the other side."),
    ("mean", "unit of the metric", "Arithmetic mean of the first side."),
    ("other_mean", "unit of the metric", "Arithmetic mean of the other side."),
    ("change", "fraction", "Ratio of geometric means, other side / first side, - 1."),
    (
        "change_ci90_low",
        "fraction",
        "Lower end of the 90 % confidence interval (Welch on logarithms): the interval of the "
        "equivalence test.",
    ),
    ("change_ci90_high", "fraction", "Upper end of the same interval."),
    ("change_ci95_low", "fraction", "Lower end of the 95 % confidence interval."),
    ("change_ci95_high", "fraction", "Upper end of the same interval."),
    ("margin", "fraction", "Equivalence margin: the study's `comparisons.aa_margin`."),
    (
        "p_equivalence",
        "-",
        "p value of the equivalence test (two one-sided tests, Schuirmann 1987).",
    ),
    ("p_difference", "-", "Two-sided p value of the hypothesis of no difference."),
    (
        "minimum_detectable_change",
        "fraction",
        "Smallest change that this comparison detects with 80 % power.",
    ),
    (
        "outcome",
        "-",
        "`equivalent` (the 90 % interval lies within the margin), `different` (the 95 % interval "
        "does not contain 0) or `undecided`.",
    ),
    ("passed", "-", "Whether the outcome is `equivalent`."),
    ("note", "-", "Reason why there is no outcome, or a remark on it."),
)
