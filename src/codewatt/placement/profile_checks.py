"""Refuse Snakemake settings with which jobs would run on other nodes than the rules request.

With each of these settings, a job ran on a wrong node and exited with code 0
(docs/explanation/slurm-placement.md). Job arrays give every task the resources of the first task.
set-resources and default-resources override the resources of a rule. The jobs of a group share one
partition and one GRES. An expression with a typing error is used as text.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from codewatt.config.site import Machine
from codewatt.config.study import Study
from codewatt.energy.placement_check import choose_hardware
from codewatt.errors import CodewattError
from codewatt.placement.job_requests import RESOURCE_NAMES

#: The resources that a profile or a flag may set: amounts, account and QOS, but not the nodes.
ALLOWED = (
    "mem", "mem_mb", "mem_mib", "disk", "disk_mb", "disk_mib", "runtime", "tmpdir",
    "slurm_account", "qos",
)  # fmt: skip
_WHERE = "the site file says where jobs run (machine.hardware and machine.cpu)"


def refuse_overrides(settings: Any) -> None:
    """Refuse resources of the command line or a profile that change the nodes of a job.

    Args:
        settings: Snakemake's ResourceSettings.

    Raises:
        CodewattError: set-resources or default-resources sets a resource that is not in `ALLOWED`.
    """
    for rule, resources in (settings.overwrite_resources or {}).items():
        _refuse_resources(f"set-resources: {rule}:", resources)
    _refuse_resources("default-resources: ", settings.default_resources or {})


def _refuse_resources(where: str, resources: Iterable[str]) -> None:
    for name in resources:
        if name not in ALLOWED:
            raise CodewattError(
                f"{where}{name} is refused: {_WHERE}; allowed here: {', '.join(ALLOWED)}"
            )


def refuse_run(
    study: Study,
    machine: Machine,
    rules: Collection[str],
    gpu_rules: Collection[str],
    resources: Any,
    executor: Any,
    groups: Mapping[str, str],
) -> None:
    """Refuse a run on a cluster that could misplace a job, or whose site file is incomplete.

    Args:
        rules: names of all rules.
        gpu_rules: names of the rules that run on GPU nodes.
        resources: Snakemake's ResourceSettings.
        executor: the Slurm executor's settings.
        groups: rule -> group, as given with --groups.

    Raises:
        CodewattError: a setting is refused, or a key of the site file is missing.
    """
    refuse_overrides(resources)
    _refuse_limits(resources)
    if unknown := sorted(set(resources.overwrite_resources or {}) - set(rules)):
        raise CodewattError(
            f"set-resources: no rule {unknown[0]!r}; allowed: {', '.join(sorted(rules))}"
        )
    if getattr(executor, "array_jobs", None):
        raise CodewattError(
            "slurm-array-jobs is refused: every task of an array gets the resources of the first, "
            "so that jobs run on other GPUs than their cells name"
        )
    if getattr(executor, "requeue", False):
        raise CodewattError(
            "slurm-requeue is refused: a job that Slurm starts again gets no more memory or time, "
            "and later submissions fail; use Snakemake's retries"
        )
    if grouped := sorted(set(groups) & set(gpu_rules)):
        raise CodewattError(
            f"groups: {grouped[0]} is refused: jobs of a group share one partition and one GRES, "
            "although their cells may name different GPUs"
        )
    _refuse_incomplete(study, machine)


def _refuse_limits(settings: Any) -> None:
    """Refuse limits that apply to a whole run: with them Snakemake lowers each job's request."""
    if capped := [
        name for name in settings.resources or {} if name in (*RESOURCE_NAMES, "threads")
    ]:
        raise CodewattError(
            f"resources: {capped[0]} is refused: it lowers the request of each job at every "
            f"attempt; {_WHERE}, and how much they may request (max_mem_mb, max_runtime_min)"
        )
    named = {"set-threads": settings.overwrite_threads, "max-threads": settings.max_threads}
    if changed := [name for name, value in named.items() if value]:
        raise CodewattError(
            f"{changed[0]} is refused: jobs would hold another number of cores than they use; set "
            "threads in the site file (machine.cpu.threads, machine.hardware.*.threads)"
        )


def _refuse_incomplete(study: Study, machine: Machine) -> None:
    """Refuse a site file without threads or, for a GPU, without gres, threads and gpu_name."""
    if machine.cpu.threads is None:
        raise CodewattError("machine.cpu.threads: required on a cluster")
    if study.device == "cpu" and not study.hardware:
        return
    named: list[str | None] = [*study.hardware] or [None]
    for hardware in named:
        name = choose_hardware(machine.hardware, machine.default_hardware, hardware)
        if name is None:
            known = ", ".join(machine.hardware) or "none"
            raise CodewattError(
                "machine.default_hardware: required, as the study names no hardware; allowed: "
                f"{known}"
            )
        nodes = machine.hardware[name]
        needed = {"gres": nodes.gres, "threads": nodes.threads}
        if study.device != "cpu":
            needed["gpu_name"] = nodes.gpu_name
        if missing := [key for key, value in needed.items() if value is None]:
            raise CodewattError(f"machine.hardware.{name}.{missing[0]}: required on a cluster")
