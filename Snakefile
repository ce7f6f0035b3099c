"""codewatt: what compressing a code LLM costs and saves, in energy, time and accuracy."""

import os
import sys

sources = os.path.join(workflow.basedir, "src")
sys.path.insert(0, sources)
others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
os.environ.update(PYTHONPATH=os.pathsep.join(dict.fromkeys([sources, *others])))


# In another working directory without a configuration of its own, the checkout's.
here, whole = "config/config.yaml", os.path.join(workflow.basedir, "config/config.yaml")


configfile: here if os.path.exists(here) else whole


include: "workflow/rules/common.smk"
include: "workflow/rules/placement.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/benchmarks.smk"
include: "workflow/rules/corpora.smk"
include: "workflow/rules/quantise.smk"
include: "workflow/rules/fidelity.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/depth.smk"
include: "workflow/rules/energy.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/statistical_tests.smk"
include: "workflow/rules/plot.smk"
include: "workflow/rules/explorer.smk"
include: "workflow/rules/published.smk"


report: "workflow/report/workflow.rst"


localrules:
    download_model,
    prepare_benchmark,
    quantise_all,
    quantise_autoawq,
    quantise_auto_gptq,
    fidelity_all,
    generate_all,
    generate_aa,
    evaluate_all,
    energy_all,
    aggregate_all,
    plot_all,
    report,


rule report:
    default_target: True
    input:
        rules.plot.output,
        rules.plot_power.output,
        domain_figures("png", "pdf"),
        layer_figure("png", "pdf"),
        rules.aggregate.output,
        rules.statistical_tests.output,
        rules.summarise.output,
        rules.explore.output,


rule quantise_all:
    input:
        each_variant("manifest.json"),


rule quantise_autoawq:
    input:
        each_variant("manifest.json", backend="autoawq"),


rule quantise_auto_gptq:
    input:
        each_variant("manifest.json", backend="auto_gptq"),


rule fidelity_all:
    input:
        each_fidelity(),


rule generate_all:
    input:
        each_cell("generate.json"),


rule generate_aa:
    input:
        each_cell("generate.json"),
        [paths.cell("generate.json", twin.id) for twin in grid.twins.values()],


rule evaluate_all:
    input:
        each_cell("evaluate.json"),


rule energy_all:
    input:
        each_cell("energy.json"),
        each_variant("making_energy.json"),


rule aggregate_all:
    input:
        rules.aggregate.output,
        rules.statistical_tests.output,


rule plot_all:
    input:
        rules.plot.output,
        rules.plot_power.output,
        domain_figures("png", "pdf"),
        layer_figure("png", "pdf"),
