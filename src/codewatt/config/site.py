"""config/config.yaml: which study, where files come from, and what this machine or cluster is."""

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from codewatt.config.strict_model import Id, PositiveInt, RulePath, Strict, UserPath
from codewatt.slurm.gres import is_gpu_request

MemoryMb = Annotated[int, Field(ge=500)]
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class BenchmarkFiles(Strict):
    """Local copies of benchmarks; each is checked against the pinned digest all the same."""

    humaneval_plus: UserPath | None = Field(
        None, description="HumanEvalPlus.jsonl[.gz]; downloaded if absent."
    )


class CpuNodes(Strict):
    """What jobs without a GPU ask for. The second try asks for twice the memory and time."""

    partition: str | None = Field(None, description="Slurm partition.")
    constraint: str | None = Field(None, description="Slurm's node features, as sbatch -C.")
    threads: PositiveInt | None = Field(
        None,
        description="Cores of a measured job. Absent: all that --cores gives, so that it is alone.",
    )
    mem_mb: MemoryMb | None = Field(
        None,
        description=(
            "Memory of a job that loads a model. Absent: by the model's size, as `codewatt "
            "estimate` has it; 32000 where that is not known. Under machine.cpu, a job that judges "
            "has at least as much."
        ),
    )
    runtime_min: PositiveInt | None = Field(
        None,
        description=(
            "Time limit of such a job. Absent: likewise; 240 where not known. A job that "
            "judges: 60 at least."
        ),
    )
    max_mem_mb: MemoryMb | None = Field(
        None, description="What a node can give: no retry asks for more. Absent: no limit."
    )
    max_runtime_min: PositiveInt | None = Field(
        None, description="What the partition allows: no retry asks for more. Absent: no limit."
    )
    exclusive: bool = Field(
        False, description="Whole nodes for measured jobs: nothing of others beside them."
    )

    @model_validator(mode="after")
    def _first_try_is_allowed(self) -> Self:
        for name in ("mem_mb", "runtime_min"):
            first, most = getattr(self, name), getattr(self, f"max_{name}")
            if first is not None and most is not None and first > most:
                raise ValueError(
                    f"{name} {first} is more than max_{name} {most}; allowed: at most max_{name}"
                )
        return self


class GpuNodes(CpuNodes):
    """What the jobs of one GPU model ask for, and what they must find."""

    gres: str | None = Field(
        None, description="Slurm's name of the GPU, gpu:TYPE:N as `sinfo -o %G` writes TYPE."
    )
    gpu_name: str | None = Field(
        None,
        description=(
            "The name that NVML gives the GPU, in full, or a regular expression for it. A job that "
            "finds another GPU measures nothing."
        ),
    )
    estimated_as: str | None = Field(
        None,
        description=(
            "Its name in codewatt's table of GPUs (docs/explanation/estimate.md). Absent: the id."
        ),
    )
    nodes: list[str] = Field(
        [],
        description=(
            "Names of nodes. All cells of the study's first model run on the first of them, of the "
            "second on the second, and round again. Empty: on any."
        ),
    )

    @field_validator("gres")
    @classmethod
    def _gres_is_accepted(cls, value: str | None) -> str | None:
        if value is not None and not is_gpu_request(value):
            raise ValueError(
                f"{value!r} is not allowed; allowed: gpu:TYPE:N with letters, digits, '_' and "
                "'.' in "
                "TYPE, or gpu:N with a constraint (for a type with other characters)"
            )
        return value

    @field_validator("gpu_name")
    @classmethod
    def _name_is_a_pattern(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError(
                f"{value!r} is not the name of a GPU; allowed: a name as `nvidia-smi -L` writes it"
            )
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"{value!r} is not a regular expression: {error}") from None
        return value

    @field_validator("nodes")
    @classmethod
    def _nodes_are_names(cls, value: list[str]) -> list[str]:
        for name in value:
            if not _NODE.fullmatch(name):
                raise ValueError(
                    f"{name!r} is not the name of a node; allowed: one name, as `sinfo -N` lists it"
                )
        return value


class Machine(Strict):
    """What jobs may use here. Nothing in it changes a result's identity: it re-runs nothing."""

    account: str | None = Field(None, description="Slurm account that jobs are booked on.")
    cpu: CpuNodes = CpuNodes()
    hardware: dict[Id, GpuNodes] = Field(
        {}, description="What each id of a study's `hardware` is called here."
    )
    default_hardware: Id | None = Field(
        None,
        description=(
            "Where GPU stages run if the study names no hardware. Absent: the only entry of "
            "`hardware`, if there is only one."
        ),
    )

    @model_validator(mode="after")
    def _default_is_listed(self) -> Self:
        if self.default_hardware is not None and self.default_hardware not in self.hardware:
            known = ", ".join(self.hardware) or "none, as hardware is empty"
            raise ValueError(
                f"default_hardware: no entry {self.default_hardware!r} in hardware; allowed: "
                f"{known}"
            )
        return self


class Config(Strict):
    """The workflow's configuration."""

    study: UserPath = Field("config/studies/nano.yaml", description="The study file.")
    results: RulePath = Field("results", description="Where results/<study>/ is made.")
    benchmark_files: BenchmarkFiles = BenchmarkFiles()
    machine: Machine = Machine()
