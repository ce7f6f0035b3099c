# On which nodes jobs run, with which of their cores, and with how much memory and time.

import itertools
from dataclasses import replace

from codewatt.slurm.memory_limits import cuts
from codewatt.slurm.job_resources import ModelJob
from codewatt.slurm.job_sizes import Sizes


def measured_threads(nodes=machine.cpu):
    """A measured job takes every core that this run was given, so that nothing runs beside it."""
    return nodes.threads or workflow.resource_settings.cores or 1


# A job of a cluster has what it has: there nothing is asked for any more.
sizes = (
    None
    if workflow.remote_exec or machine == Machine()
    else Sizes(grid, paths, machine, measured_threads())
)


def of_variant(wildcards):
    """A variant that is made: what is only cut needs no GPU."""
    variant = grid.variant(wildcards.variant)
    hardware = grid.quantise_hardware(variant)
    quantised = grid.method("precision", variant.precision) != "none"
    return ModelJob("quantise", variant.id, variant.model, hardware, quantised)


def of_scores(wildcards):
    """A model whose layers are scored."""
    name = f"{wildcards.model}.{wildcards.method}.{wildcards.corpus}"
    hardware = grid.model_hardware(wildcards.model)
    return ModelJob("score_layers", name, wildcards.model, hardware)


def of_fidelity(wildcards):
    """A variant that answers beside its baseline."""
    variant = grid.variant(wildcards.variant)
    hardware = grid.quantise_hardware(variant)
    return ModelJob("measure_fidelity", variant.id, variant.model, hardware)


def of_cell(wildcards):
    """A cell that is generated; its second run takes what the first does."""
    cell = replace(grid.cell(wildcards.cell), again=False)
    return ModelJob("generate", cell.id, cell.model, cell.hardware)


#: The rules that use on_gpu_node, and what each says of its jobs.
GPU_RULES = {
    "score_layers": of_scores,
    "quantise": of_variant,
    "measure_fidelity": of_fidelity,
    "generate": of_cell,
}


def gpu_threads(of_job):
    """The cores of a GPU stage's job."""
    return lambda wildcards: measured_threads(
        job_resources.model_nodes(study, machine, of_job(wildcards))
    )


def on_gpu_node(of_job):
    """Where the GPU stages run: in the rules, as a profile's block can be replaced unseen."""

    def asked(job, attempt, size=None):
        number = grid.model_ids.index(job.model)
        return job_resources.model_request(study, machine, job, number, attempt, size)

    @cache
    def asked_for(job, attempt):
        prepare_cluster()
        return asked(job, attempt, sizes and sizes.of(job))

    some = itertools.product(grid.model_ids, study.hardware or [None], (True, False))
    return job_resources.as_resources(
        (asked(ModelJob("", "", *job), 1) for job in some),
        lambda wildcards, attempt: asked_for(of_job(wildcards), attempt),
    )


def on_judging_node():
    """Where completions and reference solutions run, one sandbox a core."""
    return alike(lambda attempt: job_resources.judge_request(machine, attempt))


def on_cpu_node(mem_mb=2000, runtime_min=60):
    """Where all other stages run."""
    return alike(
        lambda attempt: job_resources.cpu_request(machine, mem_mb, runtime_min, attempt)
    )


def alike(request):
    """What jobs ask for that all ask for the same, request(attempt)."""

    @cache
    def asked_for(attempt):
        prepare_cluster()
        return request(attempt)

    return job_resources.as_resources(
        [request(1)], lambda wildcards, attempt: asked_for(attempt)
    )


@cache
def prepare_cluster():
    """Once it is known that a cluster runs this, and before any job is submitted."""
    if workflow.is_main_process and workflow.non_local_exec:
        # profiles/default, which is read beside the cluster's, has this machine's cores in mind.
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
        tell_cuts()


def tell_cuts():
    """Say which jobs of this run need more than they may ask for: once, not in each job."""
    planned = [
        GPU_RULES[job.rule.name](job.wildcards)
        for job in workflow.dag.needrun_jobs()
        if job.rule.name in GPU_RULES
    ]
    overridden = workflow.resource_settings.overwrite_resources or {}
    for line in cuts(
        study, machine, [(job, sizes.of(job)) for job in planned], overridden
    ):
        print(f"codewatt: {printable(line)}", file=sys.stderr)
