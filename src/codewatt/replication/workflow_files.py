"""What Snakemake knows of a study's files: which rule makes each, from what, and which are stale.

Whether a result is up to date is decided in one place, by Snakemake: this module asks it
(`snakemake --detailed-summary`) and decides nothing itself.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.untrusted_files import display_path

#: The columns of Snakemake's summary, which its first line names.
_HEADER = "output_file\tdate\trule\tlog-file(s)\tinput-file(s)\tshellcmd\tstatus\tplan"
_UP_TO_DATE = "no update"
_ABSENT, _MISSING = "-", "missing"
#: The default target, and the table that is made on request only.
_TARGET, _AA_TARGET = "report", "aa_test"
_SHOWN = 3


@dataclass(frozen=True)
class WorkflowFile:
    """One output file of the workflow.

    Attributes:
        path: as the workflow names it, below the results directory.
        rule: the rule that makes it.
        inputs: the input files of the job that made it.
        known: whether Snakemake recorded that job; without it only modification times count.
        status: Snakemake's words, such as "ok", "missing" or "params changed".
        up_to_date: whether a run would leave it as it is.
    """

    path: str
    rule: str
    inputs: tuple[str, ...] = ()
    known: bool = True
    status: str = "ok"
    up_to_date: bool = True


def checkout() -> Path:
    """The directory of the Snakefile to which this package belongs.

    Raises:
        CodewattError: the package was installed without the workflow.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / "Snakefile").is_file():
        raise CodewattError(
            f"{display_path(root)}: no Snakefile; allowed: codewatt from a checkout of the project"
        )
    return root


def read_workflow_files(
    study: Path, results: str, site: Path | None = None, aa_test: bool = False
) -> list[WorkflowFile]:
    """The output files of a study's jobs, as Snakemake lists them in the working directory.

    Args:
        study: the study file.
        results: the results directory, written as for the run: Snakemake knows its files by name.
        site: the site file; None for the default configuration.
        aa_test: whether the files of the A/A test are listed too.

    Raises:
        CodewattError: Snakemake refuses the study.
    """
    root = checkout()
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile")]
    command += ["--workflow-profile", str(root / "profiles" / "default"), "--detailed-summary"]
    command += ["--configfile", str(site)] if site else []
    command += ["--config", f"study={study}", f"results={results}", "--"]
    command += [_TARGET, *([_AA_TARGET] if aa_test else [])]
    # A Snakemake that started this process must not speak to the new one.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("codewatt:")] or lines[-1:]
        reason = told[0].removeprefix("codewatt: ") if told else f"exit code {done.returncode}"
        raise CodewattError(f"{display_path(study)}: Snakemake cannot plan this study: {reason}")
    return parse_summary(done.stdout)


def parse_summary(text: str) -> list[WorkflowFile]:
    """The files of `snakemake --detailed-summary`.

    Raises:
        CodewattError: the text is not such a summary.
    """
    lines = text.splitlines()
    if _HEADER not in lines:
        raise CodewattError("Snakemake's summary of the study has other columns than expected")
    found = []
    for line in lines[lines.index(_HEADER) + 1 :]:
        if not line.strip():
            continue
        path, _, rule, _, inputs, _, status, plan = line.split("\t")
        known = inputs != _ABSENT
        named = tuple(part for part in inputs.split(",") if part) if known else ()
        found.append(WorkflowFile(path, rule, named, known, status, plan == _UP_TO_DATE))
    return found


def refuse_unfinished(files: Sequence[WorkflowFile], results: str) -> None:
    """Refuse results that a run would change.

    Raises:
        CodewattError: one line that names the first files that are missing or stale, and why.
    """
    # Without records only modification times would tell, so this is asked first.
    made = any(file.status != _MISSING for file in files)
    if made and not any(file.known for file in files):
        raise CodewattError(
            f"{display_path(results)}: Snakemake has no record in {display_path(os.getcwd())} of "
            "how these results were made, so nobody can tell whether they are up to date; allowed: "
            "the working directory in which the study ran, and --results as for that run"
        )
    # A missing file with up-to-date files after it starts no job, but a package needs it.
    stale = [file for file in files if not file.up_to_date or file.status == _MISSING]
    if stale:
        stale.sort(key=lambda file: file.status == "ok")  # causes before what follows from them
        rules = dict.fromkeys(file.rule for file in stale)
        shown = [f"{display_path(file.path)} ({_why(file)})" for file in stale[:_SHOWN]]
        more = f" and {len(stale) - _SHOWN} more" if len(stale) > _SHOWN else ""
        raise CodewattError(
            f"{display_path(results)}: {len(stale)} of {len(files)} files are missing or stale: "
            f"{', '.join(shown)}{more}; allowed: a finished study; run Snakemake "
            f"(rules {', '.join(rules)})"
        )


def _why(file: WorkflowFile) -> str:
    return file.status if file.status != "ok" else f"rule {file.rule} would run again"
