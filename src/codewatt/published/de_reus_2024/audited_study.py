"""The published study of de Reus et al. 2024."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from codewatt.published.checked_run import CheckedRun, Configuration
from codewatt.published.de_reus_2024.findings import findings
from codewatt.published.de_reus_2024.paper_audit import PaperAudit
from codewatt.published.de_reus_2024.printed_tables import read_tables
from codewatt.published.de_reus_2024.published_run_checks import COUNTERS, check_runs
from codewatt.published.de_reus_2024.run_data import Run, read_runs
from codewatt.published.published_study import Audit
from codewatt.published.run_study import RunAudit, RunStudy


class DeReus2024(RunStudy[Run]):
    """StarCoder2 and Phi-2 on HumanEval+, quantised and pruned; measured with CodeCarbon."""

    name: ClassVar[str] = "de_reus_2024"
    meter: ClassVar[str] = "EAR"
    data: ClassVar[Path] = Path(__file__).with_name("energy.csv")
    run_columns: ClassVar[tuple[str, ...]] = (
        *("table", "run", "model", "token_limit", "precision", "layers_pruned", "runtime_s"),
        *("total_wh", "ear_packages_w", "ear_match"),
    )
    legend: ClassVar[str] = (
        "run s, total Wh, CPU W: means of the published figures. EAR W: mean power of both CPU "
        "packages of the node by EAR, the cluster's energy monitor. wraps missed: B x 2 + O means "
        "that both packages' counters wrapped B times unseen, and one of them O more times; one "
        f"wrap is {COUNTERS.range_j:,.0f} J. corrected: total in Wh with the wraps of both "
        "packages, and with all wraps. residual: CPU energy with all wraps minus EAR's, of the run "
        "where it is largest; *: a whole number of wraps does not explain a run. flags: failed "
        "checks of severity error and their number of runs; the text below describes warnings."
    )

    def audit(self, data: Path) -> Audit:
        """See `PublishedStudy.audit`: the runs of `data`; printed numbers are the packaged ones."""
        checked = self.check_runs(data)
        return PaperAudit(RunAudit(self, checked), checked, read_tables())

    def check_runs(self, path: Path) -> list[CheckedRun[Run]]:
        """See `RunStudy.check_runs`."""
        return check_runs(read_runs(path))

    def findings(self, configurations: Sequence[Configuration[Run]]) -> Iterator[str]:
        """See `RunStudy.findings`."""
        return findings(configurations)


STUDY = DeReus2024()
