# The resources that jobs request: nodes, cores, memory and time.

import itertools
from dataclasses import replace

from codewatt.placement.block_jobs import BlockJobs
from codewatt.placement.job_requests import ModelJob
from codewatt.placement.job_sizes import JobSizes
from codewatt.placement.request_limits import requests_above_limit


def measured_threads(nodes=machine.cpu):
    """The cores of a measured job: all that this run was given, so that nothing runs beside it."""
    return nodes.threads or workflow.resource_settings.cores or 1


# Of the cells of a group, one at a time; each job has a limit of its own.
BLOCK_TURN = "block_turn"


resource_scopes:
    block_turn="local",


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
    return cell_job(grid.cell(wildcards.cell))


def cell_job(cell):
    """The job that generates one cell."""
    asked = replace(cell, second_run=False)
    return ModelJob("generate", asked.id, asked.model, asked.hardware)


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


def generate_resources():
    """The resources of generate; the cells of a block share a job, one after another.

    Snakemake adds up what the jobs of a group request, unless a resource lets only one of them run
    at a time: then memory and cores are the largest, and the time is the sum.
    """

    def runtime(wildcards, attempt):
        requested = alone["runtime"](wildcards, attempt)
        if (jobs := block_jobs()) is None:
            return requested
        first_min = alone["runtime"](wildcards, 1)
        return jobs.runtime_min(grid.cell(wildcards.cell), first_min, requested)

    alone = gpu_node_resources(generate_job)
    return {**alone, "runtime": runtime, BLOCK_TURN: 1}


def block_group(wildcards):
    """The group of a cell's job: that of its block, where a cluster is to keep blocks."""
    jobs = block_jobs()
    return None if jobs is None else jobs.group(grid.cell(wildcards.cell))


@cache
def block_jobs():
    """The jobs of blocks; None on one machine, and inside a job."""
    at_cluster = workflow.is_main_process and workflow.non_local_exec
    if not (study.keeps_blocks and at_cluster):
        return None

    def minutes(cell):
        job = cell_job(cell)
        nodes = job_requests.model_job_nodes(study, machine, job)
        return job_requests.first_attempt(nodes, sizes and sizes.size(job))[1]

    def limit_min(cell):
        nodes = job_requests.model_job_nodes(study, machine, cell_job(cell))
        return nodes.max_runtime_min

    in_chains = (cell for chain in chains for cell in chain)
    jobs = BlockJobs(grid, in_chains, minutes, limit_min)
    # Cells of a block do not depend on each other: Snakemake would make a group of each.
    workflow.group_settings.group_components = jobs.sizes
    workflow.register_resource(BLOCK_TURN, 1)
    # profiles/default is read as well, and its cores are those of this machine.
    workflow.register_resource("_cores", None)
    for block, parts in jobs.split.items():
        print(
            f"codewatt: block {printable(block)}: its cells need {parts} jobs to keep to "
            "max_runtime_min, which may run on different GPUs",
            file=sys.stderr,
        )
    return jobs


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
