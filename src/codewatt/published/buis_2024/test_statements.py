"""Findings on the statistical tests of Buis 2024 (tables 5.2 to 5.4, 5.26 to 5.28, 5.36, 5.37)."""

from collections.abc import Iterator

from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.published_runs import SIZES
from codewatt.published.finding import CONTRADICTED, Finding

_LEVEL = 0.05


def statements_on_tests(tables: ThesisTables) -> Iterator[Finding]:
    """Findings on statements about tests."""
    yield _variances(tables)
    yield _fine_tuning_p(tables)
    yield _normality(tables)


def p_values(tables: ThesisTables, table: str) -> dict[str, float]:
    """The p values of a table by label; the limit for "< 0.001"."""
    return {
        figure.label: float(figure.number.value)
        for figure in tables.of(table)
        if figure.column == "p-value"
    }


def _variances(tables: ThesisTables) -> Finding:
    values = {
        f"significant_{table}": sum(p < _LEVEL for p in p_values(tables, table).values())
        for table in ("5.4", "5.27", "5.37")
    }
    return Finding(
        "statements_on_variances",
        CONTRADICTED,
        "Section 4.2.2.1 on table 5.4: “the p-values are well above 0.05”, which “indicates "
        "homoscedasticity for each model”. Section 4.2.3.2: “the results of Levene's test in Table "
        "5.27 show significant differences”. Section 4.2.3.4: table 5.37 shows “statistical "
        "differences in energy consumption variance for the quantized models”.",
        f"p < 0.05 in {values['significant_5.4']:.0f} of 9 rows of table 5.4 (the three of "
        f"DeepSeekCoder, as section 4.2.1 says), in {values['significant_5.27']:.0f} of 5 of table "
        f"5.27 (7B and 14B) and in {values['significant_5.37']:.0f} of 5 of table 5.37 (not 0.5B).",
        "Unequal variances are shown for fewer comparisons than the text says, and for "
        "DeepSeekCoder against what it says in section 4.2.2.1. A Kruskal-Wallis test does not "
        "need equal variances to show that distributions differ.",
        values,
    )


def _fine_tuning_p(tables: ThesisTables) -> Finding:
    values = p_values(tables, "5.28")
    return Finding(
        "p_values_of_fine_tuning",
        CONTRADICTED,
        "Section 4.2.3.2 on table 5.28: “all p-values for differences in energy consumption are "
        "statistically significant (p < 0.001)”.",
        f"p of 3B is {values['3B']:.2f} (chi squared 6.95 with one degree of freedom: 0.008). The "
        "other four are below 0.001.",
        "Significant at 5 %, but not at 0.1 % for 3B. After Holm's adjustment it stays below 5 %.",
        values,
    )


def _normality(tables: ThesisTables) -> Finding:
    values = {
        f"{size}_{suffix}": float(
            tables.number("5.36", f"{size}-Instruct-GPTQ-{suffix}", "Shapiro-Wilk statistic")
        )
        for size in SIZES
        for suffix in ("Int8", "Int4")
    }
    listed = ", ".join(
        f"{size} {values[f'{size}_Int8']:.2f} and {values[f'{size}_Int4']:.2f}" for size in SIZES
    )
    return Finding(
        "normality_and_precision",
        CONTRADICTED,
        "Section 4.2.3.4: “shift to lower bit precision in GPTQ models increases the non-normality "
        "in the data”.",
        f"Shapiro-Wilk statistics of table 5.36 for Int8 and Int4: {listed}. For 14B Int4 is "
        "closer to 1 than Int8.",
        "The statement holds for four of five sizes. It has no consequence for the other results.",
        values,
    )
