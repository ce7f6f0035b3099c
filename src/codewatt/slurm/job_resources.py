"""What each job asks of Slurm, from the site's table: resources that stand in the rules.

A profile's set-resources is one block, which a flag on the command line replaces as a whole; what
is asked for here is not part of it, and `refusals` refuses what would override it.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from codewatt.config.site import CpuNodes, GpuNodes, Machine
from codewatt.config.study import Study
from codewatt.energy.placement import chosen_hardware
from codewatt.errors import CodewattError
from codewatt.evaluate.parallel_jobs import jobs_for_cores
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.sizing.gpu_datasheets import gpu_named

SandboxRequest = dict[str, str | int]
#: The resources that a request may name.
NAMES = (
    "mem_mb",
    "runtime",
    "cpus_per_task",
    "gres",
    "slurm_partition",
    "constraint",
    "slurm_account",
    "slurm_extra",
)
#: Those of which a retry asks for more.
_GROWING = ("mem_mb", "runtime")
#: Of a job that loads a model of which nothing is known, and of any such job at least: two
#: Snakemakes, Python and torch stand beside the model, and on a CPU for a moment 1.1 GB that its
#: bandwidth is measured with (1.9 GB seen of a nano model's job).
_UNKNOWN_MB, _UNKNOWN_MIN, _LEAST_MB = 32_000, 240, 3000
#: Of a job that judges, beside what its sandboxes may hold: Snakemake twice, the judge and the
#: benchmark's expected answers. The time is what HumanEval+ takes many times over.
_JUDGE_MB, _JUDGE_MIN = 4000, 60


class ModelJob(NamedTuple):
    """A job that loads a model.

    stage, id: its rule and what it makes. on_gpu: whether a GPU has work in it.
    """

    stage: str
    id: str
    model: str
    hardware: str | None
    on_gpu: bool = True


def check_hardware(study: Study, machine: Machine, where: str) -> None:
    """Every hardware that a study names must have an entry in the site file.

    Raises:
        CodewattError: one has none, or is to be estimated as a GPU of which nothing is known.
    """
    for name, nodes in machine.hardware.items():
        if (problem := estimate_problem(name, nodes)) is not None:
            raise CodewattError(problem)
    for name in study.hardware:
        if name not in machine.hardware:
            known = ", ".join(machine.hardware) or "none"
            raise CodewattError(
                f"{where}: hardware: {name!r} has no entry in machine.hardware, which says what it "
                f"is called here (profiles/slurm/site.yaml); there: {known}"
            )


def estimate_problem(name: str, nodes: GpuNodes) -> str | None:
    """Why jobs on such nodes cannot be sized as the site file says; None if they can."""
    if nodes.estimated_as is not None:
        try:
            gpu_named(nodes.estimated_as)
        except CodewattError as error:
            return f"machine.hardware.{name}.estimated_as: {error}"
    return None


def gpu_nodes(machine: Machine, hardware: str | None) -> GpuNodes | None:
    """The nodes of a GPU stage; None where neither study nor site says."""
    chosen = chosen_hardware(machine.hardware, machine.default_hardware, hardware)
    return None if chosen is None else machine.hardware[chosen]


def takes_gpu(study: Study, job: ModelJob) -> bool:
    """Whether a job asks for a GPU: in a study on the CPU only where it names hardware."""
    return job.on_gpu and (study.device != "cpu" or job.hardware is not None)


def model_nodes(study: Study, machine: Machine, job: ModelJob) -> CpuNodes:
    """The nodes of a job that loads a model."""
    if not takes_gpu(study, job):
        return machine.cpu
    return gpu_nodes(machine, job.hardware) or GpuNodes(threads=machine.cpu.threads)


def nodes_key(machine: Machine, job: ModelJob, nodes: CpuNodes) -> str:
    """Where the site file says what such a job may ask for: `nodes` are `model_nodes`' of it."""
    if not isinstance(nodes, GpuNodes):
        return "machine.cpu"
    name = chosen_hardware(machine.hardware, machine.default_hardware, job.hardware)
    return f"machine.hardware.{name}"


