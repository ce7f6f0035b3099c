"""The resources that each job requests of Slurm, from the site file.

The rules contain these requests. They are not in a profile, because one --set-resources flag on the
command line replaces all set-resources of a profile. `profile_checks` refuses settings that would
override them.
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
#: MB and minutes of a job whose model is unknown, and the least MB of any job that loads a model.
#: Besides the model, memory is taken by two Snakemake processes, Python and torch, and on a CPU for
#: a moment by the 1.1 GB with which its bandwidth is measured. A nano model's job took 1.9 GB.
_UNKNOWN_MB, _UNKNOWN_MIN, _LEAST_MB = 32_000, 240, 3000
#: MB of a job that judges, in addition to its sandboxes: two Snakemake processes, the judge and the
#: benchmark's expected outputs. The minutes are many times the time that HumanEval+ takes.
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
        CodewattError: an entry is missing, or its estimated_as is not in the table of GPUs.
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
    """What is wrong with the estimated_as of a site file's entry; None if nothing is."""
    if nodes.estimated_as is not None:
        try:
            get_gpu(nodes.estimated_as)
        except CodewattError as error:
            return f"machine.hardware.{name}.estimated_as: {error}"
    return None


def gpu_nodes(machine: Machine, hardware: str | None) -> GpuNodes | None:
    """The nodes for jobs on a GPU; None if neither the study nor the site file names hardware."""
    chosen = choose_hardware(machine.hardware, machine.default_hardware, hardware)
    return None if chosen is None else machine.hardware[chosen]


def uses_gpu(study: Study, job: ModelJob) -> bool:
    """Whether a job requests a GPU; in a study on the CPU, only if the study names hardware."""
    return job.on_gpu and (study.device != "cpu" or job.hardware is not None)


def model_job_nodes(study: Study, machine: Machine, job: ModelJob) -> CpuNodes:
    """The nodes of a job that loads a model."""
    if not uses_gpu(study, job):
        return machine.cpu
    return gpu_nodes(machine, job.hardware) or GpuNodes(threads=machine.cpu.threads)


def site_file_key(machine: Machine, job: ModelJob, nodes: CpuNodes) -> str:
    """The key of the site file that describes a job's nodes, those of `model_job_nodes`."""
    if not isinstance(nodes, GpuNodes):
        return "machine.cpu"
    name = choose_hardware(machine.hardware, machine.default_hardware, job.hardware)
    return f"machine.hardware.{name}"


def first_attempt(nodes: CpuNodes, size: Mapping[str, int] | None) -> tuple[int, int]:
    """Memory (MB) and time (minutes) that the first attempt of a job that loads a model requests.

    The maxima of the site file are not applied here.

    Args:
        size: mem_mb and runtime_min estimated from the model's size; None if unknown. Values in the
            site file take precedence.
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
        number: position of the job's model in the study, from 0. If the site file lists several
            nodes, it selects the model's node.
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
    """The request of a job that needs no GPU.

    Args:
        measured: whether the job's energy is measured. If so, it requests machine.cpu.threads cores
            and, with machine.cpu.exclusive, the whole node; else one core.
    """
    nodes = machine.cpu
    if not measured:
        nodes = nodes.model_copy(update={"threads": 1, "exclusive": False})
    return _request(machine, nodes, mem_mb, runtime_min, attempt, [])


def judge_request(machine: Machine, attempt: int) -> Request:
    """The request of a job that judges completions, with memory for all its sandboxes.

    If mem_mb or runtime_min of the site file is larger, it is requested instead.
    """
    # A site file without threads is not used with Slurm; then one sandbox is assumed.
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

    Values are preferred because Snakemake calls a function for every job, which is slow in large
    studies.

    Args:
        first_requests: what each of the rule's jobs requests at its first attempt.
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
    """The request of an attempt: `first` times the number of the attempt, at most `limit`."""
    return first * attempt if limit is None else min(first * attempt, limit)
