# Reads the study before any job exists; everything below asks the grid and the paths for names.

from functools import cache

from codewatt.placement import profile_checks, job_requests
from codewatt.slurm.job_environment import prepare_job
from codewatt.slurm.orphaned_jobs import cancel_orphaned_jobs
from codewatt.config.gptq_awq_libraries import BACKENDS
from codewatt.config.load_study import load_config
from codewatt.config.site import Machine
from codewatt.gguf_model_check import check_gguf_models
from codewatt.group_size_check import check_group_sizes
from codewatt.layer_count_check import check_declared_layers
from codewatt.errors import CodewattError
from codewatt.id_patterns import any_of, wildcard_constraints
from codewatt.evaluate.benchmark_interpreter import benchmark_interpreter
from codewatt.generate.kept_cells import start_keeping, stop_keeping
from codewatt.code_digests import stage_code
from codewatt.run_lock import forget_killed_run, hold_run
from codewatt.error_messages import describe, printable
from codewatt.paths import Paths, in_checkout, check_locations
from codewatt.preflight import check_names, check_pinned, load_grid
from codewatt.session_order import JobPriorities
from codewatt.published.study_files import study_file, table_digests
from codewatt.quantise.quantiser import quantiser_module

try:
    check_locations(sys.executable, workflow.basedir)
    settings = load_config(config, " + ".join(map(str, workflow.configfiles)))
    # What the scripts see of it is what was checked here, ~ put in.
    config.update(settings.model_dump(mode="json", exclude_unset=True))
    grid = load_grid(in_checkout(settings.study, workflow.basedir))
    study = grid.study
    priorities = JobPriorities(grid)
    machine = settings.machine
    job_requests.check_hardware(study, machine, grid.where)
    if machine != Machine():
        profile_checks.refuse_overrides(workflow.resource_settings)
    paths = Paths.of(settings.results, study)
    check_names(grid, paths)
    check_declared_layers(grid, paths)
    check_group_sizes(grid, paths)
    check_gguf_models(grid, paths)
    if workflow.is_main_process:
        forget_killed_run(os.getcwd())
except (CodewattError, OSError, MemoryError) as error:
    sys.exit(f"codewatt: {printable(describe(error))}")
if workflow.remote_exec:
    prepare_job(os.environ)


onstart:
    try:
        check_pinned(grid)
        hold_run(os.getcwd(), paths.root)
        if "bigcodebench" in judged_kinds():
            benchmark_interpreter(settings.bigcodebench_python)
        if workflow.non_local_exec:
            cancel_orphaned_jobs(os.getcwd())
            if study.keeps_blocks:
                start_keeping(os.path.join(paths.root, "cells"), jobs_are_forced())
    except CodewattError as error:
        sys.exit(f"codewatt: {printable(error)}")
    except OSError as error:
        sys.exit(f"codewatt: results: {paths.root}: {printable(describe(error))}")


onsuccess:
    stop_keeping(os.path.join(paths.root, "cells"))


onerror:
    stop_keeping(os.path.join(paths.root, "cells"))


def jobs_are_forced():
    """Whether the user has jobs run whose outputs are up to date (-f, -F, -R)."""
    chosen = workflow.dag_settings
    return bool(chosen.forcetargets or chosen.forceall or chosen.forcerun)


def judged_kinds():
    """The kinds of the benchmarks, if this run judges completions."""
    to_run = {job.rule.name for job in workflow.dag.needrun_jobs()}
    if to_run.isdisjoint(("compute_expected", "evaluate")):
        return set()
    return {grid.settings("benchmark", name)["kind"] for name in grid.benchmark_ids}


wildcard_constraints:
    **wildcard_constraints(grid),


def script_path(rule_name):
    """The rule's script, for the digest of the code that it reaches."""
    return os.path.join(workflow.basedir, "workflow", "scripts", f"{rule_name}.py")


@cache
def code(rule_name, *members):
    """The rule's code, a line a module, as params: an edited module re-runs what uses it."""
    return stage_code(script_path(rule_name), members)


def quantise_members(variant):
    """The modules that make this variant: pruner, quantiser, backend, the sources of its corpora."""
    prune = grid.method("prune", variant.prune)
    members = [] if prune == "none" else [f"codewatt.prune.{prune}"]
    members.append(quantiser_module(grid.method("precision", variant.precision)))
    if backend := backend_of(variant):
        members.append(f"codewatt.quantise.backends.{backend}")
    corpora = grid.calibrations(variant)
    return [*members, *sorted({corpus_source(corpus) for corpus in corpora})]


def backend_of(variant):
    """The library that makes a variant, where that is a setting; else None."""
    return grid.settings("precision", variant.precision).get("backend")


def quantiser_environment(variant):
    """A library that is no longer maintained has an environment of its own."""
    backend = backend_of(variant)
    name = BACKENDS[backend].environment if backend else None
    return f"../../envs/{name or 'codewatt'}.yaml"


