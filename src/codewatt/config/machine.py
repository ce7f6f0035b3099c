"""config/config.yaml: which study, where files come from, and what this machine is."""

from typing import Annotated

from pydantic import Field

from codewatt.config.base import PositiveInt, Strict


class BenchmarkFiles(Strict):
    """Local copies of benchmarks; each is checked against the pinned digest all the same."""

    humaneval_plus: str | None = Field(
        None, description="HumanEvalPlus.jsonl[.gz]; downloaded if absent."
    )


class Machine(Strict):
    """What jobs may use here. Nothing in it changes a result's identity: it re-runs nothing."""

    gpu_gres: str | None = Field(
        None,
        pattern=r"^gpu(:[A-Za-z0-9_.]+)?:[0-9]+$",
        description="Slurm's name for a GPU (quantise, measure_recovery, generate): gpu:MODEL:N.",
    )
    gpu_partition: str | None = Field(None, description="Slurm partition of those three.")
    cpu_partition: str | None = Field(None, description="Slurm partition of all others.")
    threads: PositiveInt | None = Field(
        None,
        description="Cores of a measured job. Absent: all that --cores gives, so that it is alone.",
    )
    gpu_mem_mb: Annotated[int, Field(ge=500)] = 32_000
    gpu_runtime_min: PositiveInt = 240


class Config(Strict):
    """The workflow's configuration."""

    study: str = Field("config/studies/nano.yaml", description="The study file.")
    results: str = Field("results", description="Where results/<study>/ is made.")
    benchmark_files: BenchmarkFiles = BenchmarkFiles()
    machine: Machine = Machine()
