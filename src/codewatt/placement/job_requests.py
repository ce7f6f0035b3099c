"""The resources that each job requests of Slurm, from the site file.

They stand in the rules, not in a profile: a flag on the command line replaces the whole
set-resources block of a profile. `profile_checks` refuses settings that would override them.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from codewatt.config.site import CpuNodes, GpuNodes, Machine
from codewatt.config.study import Study
from codewatt.energy.placement_check import choose_hardware
from codewatt.errors import CodewattError
from codewatt.evaluate.parallel_jobs import jobs_for_cores
from codewatt.evaluate.sandbox.resource_limits import Limits
from codewatt.sizing.gpu_datasheets import get_gpu
from codewatt.units import BYTES_PER_MB

Request = dict[str, str | int]
#: The Snakemake resources that a request may name.
RESOURCE_NAMES = (
    "mem_mb",
    "runtime",
    "cpus_per_task",
    "gres",
    "slurm_partition",
    "constraint",
    "slurm_account",
    "slurm_extra",
)
#: The resources of which a retry requests more.
_GROWING = ("mem_mb", "runtime")
#: MB and minutes of a job whose model is unknown, and the least MB of any job that loads a model:
#: beside the model, two Snakemakes, Python and torch take memory, and on a CPU for a moment 1.1 GB
#: with which its bandwidth is measured (a nano model's job was seen to take 1.9 GB).
_UNKNOWN_MB, _UNKNOWN_MIN, _LEAST_MB = 32_000, 240, 3000
#: MB of a job that judges, beside the memory of its sandboxes: two Snakemakes, the judge and the
#: expected answers of the benchmark. The minutes are many times what HumanEval+ takes.
_JUDGE_MB, _JUDGE_MIN = 4000, 60


class ModelJob(NamedTuple):
    """A job that loads a model.

    Attributes:
        stage: its rule.
        id: what it makes: the id of a cell or variant, or model.method.corpus.
        model: the model's id.
        hardware: the id that the study names; None if it names none.
        on_gpu: whether the job computes on a GPU in a study that uses one.
    """

    stage: str
    id: str
    model: str
    hardware: str | None
    on_gpu: bool = True


def check_hardware(study: Study, machine: Machine, where: str) -> None:
    """Check that every hardware of a study has an entry in the site file.

    Args:
        where: the study file, for the message.

    Raises:
        CodewattError: an entry is missing, or its estimated_as is no known GPU.
    """
    for name, nodes in machine.hardware.items():
        if (problem := estimated_as_problem(name, nodes)) is not None:
            raise CodewattError(problem)
    for name in study.hardware:
        if name not in machine.hardware:
            known = ", ".join(machine.hardware) or "none"
            raise CodewattError(
                f"{where}: hardware: {name!r} has no entry in machine.hardware of the site file "
                f"(profiles/slurm/site.yaml); defined there: {known}"
            )


def estimated_as_problem(name: str, nodes: GpuNodes) -> str | None:
    """Why the estimated_as of a site file's entry is refused; None if it is not."""
    if nodes.estimated_as is not None:
        try:
            get_gpu(nodes.estimated_as)
        except CodewattError as error:
            return f"machine.hardware.{name}.estimated_as: {error}"
    return None


def gpu_nodes(machine: Machine, hardware: str | None) -> GpuNodes | None:
    """The nodes of a GPU stage; None where neither study nor site file names hardware."""
    chosen = choose_hardware(machine.hardware, machine.default_hardware, hardware)
    return None if chosen is None else machine.hardware[chosen]


def uses_gpu(study: Study, job: ModelJob) -> bool:
    """Whether a job requests a GPU: in a study on the CPU only where the study names hardware."""
    return job.on_gpu and (study.device != "cpu" or job.hardware is not None)


def model_job_nodes(study: Study, machine: Machine, job: ModelJob) -> CpuNodes:
    """The nodes of a job that loads a model."""
    if not uses_gpu(study, job):
        return machine.cpu
    return gpu_nodes(machine, job.hardware) or GpuNodes(threads=machine.cpu.threads)


