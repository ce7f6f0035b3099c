"""The audit of de Reus et al. 2024 as text: runs, printed numbers, statements and findings."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from codewatt.published.audit_text import text_table
from codewatt.published.checked_run import CheckedRun, group_by_table
from codewatt.published.de_reus_2024.accuracy_findings import accuracy_findings
from codewatt.published.de_reus_2024.energy_findings import energy_findings
from codewatt.published.de_reus_2024.measurement_findings import measurement_findings
from codewatt.published.de_reus_2024.paper_runs import PaperRuns
from codewatt.published.de_reus_2024.printed_tables import PaperTables
from codewatt.published.de_reus_2024.pruning_findings import pruning_findings
from codewatt.published.de_reus_2024.run_data import Run
from codewatt.published.de_reus_2024.statements import STATEMENTS, verdict_rows
from codewatt.published.de_reus_2024.table_checks import CHECKS, recompute
from codewatt.published.finding import Finding
from codewatt.published.printed_figures import PrintedFigure
from codewatt.published.published_study import Audit
from codewatt.published.recomputed_figure import RecomputedFigure
from codewatt.published.run_study import RunAudit

_WIDTH = 100
_FINDINGS = (energy_findings, accuracy_findings, measurement_findings, pruning_findings)
#: Rows of the table of printed tables and figures, and what they are computed from.
TABLES = {
    "II": "verdicts of the recorded completions",
    "III": "verdicts; differences from table II",
    "IV": "run times of energy.csv; 164 * limit / time",
    "figure 3": "energies of energy.csv",
    "figure 4": "energies of energy.csv",
    "figure 5": "energies of energy.csv",
    "figure 6": "energies of energy.csv",
    "figure 7": "verdicts of the recorded completions",
    "figure 8": "energies of energy.csv",
    "readme": "mean of the printed increases of five runs",
    "thesis 9": "verdicts of the recorded completions",
}


class PaperAudit(Audit):
    """The audit of the runs, and the comparison with the paper.

    Attributes:
        figures: printed numbers, computed again; empty if runs of the paper are missing.
        findings: statements of the paper, compared with the data; empty likewise.
    """

    def __init__(
        self, runs: RunAudit, checked: Sequence[CheckedRun[Run]], tables: PaperTables
    ) -> None:
        self._runs, self._tables = runs, tables
        paper_runs = PaperRuns.select(group_by_table(checked))
        self._missing = paper_runs.missing
        self.figures: list[RecomputedFigure] = []
        self.findings: list[Finding] = []
        if not self._missing:
            self.figures = list(recompute(tables, paper_runs))
            self.findings = [one for make in _FINDINGS for one in make(tables, paper_runs)]

    @property
    def csv_columns(self) -> tuple[str, ...]:
        """See `Audit.csv_columns`."""
        return self._runs.csv_columns

    def csv_rows(self) -> Iterable[Mapping[str, str | int | float | None]]:
        """See `Audit.csv_rows`: one row for each run."""
        return self._runs.csv_rows()

    def text(self, *, by_run: bool) -> str:
        """See `Audit.text`."""
        parts = [self._runs.text(by_run=by_run)]
        if self._missing:
            left_out = (
                "Printed numbers and statements of the paper are not checked: the file has no runs "
                f"of {'; '.join(self._missing)}."
            )
            return "\n\n".join([*parts, textwrap.fill(left_out, _WIDTH)])
        parts += [
            _by_check(self.figures),
            _by_table(self._tables.figures, self.figures),
            textwrap.fill(self._legend(), _WIDTH),
            _deviating(self.figures),
            "Statements of abstract and conclusion:\n"
            + text_table(verdict_rows(self.findings), left={0, 1, 2, 3}),
            *(finding.text(_WIDTH) for finding in self.findings),
        ]
        return "\n\n".join(parts)

    def _legend(self) -> str:
        verdicts = Counter(finding.verdict for finding in self.findings)
        counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        return (
            f"{len(self._tables.figures)} printed numbers of tables II to IV and figures 3 to 8, "
            f"and of the authors' README and thesis; {len(self._tables.claims)} numbers of the "
            "running text. follow: the printed number is possible if all numbers are rounded as "
            "printed; differ: it is not. largest difference: of a printed number from the middle "
            "of what follows; rounding alone gives up to half of the last digit. Findings: "
            f"{len(self.findings)} on the text, {counted}; {len(STATEMENTS)} statements of "
            "abstract and conclusion."
        )


def _by_check(figures: Sequence[RecomputedFigure]) -> str:
    rows = [["check", "computed from", "numbers", "follow", "differ"]]
    for check, meaning in CHECKS.items():
        found = [figure.follows for figure in figures if figure.check == check]
        rows.append([check, meaning, *map(str, (len(found), sum(found), found.count(False)))])
    return text_table(rows, left={0, 1})


def _by_table(printed: Sequence[PrintedFigure], figures: Sequence[RecomputedFigure]) -> str:
    rows = [["table", "made from", "printed", "computed", "differ", "largest difference"]]
    for table, source in TABLES.items():
        numbers = [one for one in printed if one.table == table]
        units = {(one.label, one.column): one.unit for one in numbers}
        found = [one for one in figures if one.table == table]
        differing = sum(not one.follows for one in found)
        largest = max(found, key=lambda one: abs(one.printed.value - one.derived.middle))
        gap = float(abs(largest.printed.value - largest.derived.middle))
        unit = units[(largest.row, largest.column)]
        keys = {(one.row, one.column) for one in found}
        counts = (len(numbers), len(keys), differing)
        rows.append([table, source, *map(str, counts), f"{gap:.2g} {unit}".rstrip()])
    return text_table(rows, left={0, 1, 5})


def _deviating(figures: Sequence[RecomputedFigure]) -> str:
    rows = [["table", "row", "column", "printed", "computed"]]
    for figure in figures:
        if not figure.follows:
            low, high = (f"{float(end):.5g}" for end in (figure.derived.low, figure.derived.high))
            between = low if low == high else f"{low} to {high}"
            rows.append([figure.table, figure.row, figure.column, figure.printed.text, between])
    return "Numbers that differ:\n" + text_table(rows, left={0, 1, 2})