def gguf_file(model):
    """The GGUF file that a model is unpacked from, if it is on this machine."""
    found = grid.settings("model", model)
    local = found["source"] == "gguf" and found["file"]["source"] == "path"
    return [found["file"]["path"]] if local else []


def corpus_file(corpus):
    """The file that a corpus is read from, if it is a file: one that changes makes it stale."""
    chosen = grid.settings("corpus", corpus)
    return [chosen["path"]] if chosen["source"] == "file" else []


def calibration_documents(variant):
    """What making a variant reads beside its model."""
    return [
        paths.corpus("documents.jsonl.gz", corpus)
        for corpus in grid.calibrations(variant)
    ]


def corpus_source(corpus):
    """The module that a corpus comes from."""
    return f"codewatt.corpora.{grid.settings('corpus', corpus)['source']}_corpus"


def baseline_manifest(variant):
    """What a variant is compared with, if the study has that for its model."""
    baseline = grid.baseline_of(variant)
    return [] if baseline is None else [paths.variant("manifest.json", baseline.id)]


def fidelity_contamination_checks():
    """Perplexity is taken on a corpus that holds no benchmark's task."""
    wanted = grid.benchmark_ids if study.fidelity else ()
    return [
        paths.contamination(study.fidelity.corpus, benchmark) for benchmark in wanted
    ]


def layer_scores(variant):
    """The scores by which a variant is pruned, if it is."""
    scoring = grid.scoring(variant)
    return [] if scoring is None else [paths.layer_scores(*scoring)]


def layer_scores_timeline(variant):
    """The raw telemetry of the scores by which a variant is pruned, if it is."""
    scoring = grid.scoring(variant)
    return [] if scoring is None else [paths.layer_scores_timeline(*scoring)]


def contamination_checks(cell):
    """A cell is run only if its variant was calibrated on nothing that judges it."""
    return [
        paths.contamination(corpus, cell.benchmark)
        for corpus in grid.calibrations(cell.variant)
    ]


def engine_environment(engine):
    """An engine whose libraries clash with the pipeline's has an environment of its own."""
    return {"vllm": "../../envs/vllm.yaml"}.get(engine, "../../envs/codewatt.yaml")


FIGURES = {
    "frontier": "energy against pass@1",
    "effects": "changes against the baseline",
    "distributions": "energy and duration of every run",
    "energy_by_precision": "energy per precision",
    "prune_depth": "pruned layers",
    "repetition": "repetition of completions",
    "prompts": "prompt style",
    "roofline": "roofline of prefill and decode",
}
if len(study.batch_sizes) > 1 or len(grid.model_ids) > 1:
    FIGURES["scaling"] = "batch size and model size"

# Cells whose power is drawn over time; more panels are too many for a page.
POWER_PANELS = 12


def power_cells(name):
    """Input function: a file of the cells, in the first session, whose power is drawn."""

    def files(wildcards):
        cells, awaited = known_cells()
        first = [cell for cell in cells if cell.session == 1]
        chosen = grid.baselines_first(first, POWER_PANELS)
        return [*(paths.cell(name, cell.id) for cell in chosen), *awaited]

    return files


def layer_figure(*kinds):
    """The figure of layer scores, png or pdf, if a method of the study scores layers."""
    return [rules.plot_layers.output[kind] for kind in kinds if grid.scorings]


# Drawn if the tasks of a benchmark have domains.
DOMAIN_FIGURES = {
    "domains": "pass@1 by domain of tasks",
    "domain_energy": "energy per task by domain of tasks",
    "domain_effects": "changes against the baseline by domain of tasks",
}


def domain_figures(*kinds):
    """The figures of domains, png or pdf, if the tasks of a benchmark have domains."""
    wanted = kinds if grid.has_domains else ()
    return [path for kind in wanted for path in rules.plot_domains.output[kind]]


def figure(name, extension, shown=None):
    """A figure's path; the PNG is what the report shows, under its own or the given words."""
    path = paths.figure(f"{name}.{extension}")
    if extension != "png":
        return path
    return report(
        path,
        caption=f"../report/{name}.rst",
        category="Figures",
        labels={"figure": shown or (FIGURES | DOMAIN_FIGURES)[name]},
    )


# The style of the summary page and of the page on the published studies.
PAGE_STYLE = os.path.relpath(
    os.path.join(workflow.basedir, "src/codewatt/analysis/templates/page_style.css.j2")
)


def published_data(wildcards):
    """Data and templates of the page; relative paths, so that the page is not stale
    in a checkout at another place."""
    package = os.path.join(workflow.basedir, "src/codewatt/published")
    found = [
        os.path.relpath(os.path.join(folder, name))
        for folder, _, names in os.walk(package)
        for name in names
        if name.endswith((".csv", ".j2"))
    ]
    return sorted([*found, PAGE_STYLE])


def published_page():
    """The page on the published studies as the summary page links it; "" if there is none, and None
    for a study that repeats no published one. The summary is made again if this changes.
    """
    if study_file(study.study) is None:
        return None
    page = paths.published()
    exists = os.path.exists(page)
    return os.path.relpath(page, os.path.dirname(paths.summary())) if exists else ""
