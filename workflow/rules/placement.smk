# On which nodes jobs run, and with which of their cores.

import itertools


def measured_threads(nodes=machine.cpu):
    """A measured job takes every core that this run was given, so that nothing runs beside it."""
    return nodes.threads or workflow.resource_settings.cores or 1


def of_variant(wildcards):
    """(hardware, model, whether a GPU has work) of a variant; what is only cut needs none."""
    variant = grid.variant(wildcards.variant)
    hardware = grid.quantise_hardware(variant)
    return (
        hardware,
        variant.model,
        grid.method("precision", variant.precision) != "none",
    )


def of_model(wildcards):
    """The same of a model whose layers are scored: for the variants that are cut by them."""
    return grid.model_hardware(wildcards.model), wildcards.model, True


def of_recovery(wildcards):
    """The same of a variant that is run: a GPU has work, whether it is quantised or not."""
    hardware, model, _ = of_variant(wildcards)
    return hardware, model, True


def of_cell(wildcards):
    """(hardware, model, whether a GPU has work) of a cell."""
    cell = grid.cell(wildcards.cell)
    return cell.hardware, cell.model, True


def gpu_threads(of_job):
    """The cores of a GPU stage's job."""

    def threads(wildcards):
        hardware, _, on_gpu = of_job(wildcards)
        nodes = requests.gpu_nodes(machine, hardware) if on_gpu else None
        return measured_threads(nodes or machine.cpu)

    return threads


def on_gpu_node(of_job):
    """Where the GPU stages run: in the rules, as a profile's block can be replaced unseen."""

    @cache
    def asked(job, attempt):
        hardware, model, on_gpu = job
        on_gpu = on_gpu and (study.device != "cpu" or hardware is not None)
        number = grid.model_ids.index(model)
        return requests.model_request(machine, hardware, number, attempt, on_gpu)

    def asked_of(wildcards, attempt):
        prepare_cluster()
        return asked(of_job(wildcards), attempt)

    jobs = itertools.product(study.hardware or [None], grid.model_ids, (True, False))
    return requests.as_resources((asked(job, 1) for job in jobs), asked_of)


def on_cpu_node(mem_mb=2000, runtime_min=60, measured=False):
    """Where all other stages run."""

    @cache
    def asked(attempt):
        return requests.cpu_request(machine, mem_mb, runtime_min, attempt, measured)

    def asked_of(wildcards, attempt):
        prepare_cluster()
        return asked(attempt)

    return requests.as_resources([asked(1)], asked_of)


#: The rules that use on_gpu_node.
GPU_RULES = ("score_layers", "quantise", "measure_recovery", "generate")


@cache
def prepare_cluster():
    """Once it is known that a cluster runs this, and before any job is submitted."""
    if workflow.is_main_process and workflow.non_local_exec:
        # profiles/default, which is read beside the cluster's, has this machine's cores in mind.
        workflow.resource_settings.cores = None
        refusals.refuse_run(
            study,
            machine,
            [rule.name for rule in workflow.rules],
            GPU_RULES,
            workflow.resource_settings,
            workflow.executor_settings,
            workflow.group_settings.overwrite_groups,
        )
