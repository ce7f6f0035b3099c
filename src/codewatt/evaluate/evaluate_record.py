"""The record of a cell's verdicts: what `evaluate_cell` wrote; energy and aggregate read it."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from codewatt.energy.job_energy_record import (
    MeterRecord,
    PhaseWindow,
    SamplerRecord,
    SkippedStage,
)
from codewatt.provenance import MadeRecord
from codewatt.record_files import RecordFormat

#: pass@k by k, as text; None where a task has fewer than k samples.
PassAtK = dict[str, float | None]


class PassAtKTable(TypedDict):
    """pass@k on the base tests, and on base and plus tests together."""

    base: PassAtK
    plus: PassAtK


class RepeatPassAtK(PassAtKTable):
    """pass@k of one repeat."""

    repeat: int


class VerdictRecord(TypedDict):
    """The verdict on one completion.

    base, plus: "pass", "fail" or "timeout"; None where a benchmark has no such tests, or the task
        is excluded.
    why: the first test that failed, and how, or why the task is excluded; None for a completion
        that passed.
    program: number of the completion's program; identical programs have one number and ran once.
    start_s, end_s: when that program ran (CLOCK_MONOTONIC s); None if it did not run, because the
        task is excluded, or if the judge does not record it.
    cpu_s: CPU time of its sandboxes (s), in steps of 10 ms; None if it was not read.
    """

    task_id: str
    repeat: int
    sample: int
    base: str | None
    plus: str | None
    why: str | None
    program: int
    start_s: float | None
    end_s: float | None
    cpu_s: float | None


class LimitsRecord(TypedDict):
    """The limits of a program (`sandbox.resource_limits.Limits`); None as there."""

    min_time_s: float
    time_factor: float
    suite_time_s: float
    grace_s: float
    wall_factor: float
    memory_bytes: int
    total_memory_bytes: int | None
    processes: int
    files: int
    tmpfs_bytes: int
    start_s: float
    next_s: float


class SandboxRecord(TypedDict):
    """How programs were isolated.

    tool: bubblewrap with its version. privileges: of the programs. start: how a program's process
    starts. jobs: sandboxes at a time. total_memory_bytes: limit of all processes of one sandbox.
    """

    tool: str
    privileges: str
    start: Literal["one sandbox for each program", "forked from a warm process"]
    jobs: int
    total_memory_bytes: int
    limits: LimitsRecord


class ExcludedTask(TypedDict):
    """A task that cannot be judged here: its reference program does not pass its tests."""

    task_id: str
    why: str


class EnvironmentRecord(TypedDict):
    """The Python environment in which programs run, if it is not codewatt's own.

    python: its version. packages_sha256: digest of the names and versions of its packages.
    """

    python: str
    packages_sha256: str


class JudgedCell(TypedDict):
    """The verdicts of a cell, before meters and provenance are added.

    benchmark: the study's id; None for completions from elsewhere.
    pass_at_k: of the first repeat. tasks: of the benchmark. judged: different programs.
    excluded: tasks without verdicts, which do not count in pass@k.
    environment: of the programs; None if it is codewatt's own.
    domains: task_id -> its domains; empty if the benchmark's tasks have none.
    windows: one, of phase "evaluate".
    """

    schema: Literal[5]
    status: Literal["ok"]
    benchmark: str | None
    dataset_sha256: str
    pass_at_k: PassAtKTable
    by_repeat: list[RepeatPassAtK]
    verdicts: list[VerdictRecord]
    tasks: int
    excluded: list[ExcludedTask]
    environment: EnvironmentRecord | None
    domains: dict[str, list[str]]
    judged: int
    sanitized: bool
    windows: list[PhaseWindow]
    epoch_offset_s: float
    sandbox: SandboxRecord


class EvaluatedCellRecord(JudgedCell, MadeRecord):
    """cells/<cell>/evaluate.json of a cell that ran."""

    meters: list[MeterRecord]
    sampler: SamplerRecord


class SkippedEvaluationRecord(SkippedStage, MadeRecord):
    """cells/<cell>/evaluate.json of a cell that could not run."""

    schema: Literal[5]
    meters: list[MeterRecord]
    sampler: SamplerRecord


EvaluateRecord = EvaluatedCellRecord | SkippedEvaluationRecord
EVALUATE: RecordFormat[EvaluateRecord] = RecordFormat(
    Annotated[EvaluateRecord, Field(discriminator="status")], "evaluate"
)
