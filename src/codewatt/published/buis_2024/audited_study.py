"""The published study of Buis 2024."""

from pathlib import Path
from typing import ClassVar

from codewatt.published.buis_2024.accuracy_findings import accuracy_findings
from codewatt.published.buis_2024.batch_findings import batch_findings
from codewatt.published.buis_2024.conclusion_findings import conclusion_findings
from codewatt.published.buis_2024.consistency_checks import recompute_tables
from codewatt.published.buis_2024.estimate_findings import estimate_findings
from codewatt.published.buis_2024.measurement_findings import measurement_findings
from codewatt.published.buis_2024.model.write_model import model_page
from codewatt.published.buis_2024.printed_tables import read_tables
from codewatt.published.buis_2024.published_runs import read_runs
from codewatt.published.buis_2024.regression_findings import regression_findings
from codewatt.published.buis_2024.saving_findings import saving_findings
from codewatt.published.buis_2024.size_findings import size_findings
from codewatt.published.buis_2024.statistics_checks import recompute_statistics
from codewatt.published.buis_2024.table_audit import TableAudit
from codewatt.published.buis_2024.test_statements import statements_on_tests
from codewatt.published.published_study import PublishedStudy

_FINDINGS = (
    *(batch_findings, saving_findings, size_findings, accuracy_findings, regression_findings),
    *(statements_on_tests, estimate_findings, measurement_findings, conclusion_findings),
)


class Buis2024(PublishedStudy):
    """Qwen2.5, Llama 3.1 and DeepSeek-Coder-V2-Lite on BigCodeBench: AWQ, GPTQ, fine-tuning."""

    name: ClassVar[str] = "buis_2024"
    data: ClassVar[Path] = Path(__file__).parent

    def audit(self, data: Path) -> TableAudit:
        """See `PublishedStudy.audit`."""
        tables = read_tables(data)
        return TableAudit(
            runs=list(read_runs(tables).values()),
            figures=[*recompute_tables(tables), *recompute_statistics(tables)],
            findings=[finding for make in _FINDINGS for finding in make(tables)],
            printed=len(tables.figures),
        )

    def model_page(self, data: Path, folder: Path | None) -> str:
        """See `PublishedStudy.model_page`."""
        return model_page(data, folder)


STUDY = Buis2024()