def site_file_key(machine: Machine, job: ModelJob, nodes: CpuNodes) -> str:
    """The key of the site file that has the nodes of a job (those of `model_job_nodes`)."""
    if not isinstance(nodes, GpuNodes):
        return "machine.cpu"
    name = choose_hardware(machine.hardware, machine.default_hardware, job.hardware)
    return f"machine.hardware.{name}"


def first_attempt(nodes: CpuNodes, size: Mapping[str, int] | None) -> tuple[int, int]:
    """MB and minutes of the first attempt of a job that loads a model, without the nodes' maxima.

    Args:
        size: mem_mb and runtime_min from the model's size, None if unknown; the values of the site
            file go before.
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
) -> Request:
    """The request of a job that loads a model.

    Args:
        number: position of the job's model in the study, from 0: a site file can give each model
            its own node.
        attempt: 1 for the first attempt; memory and time are multiplied by it.
        size: see `first_attempt`.
    """
    nodes = model_job_nodes(study, machine, job)
    mem_mb, runtime_min = first_attempt(nodes, size)
    if not isinstance(nodes, GpuNodes):
        return cpu_request(machine, mem_mb, runtime_min, attempt, measured=True)
    extra = [f"--nodelist={nodes.nodes[number % len(nodes.nodes)]}"] if nodes.nodes else []
    request = _request(machine, nodes, mem_mb, runtime_min, attempt, extra)
    return {**request, **({"gres": nodes.gres} if nodes.gres else {})}


def cpu_request(
    machine: Machine, mem_mb: int, runtime_min: int, attempt: int, measured: bool = False
) -> Request:
    """The request of any other job.

    Args:
        measured: whether the job is measured: then it gets machine.cpu.threads and, if
            machine.cpu.exclusive, the node for itself.
    """
    nodes = machine.cpu
    if not measured:
        nodes = nodes.model_copy(update={"threads": 1, "exclusive": False})
    return _request(machine, nodes, mem_mb, runtime_min, attempt, [])


def judge_request(machine: Machine, attempt: int) -> Request:
    """The request of a job that judges completions: memory for all its sandboxes at once.

    The mem_mb and runtime_min of the site file are taken where they are more.
    """
    # Without threads in the site file nothing is submitted to Slurm; one sandbox is then assumed.
    sandboxes = jobs_for_cores(machine.cpu.threads or 1)
    mem_mb = _JUDGE_MB + math.ceil(sandboxes * Limits().memory_bytes / BYTES_PER_MB)
    return cpu_request(
        machine,
        max(mem_mb, machine.cpu.mem_mb or 0),
        max(_JUDGE_MIN, machine.cpu.runtime_min or 0),
        attempt,
        measured=True,
    )


def as_resources(
    first_requests: Iterable[Request], request: Callable[[Any, int], Request]
) -> dict[str, str | int | Callable[[Any, int], str | int | None]]:
    """The resources of a rule: a value if all its jobs request the same, else a function.

    Snakemake calls each function for every job, which takes long in large studies.

    Args:
        first_requests: the first requests that the rule's jobs can have.
        request: (wildcards, attempt) -> the request of a job.
    """

    def function(name: str) -> Callable[[Any, int], str | int | None]:
        return lambda wildcards, attempt: request(wildcards, attempt).get(name)

    requests = list(first_requests)
    found: dict[str, str | int | Callable[[Any, int], str | int | None]] = {}
    for name in RESOURCE_NAMES:
        values = {each.get(name) for each in requests}
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
) -> Request:
    extra = [*extra, *(["--exclusive"] if nodes.exclusive else [])]
    resources: dict[str, str | int | None] = {
        "mem_mb": _grown(mem_mb, attempt, nodes.max_mem_mb),
        "runtime": _grown(runtime_min, attempt, nodes.max_runtime_min),
        "cpus_per_task": nodes.threads,
        "slurm_partition": nodes.partition,
        "constraint": nodes.constraint,
        "slurm_account": machine.account,
        "slurm_extra": " ".join(extra) or None,
    }
    return {name: value for name, value in resources.items() if value is not None}


def _grown(first: int, attempt: int, limit: int | None) -> int:
    """A retry requests more, up to the limit."""
    return first * attempt if limit is None else min(first * attempt, limit)
