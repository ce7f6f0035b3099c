# Reads the study before any job exists; everything below asks the grid and the paths for names.

import re

from codewatt.cells import Grid, Paths
from codewatt.config.backends import BACKENDS
from codewatt.config.load import load_config, load_study
from codewatt.errors import CodewattError
from codewatt.fingerprint import stage_code
from codewatt.interruption import forget_killed_run, hold_run

try:
    settings = load_config(config)
    study = load_study(settings.study)
    grid = Grid(study, settings.study)
except CodewattError as error:
    sys.exit(f"codewatt: {error}")
paths = Paths.of(settings.results, study)
machine = settings.machine
if workflow.is_main_process:
    forget_killed_run(os.getcwd())


onstart:
    hold_run(os.getcwd())


wildcard_constraints:
    **grid.wildcard_constraints(),


def script_path(rule_name):
    """The rule's script, for the digest of the code that it reaches."""
    return os.path.join(workflow.basedir, "workflow", "scripts", f"{rule_name}.py")


def code(rule_name, *members):
    """The rule's code, a line a module, as params: an edited module re-runs what uses it."""
    return stage_code(script_path(rule_name), members)


def measured_threads():
    """A measured job takes every core that this run was given, so that nothing runs beside it."""
    return machine.threads or workflow.cores or 1


def on_gpu_node():
    """Where the GPU stages run: in the rules, as a profile's block can be replaced unseen."""
    asked = {"mem_mb": machine.gpu_mem_mb, "runtime": machine.gpu_runtime_min}
    if machine.gpu_gres:
        asked["gres"] = machine.gpu_gres
    if machine.gpu_partition:
        asked["slurm_partition"] = machine.gpu_partition
    return asked


def on_cpu_node(mem_mb=2000, runtime_min=60):
    """Where all other stages run."""
    asked = {"mem_mb": mem_mb, "runtime": runtime_min}
    if machine.cpu_partition:
        asked["slurm_partition"] = machine.cpu_partition
    return asked


def one_of(ids):
    """A wildcard constraint for a list of ids; for an empty list, one that matches nothing."""
    return "|".join(map(re.escape, ids)) or "(?!)"


def quantise_members(variant):
    """The modules that make this variant: its pruner, if it is pruned, its quantiser, a backend."""
    prune = grid.method("prune", variant.prune)
    members = [] if prune == "none" else [f"codewatt.prune.{prune}"]
    members.append(f"codewatt.quantise.{grid.method('precision', variant.precision)}")
    if backend := backend_of(variant):
        members.append(f"codewatt.quantise.backends.{backend}")
    return members


def backend_of(variant):
    """The library that makes a variant, where that is a setting; else None."""
    return grid.settings("precision", variant.precision).get("backend")


def quantiser_environment(variant):
    """A library that is no longer maintained has an environment of its own."""
    backend = backend_of(variant)
    name = BACKENDS[backend].environment if backend else None
    return f"../../envs/{name or 'codewatt'}.yaml"


def text_file(text):
    """The file that a text is read from, if it is a file: one that changes makes it stale."""
    chosen = grid.settings("text", text)
    return [chosen["path"]] if chosen["source"] == "file" else []


def calibration_documents(variant):
    """What making a variant reads beside its model."""
    return [
        paths.text("documents.jsonl.gz", text) for text in grid.calibrations(variant)
    ]


def text_source(text):
    """The module that a text comes from."""
    return f"codewatt.texts.{grid.settings('text', text)['source']}"


def baseline_manifest(variant):
    """What a variant is compared with, if the study has that for its model."""
    baseline = grid.baseline_of(variant)
    return [] if baseline is None else [paths.variant("manifest.json", baseline.id)]


def checked_recovery():
    """Perplexity is taken on a text that holds no benchmark's task."""
    wanted = grid.benchmark_ids if study.recovery else ()
    return [paths.overlap(study.recovery.text, benchmark) for benchmark in wanted]


def layer_scores(variant):
    """The scores by which a variant is pruned, if it is."""
    scoring = grid.scoring(variant)
    return [] if scoring is None else [paths.layer_scores(*scoring)]


def checked_overlaps(cell):
    """A cell is run only if its variant was calibrated on nothing that judges it."""
    return [
        paths.overlap(text, cell.benchmark) for text in grid.calibrations(cell.variant)
    ]


def engine_environment(engine):
    """An engine whose libraries clash with the pipeline's has an environment of its own."""
    return {"vllm": "../../envs/vllm.yaml"}.get(engine, "../../envs/codewatt.yaml")


FIGURES = {
    "frontier": "energy against pass@1",
    "energy_by_precision": "energy per precision",
    "prune_depth": "pruned layers",
    "repetition": "repetition of completions",
    "prompts": "prompt style",
}


def layer_figure(*kinds):
    """The figure of layer scores, png or pdf, if a method of the study scores layers."""
    return [rules.plot_layers.output[kind] for kind in kinds if grid.scorings]


def figure(name, extension, shown=None):
    """A figure's path; the PNG is what the report shows, under FIGURES' or the given words."""
    path = paths.figure(f"{name}.{extension}")
    if extension != "png":
        return path
    return report(
        path,
        caption=f"../report/{name}.rst",
        category="Figures",
        labels={"figure": shown or FIGURES[name]},
    )
