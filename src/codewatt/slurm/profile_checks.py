"""Settings of Snakemake that put jobs on other nodes than the rules say, refused before any is.

Each was seen to misplace a job with exit code 0 (docs/cluster.md): job arrays give every task the
first task's resources; a set-resources or default-resources overrides a rule's; a group of GPU jobs
takes one partition and one gres for all; an expression with a typing error is taken as text.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from codewatt.config.site import Machine
from codewatt.config.study import Study
from codewatt.energy.placement import chosen_hardware
from codewatt.errors import CodewattError
from codewatt.slurm.job_resources import NAMES

#: What a profile or a flag may set: how much, and for whom, but not where.
ALLOWED = (
    "mem", "mem_mb", "mem_mib", "disk", "disk_mb", "disk_mib", "runtime", "tmpdir",
    "slurm_account", "qos",
)  # fmt: skip
_WHERE = "where jobs run stands in the site file (machine.hardware and machine.cpu)"


def refuse_overrides(settings: Any) -> None:
    """Refuse resources on the command line or in a profile that say where a job runs.

    Args:
        settings: Snakemake's ResourceSettings.

    Raises:
        CodewattError: set-resources or default-resources names such a resource.
    """
    for rule, resources in (settings.overwrite_resources or {}).items():
        _allowed(f"set-resources: {rule}:", resources)
    _allowed("default-resources: ", settings.default_resources or {})


def _allowed(where: str, resources: Iterable[str]) -> None:
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
    """Refuse a run on a cluster that could misplace a job, or that lacks what placing needs.

    Args:
        rules: names of all rules; gpu_rules: of those that run on GPU nodes.
        resources: Snakemake's ResourceSettings.
        executor: the Slurm executor's settings.
        groups: rule -> group, as --groups has it.

    Raises:
        CodewattError: one line, with what to change.
    """
    refuse_overrides(resources)
    _refuse_limits(resources)
    if unknown := sorted(set(resources.overwrite_resources or {}) - set(rules)):
        raise CodewattError(
            f"set-resources: there is no rule {unknown[0]!r}; there are: {', '.join(sorted(rules))}"
        )
    if getattr(executor, "array_jobs", None):
        raise CodewattError(
            "slurm-array-jobs is refused: every task of an array gets the first one's resources, "
            "so that jobs run on another GPU than their cells name"
        )
    if getattr(executor, "requeue", False):
        raise CodewattError(
            "slurm-requeue is refused: a job that Slurm starts again by itself is not retried with "
            "more memory or time, and later submissions fail; retries do it"
        )
    if grouped := sorted(set(groups) & set(gpu_rules)):
        raise CodewattError(
            f"groups: {grouped[0]} is refused: jobs of a group share one partition and one gres, "
            "whatever their cells name"
        )
    _complete(study, machine)


def _refuse_limits(settings: Any) -> None:
    """Refuse limits of a whole run: Snakemake lowers what each job asks for, at every try."""
    if capped := [name for name in settings.resources or {} if name in (*NAMES, "threads")]:
        raise CodewattError(
            f"resources: {capped[0]} is refused: it caps what each job asks for, at every try; "
            f"{_WHERE}, what it may ask for at most as well (max_mem_mb, max_runtime_min)"
        )
    named = {"set-threads": settings.overwrite_threads, "max-threads": settings.max_threads}
    if changed := [name for name, value in named.items() if value]:
        raise CodewattError(
            f"{changed[0]} is refused: jobs would hold other cores than they use; threads stand in "
            "the site file (machine.cpu.threads, machine.hardware.*.threads)"
        )


def _complete(study: Study, machine: Machine) -> None:
    """On a cluster, a measured job needs cores, and on a GPU a gres and the name it must show."""
    if machine.cpu.threads is None:
        raise CodewattError("machine.cpu.threads: required on a cluster")
    if study.device == "cpu" and not study.hardware:
        return
    asked: list[str | None] = [*study.hardware] or [None]
    for hardware in asked:
        name = chosen_hardware(machine.hardware, machine.default_hardware, hardware)
        if name is None:
            known = ", ".join(machine.hardware) or "none"
            raise CodewattError(
                f"machine.default_hardware: required, as the study names none; there: {known}"
            )
        nodes = machine.hardware[name]
        needed = {"gres": nodes.gres, "threads": nodes.threads}
        if study.device != "cpu":
            needed["gpu_name"] = nodes.gpu_name
        if missing := [key for key, value in needed.items() if value is None]:
            raise CodewattError(f"machine.hardware.{name}.{missing[0]}: required on a cluster")
