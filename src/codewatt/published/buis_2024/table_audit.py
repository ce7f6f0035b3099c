"""The audit of Buis 2024 as text and CSV: recomputed figures, runs and findings."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from codewatt.published.audit_text import text_table
from codewatt.published.buis_2024.published_runs import Run
from codewatt.published.finding import Finding
from codewatt.published.published_study import Audit
from codewatt.published.recomputed_figure import RecomputedFigure

_WIDTH = 100
_CSV_COLUMNS = (
    *("check", "table", "row", "column", "printed", "derived_low", "derived_high", "follows"),
)
#: What each check computes a printed figure from.
CHECKS = {
    "pass_per_kwh": "pass@1 / energy",
    "repeated_row": "the same row of the first table that prints it",
    "saving_in_text": "percentages of the text, from energies of the tables",
    "mean_in_text": "means and pass@1 of the text, from table 5.18",
    "estimate_scale": "estimates of AWQ, GPTQ: half or quarter of the Instruct model's",
    "head_size": "d_model / n_heads",
    "z_statistic": "coefficient / standard error",
    "p_of_z": "p of z, normal distribution",
    "confidence_limit": "coefficient -+ 1.96 standard errors",
    "model_statistic": "AIC, BIC, adjusted R2, Jarque-Bera and p of Omnibus",
    "levene_p": "p of Levene's statistic, F distribution",
    "kruskal_wallis_p": "p of Kruskal-Wallis, chi squared",
    "kruskal_wallis_limit": "largest possible Kruskal-Wallis statistic",
    "symmetric_p": "p of Dunn's test of the same pair in the other order",
}


@dataclass(frozen=True)
class TableAudit(Audit):
    """The results of the audit.

    Attributes:
        runs: the runs of the thesis.
        figures: printed figures that follow from others, or should.
        findings: statements of the thesis, compared with its data.
        printed: number of all printed figures.
    """

    runs: list[Run]
    figures: list[RecomputedFigure]
    findings: list[Finding]
    printed: int

    @property
    def csv_columns(self) -> tuple[str, ...]:
        """See `Audit.csv_columns`."""
        return _CSV_COLUMNS

    def text(self, *, by_run: bool) -> str:
        """See `Audit.text`."""
        parts = [_checks_table(self.figures), textwrap.fill(self._legend(), _WIDTH)]
        parts.append("\n".join(_deviating(self.figures)))
        if by_run:
            parts += [_runs_table(self.runs), textwrap.fill(_RUNS_LEGEND, _WIDTH)]
        parts += [finding.text(_WIDTH) for finding in self.findings]
        return "\n\n".join(parts)

    def csv_rows(self) -> Iterable[Mapping[str, str | int | float | None]]:
        """See `Audit.csv_rows`: one row for each recomputed figure."""
        for figure in self.figures:
            yield {
                "check": figure.check,
                "table": figure.table,
                "row": figure.row,
                "column": figure.column,
                "printed": figure.printed.text,
                "derived_low": float(figure.derived.low),
                "derived_high": float(figure.derived.high),
                "follows": str(figure.follows).lower(),
            }

    def _legend(self) -> str:
        verdicts = Counter(finding.verdict for finding in self.findings)
        counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        return (
            f"{self.printed} figures of 41 tables and three listings of Buis 2024. figures: those "
            "that other printed figures determine. follow: the printed number is possible if all "
            "numbers are rounded as printed; differ: it is not. Findings: "
            f"{len(self.findings)} statements of the text, {counted}."
        )


_RUNS_LEGEND = (
    "kWh, min, tokens/s, pass@1: as printed; Instruct models by table 5.29. tokens: latency * "
    "throughput / 1,140. W, J/token: energy / latency, energy / tokens. pass@kWh: the range that "
    "rounding allows."
)


def _checks_table(figures: list[RecomputedFigure]) -> str:
    rows = [["check", "computed from", "figures", "follow", "differ"]]
    for check, meaning in CHECKS.items():
        found = [figure.follows for figure in figures if figure.check == check]
        rows.append([check, meaning, *map(str, (len(found), sum(found), found.count(False)))])
    return text_table(rows, left={0, 1})


def _deviating(figures: list[RecomputedFigure]) -> Iterator[str]:
    yield "Figures that differ:"
    rows = [["table", "row", "column", "printed", "computed"]]
    for figure in figures:
        if not figure.follows:
            low, high = (f"{float(end):.5g}" for end in (figure.derived.low, figure.derived.high))
            between = low if low == high else f"{low} to {high}"
            rows.append([figure.table, figure.row, figure.column, figure.printed.text, between])
    yield text_table(rows, left={0, 1, 2})


def _runs_table(runs: list[Run]) -> str:
    heads = ["run", "table", "kWh", "min", "tokens/s", "pass@1"]
    rows = [[*heads, "tokens", "W", "J/token", "pass@kWh"]]
    for run in runs:
        printed = (run.energy_kwh, run.latency_min, run.throughput, run.pass_at_1)
        low, high = (f"{float(end):.2f}" for end in (run.pass_per_kwh.low, run.pass_per_kwh.high))
        rows.append(
            [
                *(run.label, run.table, *(number.text for number in printed)),
                f"{float(run.tokens_per_task.middle):.1f}",
                f"{float(run.power_w.middle):.0f}",
                f"{float(run.j_per_token.middle):.2f}",
                f"{low} to {high}",
            ]
        )
    return text_table(rows, left={0, 1})
