"""The jobs that made a study's results: their files, and times and machines from their records."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from codewatt.files import read_json
from codewatt.replication.workflow_files import WorkflowFile

#: Rules with several jobs in one directory; a job's files share the name without the last suffix.
_BY_STEM = ("check_contamination", "score_layers")
#: Folders of files that are made for the whole study.
_OF_STUDY = ("tables", "figures")
#: Rules that make a page of the whole study.
_PAGES = ("summarise", "explore")


@dataclass(frozen=True)
class JobRun:
    """One finished job.

    Attributes:
        rule: its rule.
        instance: what it was run for: the id of a cell, variant, model and so on; "study" for all.
        inputs, outputs: paths, as the workflow names them.
        start, end: in UTC; None if no record of the job holds times.
        host: name of the machine; None if unknown.
        commit: of the checkout that ran it; None if unknown.
    """

    rule: str
    instance: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    host: str | None = None
    commit: str | None = None


def job_runs(files: Sequence[WorkflowFile]) -> list[JobRun]:
    """The jobs of output files, sorted by rule and instance.

    Raises:
        CodewattError: a record is not readable.
    """
    grouped: dict[tuple[str, str], list[WorkflowFile]] = {}
    for file in files:
        grouped.setdefault((file.rule, _instance(file)), []).append(file)
    return [_job_run(*key, grouped[key]) for key in sorted(grouped)]


def _instance(file: WorkflowFile) -> str:
    path = PurePosixPath(file.path)
    if file.rule in _PAGES or path.parent.name in _OF_STUDY:
        return "study"
    return f"{path.parent.name}.{path.stem}" if file.rule in _BY_STEM else path.parent.name


def _job_run(rule: str, instance: str, files: Sequence[WorkflowFile]) -> JobRun:
    inputs = tuple(dict.fromkeys(path for file in files for path in file.inputs))
    outputs = tuple(sorted(file.path for file in files))
    records = [read_json(path) for path in outputs if path.endswith(".json")]
    made = [record for record in records if isinstance(record, dict)]
    start, end = _times(made)
    provenance: Any = next((r["provenance"] for r in made if "provenance" in r), {})
    host, commit = provenance.get("host"), provenance.get("commit")
    return JobRun(rule, instance, inputs, outputs, start, end, host, commit)


def _times(
    records: Sequence[Mapping[str, Any]],
) -> tuple[datetime.datetime | None, datetime.datetime | None]:
    """Start of the first and end of the last window of a job's records (UTC)."""
    for record in records:
        windows, offset_s = record.get("windows"), record.get("epoch_offset_s")
        if windows and offset_s is not None and "start_s" in windows[0]:
            first = min(window["start_s"] for window in windows)
            last = max(window["end_s"] for window in windows)
            return _utc(offset_s + first), _utc(offset_s + last)
    return None, None


def _utc(epoch_s: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(epoch_s, datetime.UTC)
