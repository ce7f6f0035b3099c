# The resources that jobs request: nodes, cores, memory and time.

import itertools
from dataclasses import replace

from codewatt.placement.job_requests import ModelJob
from codewatt.placement.job_sizes import JobSizes
from codewatt.placement.request_limits import requests_above_limit


def measured_threads(nodes=machine.cpu):
    """The cores of a measured job: all that this run was given, so that nothing runs beside it."""
    return nodes.threads or workflow.resource_settings.cores or 1


# Inside a Slurm job Snakemake runs one job with the resources of the Slurm job; no size is needed.
sizes = (
    None
    if workflow.remote_exec or machine == Machine()
    else JobSizes(grid, paths, machine, measured_threads())
)


def quantise_job(wildcards):
    """The job that makes a variant; it needs no GPU if the variant is only pruned."""
    variant = grid.variant(wildcards.variant)
    hardware = grid.quantise_hardware(variant)
    quantised = grid.method("precision", variant.precision) != "none"
    return ModelJob("quantise", variant.id, variant.model, hardware, quantised)


def score_layers_job(wildcards):
    """The job that scores a model's layers."""
    name = f"{wildcards.model}.{wildcards.method}.{wildcards.corpus}"
    hardware = grid.model_hardware(wildcards.model)
    return ModelJob("score_layers", name, wildcards.model, hardware)


def measure_fidelity_job(wildcards):
    """The job that compares a variant with its baseline."""
    variant = grid.variant(wildcards.variant)
    hardware = grid.quantise_hardware(variant)
    return ModelJob("measure_fidelity", variant.id, variant.model, hardware)


def generate_job(wildcards):
    """The job that generates a cell; the second run of a cell (A/A test) requests the same."""
    cell = replace(grid.cell(wildcards.cell), second_run=False)
    return ModelJob("generate", cell.id, cell.model, cell.hardware)


#: The rules that use gpu_node_resources: rule -> (wildcards -> job).
GPU_RULES = {
    "score_layers": score_layers_job,
    "quantise": quantise_job,
    "measure_fidelity": measure_fidelity_job,
    "generate": generate_job,
}


def gpu_node_threads(model_job):
    """The cores of a job of a GPU rule; model_job: its entry in GPU_RULES."""
    return lambda wildcards: measured_threads(
        job_requests.model_job_nodes(study, machine, model_job(wildcards))
    )


def gpu_node_resources(model_job):
    """The resources of a GPU rule; they stand in the rules, as a flag can replace a profile's."""

    def request(job, attempt, size=None):
        number = grid.model_ids.index(job.model)
        return job_requests.model_request(study, machine, job, number, attempt, size)

    @cache
    def sized_request(job, attempt):
        prepare_cluster()
        return request(job, attempt, sizes and sizes.size(job))

    possible = itertools.product(
        grid.model_ids, study.hardware or [None], (True, False)
    )
    return job_requests.as_resources(
        (request(ModelJob("", "", *job), 1) for job in possible),
        lambda wildcards, attempt: sized_request(model_job(wildcards), attempt),
    )


def judging_node_resources():
    """The resources of rules that run completions and reference solutions, one sandbox a core."""
    return same_resources(lambda attempt: job_requests.judge_request(machine, attempt))


def cpu_node_resources(mem_mb=2000, runtime_min=60):
    """The resources of all other rules."""
    return same_resources(
        lambda attempt: job_requests.cpu_request(machine, mem_mb, runtime_min, attempt)
    )


def same_resources(request):
    """The resources of rules whose jobs all request the same; request: attempt -> request."""

    @cache
    def prepared_request(attempt):
        prepare_cluster()
        return request(attempt)

    return job_requests.as_resources(
        [request(1)], lambda wildcards, attempt: prepared_request(attempt)
    )


@cache
def prepare_cluster():
    """Check the run's settings once the executor is known, before any job is submitted."""
    if workflow.is_main_process and workflow.non_local_exec:
        # profiles/default is read as well, and its cores are those of this machine.
        workflow.resource_settings.cores = None
        profile_checks.refuse_run(
            study,
            machine,
            [rule.name for rule in workflow.rules],
            GPU_RULES,
            workflow.resource_settings,
            workflow.executor_settings,
            workflow.group_settings.overwrite_groups,
        )
    if workflow.is_main_process and workflow.non_local_exec_or_dryrun and sizes:
        warn_of_limits()


def warn_of_limits():
    """Print which jobs of this run need more than they may request: once, not in each job."""
    planned = [
        GPU_RULES[job.rule.name](job.wildcards)
        for job in workflow.dag.needrun_jobs()
        if job.rule.name in GPU_RULES
    ]
    overridden = workflow.resource_settings.overwrite_resources or {}
    for line in requests_above_limit(
        study, machine, [(job, sizes.size(job)) for job in planned], overridden
    ):
        print(f"codewatt: {printable(line)}", file=sys.stderr)
