"""Everything that the page on both studies shows, computed from their data files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codewatt.published.buis_2024 import audited_study as thesis
from codewatt.published.buis_2024.model.model_results import ModelResults, compute_results
from codewatt.published.buis_2024.printed_tables import read_tables as read_thesis
from codewatt.published.buis_2024.published_runs import read_runs
from codewatt.published.buis_2024.statements import STATEMENTS as THESIS_STATEMENTS
from codewatt.published.checked_run import group_by_table
from codewatt.published.de_reus_2024 import audited_study as paper
from codewatt.published.de_reus_2024 import printed_tables as paper_tables
from codewatt.published.de_reus_2024.paper_audit import PaperAudit
from codewatt.published.de_reus_2024.paper_runs import PaperRuns
from codewatt.published.de_reus_2024.statements import STATEMENTS as PAPER_STATEMENTS
from codewatt.published.finding import Finding
from codewatt.published.page.checklist import ChecklistItem, checklist
from codewatt.published.page.energy_changes import (
    EnergyChange,
    own_changes,
    paper_changes,
    thesis_changes,
)
from codewatt.published.page.measured_column import MeasuredColumn, measured_column
from codewatt.published.page.own_measurements import OwnEnergy, read_changes, read_energies
from codewatt.published.page.redrawn_tables import PrintedValue, paper_values, thesis_values
from codewatt.published.printed_figures import read_rows
from codewatt.published.run_study import RunAudit
from codewatt.published.statement import Statement
from codewatt.published.study_files import BUIS, DE_REUS


@dataclass(frozen=True)
class PageData:
    """The results of both audits, and the comparison with codewatt's measurements.

    Attributes:
        runs: runs of de Reus et al.
        paper: their printed tables.
        model: the analytical model of Buis, with the printed tables.
        values: printed numbers of both texts.
        findings: study -> statements compared with the data.
        statements: study -> statements of abstract and conclusion.
        energies: codewatt's own energies per token.
        changes: changes of energy by quantisation.
        captions: (study, table) -> caption.
        items: the checklist.
        measured: what study files of this project measured beside the printed numbers.
    """

    runs: PaperRuns
    paper: paper_tables.PaperTables
    model: ModelResults
    values: list[PrintedValue]
    findings: dict[str, list[Finding]]
    statements: dict[str, Sequence[Statement]]
    energies: list[OwnEnergy]
    changes: list[EnergyChange]
    captions: dict[tuple[str, str], str]
    items: list[ChecklistItem]
    measured: MeasuredColumn


def compute_page(results: Path) -> PageData:
    """All results, from the packaged data files and from what study files measured.

    Args:
        results: folder with a folder of results for each study that was run; it may be absent.

    Raises:
        CodewattError: a data file is missing or wrong.
    """
    checked = paper.STUDY.check_runs(paper.STUDY.data)
    tables = paper_tables.read_tables()
    paper_audit = PaperAudit(RunAudit(paper.STUDY, checked), checked, tables)
    runs = PaperRuns.select(group_by_table(checked))
    thesis_audit = thesis.STUDY.audit(thesis.STUDY.data)
    model = compute_results(read_thesis(thesis.STUDY.data))
    values = [
        *paper_values(tables, runs, paper_audit.figures),
        *thesis_values(model, thesis_audit.figures),
    ]
    energies = read_energies()
    captions = {
        (study, row["table"]): row["caption"]
        for study, folder in ((DE_REUS, paper_tables.FOLDER), (BUIS, thesis.STUDY.data))
        for _, row in read_rows(folder / "tables.csv", ("table", "caption"))
    }
    return PageData(
        runs=runs,
        paper=tables,
        model=model,
        values=values,
        findings={DE_REUS: paper_audit.findings, BUIS: thesis_audit.findings},
        statements={DE_REUS: PAPER_STATEMENTS, BUIS: THESIS_STATEMENTS},
        energies=energies,
        changes=[
            *paper_changes(runs),
            *thesis_changes(read_runs(model.tables)),
            *own_changes(energies, read_changes()),
        ],
        captions=captions,
        items=checklist(values, model.formulas, captions),
        measured=measured_column(results, {DE_REUS: tables.figures, BUIS: model.tables.figures}),
    )