def first_try(nodes: CpuNodes, size: Mapping[str, int] | None) -> tuple[int, int]:
    """MB and minutes that a job which loads a model needs, whatever its nodes' maxima are.

    Args:
        size: mem_mb and runtime_min by the model's size, if known; the site file's go before.
    """
    size = size or {}
    mem_mb = nodes.mem_mb or max(size.get("mem_mb", _UNKNOWN_MB), _LEAST_MB)
    return mem_mb, nodes.runtime_min or size.get("runtime_min", _UNKNOWN_MIN)


def model_request(
    study: Study,
    machine: Machine,
    job: ModelJob,
    number: int,
    attempt: int,
    size: Mapping[str, int] | None = None,
) -> SandboxRequest:
    """What a job that loads a model asks for.

    Args:
        number: of the job's model in the study, from 0: a site may give each model its node.
        attempt: 1, and one more with each retry, which asks for as many times memory and time.
        size: see `first_try`.
    """
    nodes = model_nodes(study, machine, job)
    mem_mb, runtime_min = first_try(nodes, size)
    if not isinstance(nodes, GpuNodes):
        return cpu_request(machine, mem_mb, runtime_min, attempt, measured=True)
    extra = [f"--nodelist={nodes.nodes[number % len(nodes.nodes)]}"] if nodes.nodes else []
    request = _request(machine, nodes, mem_mb, runtime_min, attempt, extra)
    return {**request, **({"gres": nodes.gres} if nodes.gres else {})}


def cpu_request(
    machine: Machine, mem_mb: int, runtime_min: int, attempt: int, measured: bool = False
) -> SandboxRequest:
    """What any other job asks for; measured: with the cores of a measured job, and alone."""
    nodes = machine.cpu
    if not measured:
        nodes = nodes.model_copy(update={"threads": 1, "exclusive": False})
    return _request(machine, nodes, mem_mb, runtime_min, attempt, [])


def judge_request(machine: Machine, attempt: int) -> SandboxRequest:
    """What a job that judges completions asks for: all that its sandboxes may hold at once.

    The site's mem_mb and runtime_min go before where they are more.
    """
    # Without cores in the site file nothing is submitted: then it is one sandbox's.
    sandboxes = jobs_for_cores(machine.cpu.threads or 1)
    mem_mb = _JUDGE_MB + math.ceil(sandboxes * Limits().memory_bytes / 1e6)
    return cpu_request(
        machine,
        max(mem_mb, machine.cpu.mem_mb or 0),
        max(_JUDGE_MIN, machine.cpu.runtime_min or 0),
        attempt,
        measured=True,
    )


def as_resources(
    possible: Iterable[SandboxRequest], asked: Callable[[Any, int], SandboxRequest]
) -> dict[str, str | int | Callable[[Any, int], str | int | None]]:
    """A rule's resources: a value where all its jobs ask for the same, else a function of the job.

    Snakemake calls each function for every job, which large studies feel.

    Args:
        possible: every first request of the rule's jobs.
        asked: the request of a job (its wildcards) at its attempt.
    """

    def function(name: str) -> Callable[[Any, int], str | int | None]:
        return lambda wildcards, attempt: asked(wildcards, attempt).get(name)

    requests = list(possible)
    found: dict[str, str | int | Callable[[Any, int], str | int | None]] = {}
    for name in NAMES:
        values = {request.get(name) for request in requests}
        if name in _GROWING or len(values) > 1:
            found[name] = function(name)
        elif (value := values.pop()) is not None:
            found[name] = value
    return found


def _request(
    machine: Machine,
    nodes: CpuNodes,
    mem_mb: int,
    runtime_min: int,
    attempt: int,
    extra: list[str],
) -> SandboxRequest:
    extra = [*extra, *(["--exclusive"] if nodes.exclusive else [])]
    asked: dict[str, str | int | None] = {
        "mem_mb": _grown(mem_mb, attempt, nodes.max_mem_mb),
        "runtime": _grown(runtime_min, attempt, nodes.max_runtime_min),
        "cpus_per_task": nodes.threads,
        "slurm_partition": nodes.partition,
        "constraint": nodes.constraint,
        "slurm_account": machine.account,
        "slurm_extra": " ".join(extra) or None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _grown(first: int, attempt: int, limit: int | None) -> int:
    """A retry asks for more, as far as there is more."""
    return first * attempt if limit is None else min(first * attempt, limit)
