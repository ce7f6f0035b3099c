"""config/config.yaml: which study, where files come from, and what this machine or cluster is."""

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from codewatt.config.strict_model import Id, PositiveInt, RulePath, Strict, UserPath
from codewatt.slurm.gres import is_gpu_request

MemoryMb = Annotated[int, Field(ge=500)]
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class BenchmarkFiles(Strict):
    """Local copies of benchmark files. The content of each file must have the pinned SHA-256."""

    humaneval_plus: UserPath | None = Field(
        None, description="HumanEvalPlus.jsonl[.gz]; downloaded if absent."
    )
    mbpp_plus: UserPath | None = Field(
        None, description="MbppPlus.jsonl[.gz]; downloaded if absent."
    )
    bigcodebench: UserPath | None = Field(
        None,
        description=(
            "BigCodeBench v0.1.4 as .parquet, .jsonl or .jsonl.gz; the rows must have the pinned "
            "content. Downloaded if absent."
        ),
    )


class CpuNodes(Strict):
    """What jobs without a GPU request. A second attempt requests twice the memory and time."""

    partition: str | None = Field(None, description="Slurm partition.")
    constraint: str | None = Field(None, description="Required node features, as for sbatch -C.")
    threads: PositiveInt | None = Field(
        None,
        description=(
            "Cores of a measured job. Absent: all cores of --cores, so that no other job runs at "
            "the same time."
        ),
    )
    mem_mb: MemoryMb | None = Field(
        None,
        description=(
            "Memory of a job that loads a model. Absent: computed from the model's size, as in "
            "`codewatt estimate`; 32000 if the size is unknown. Under machine.cpu, jobs that judge "
            "completions request at least this much."
        ),
    )
    runtime_min: PositiveInt | None = Field(
        None,
        description=(
            "Time limit of a job that loads a model, in minutes. Absent: computed as in `codewatt "
            "estimate`; 240 if the size is unknown. Jobs that judge completions request at least "
            "60."
        ),
    )
    max_mem_mb: MemoryMb | None = Field(
        None, description="Largest memory that a job may request, in any attempt. Absent: no limit."
    )
    max_runtime_min: PositiveInt | None = Field(
        None,
        description=(
            "Largest time limit that a job may request, in any attempt, in minutes. Absent: no "
            "limit."
        ),
    )
    exclusive: bool = Field(
        False, description="Measured jobs request whole nodes, so that no other job runs there."
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
    """What jobs on one GPU model request, and the GPU that they must get."""

    gres: str | None = Field(
        None,
        description=(
            "The GPU in Slurm's notation, gpu:TYPE:N; write TYPE exactly as `sinfo -o %G` does."
        ),
    )
    gpu_name: str | None = Field(
        None,
        description=(
            "The full name that NVML gives the GPU, or a regular expression for it. A job that "
            "gets another GPU ends with an error before it measures."
        ),
    )
    estimated_as: str | None = Field(
        None,
        description=(
            "Name of the GPU in codewatt's table of GPUs (docs/explanation/estimate.md). Absent: "
            "the id of this entry."
        ),
    )
    nodes: list[str] = Field(
        [],
        description=(
            "Names of nodes. All cells of the study's first model run on the first node, all cells "
            "of the second model on the second node, and so on; after the last node follows the "
            "first again. Empty: any node."
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
    """The resources of this machine or cluster. A change here never makes a result stale."""

    account: str | None = Field(None, description="Slurm account to which jobs are charged.")
    cpu: CpuNodes = CpuNodes()
    hardware: dict[Id, GpuNodes] = Field(
        {}, description="For each id of a study's `hardware`: the GPU nodes of this cluster."
    )
    default_hardware: Id | None = Field(
        None,
        description=(
            "Id of the entry of `hardware` on which GPU stages run if the study names no hardware. "
            "Absent: the only entry of `hardware`, if there is only one."
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
    results: RulePath = Field("results", description="The folder that contains results/<study>/.")
    benchmark_files: BenchmarkFiles = BenchmarkFiles()
    bigcodebench_python: UserPath | None = Field(
        None,
        description=(
            "Path of the Python that runs programs of BigCodeBench; it must exist on the nodes "
            "that judge. Default: the Python of .venv-bigcodebench, which `make bigcodebench` "
            "makes. The environment variable CODEWATT_BIGCODEBENCH_PYTHON takes precedence."
        ),
    )
    machine: Machine = Machine()
