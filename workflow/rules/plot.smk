# Figures and the summary page.


# Returned by a function: Snakemake would read {name} in a plain string as a wildcard.
# A relative path, so that results are not stale in a checkout at another place.
SUMMARY_TEMPLATE = os.path.relpath(
    os.path.join(workflow.basedir, "src/codewatt/analysis/templates/summary.html.j2")
)


rule plot:
    input:
        cell=paths.table("cell.parquet"),
        run=paths.table("run.parquet"),
        comparison=paths.table("comparison.parquet"),
    output:
        png=[figure(name, "png") for name in FIGURES],
        pdf=[figure(name, "pdf") for name in FIGURES],
    log:
        paths.log("plot"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        settings=lambda wildcards: grid.labels_slice(),
        code=code("plot"),
    script:
        "../scripts/plot.py"


rule plot_power:
    input:
        cells=paths.table("cell.parquet"),
        generate=power_cells("generate.json"),
        timelines=power_cells("timeline.parquet"),
    output:
        png=figure("power_over_time", "png", "power over time"),
        pdf=figure("power_over_time", "pdf"),
    log:
        paths.log("plot_power"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(mem_mb=4000),
    params:
        settings=lambda wildcards: grid.labels_slice(),
        code=code("plot_power"),
    script:
        "../scripts/plot_power.py"


rule plot_layers:
    input:
        scores=[paths.layer_scores(*scoring) for scoring in grid.scorings],
    output:
        png=figure("layer_scores", "png", "scores of layers"),
        pdf=figure("layer_scores", "pdf"),
    log:
        paths.log("plot_layers"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        settings=lambda wildcards: grid.labels_slice(),
        code=code("plot_layers"),
    script:
        "../scripts/plot_layers.py"


rule plot_domains:
    input:
        cell=paths.table("cell.parquet"),
        domain=paths.table("domain.parquet"),
        domain_comparison=paths.table("domain_comparison.parquet"),
    output:
        png=[figure(name, "png") for name in DOMAIN_FIGURES],
        pdf=[figure(name, "pdf") for name in DOMAIN_FIGURES],
    log:
        paths.log("plot_domains"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        settings=lambda wildcards: grid.labels_slice(),
        code=code("plot_domains"),
    script:
        "../scripts/plot_domains.py"


rule summarise:
    input:
        cells=paths.table("cell.parquet"),
        variants=paths.table("variant.parquet"),
        checks=paths.table("check.parquet"),
        sessions=paths.table("session.parquet"),
        tests=paths.table("statistical_test.parquet"),
        regressions=paths.table("regression.parquet"),
        comparisons=paths.table("comparison.parquet"),
        domains=paths.table("domain.parquet"),
        domain_comparisons=paths.table("domain_comparison.parquet"),
        generate=each_cell("generate.json"),
        figures=rules.plot.output.png
        + domain_figures("png")
        + layer_figure("png")
        + [rules.plot_power.output.png],
        template=lambda wildcards: [SUMMARY_TEMPLATE, PAGE_STYLE],
    output:
        summary=report(
            paths.summary(),
            caption="../report/summary.rst",
            category="Summary",
            labels={"page": "energy and accuracy against the baseline"},
        ),
    log:
        paths.log("summarise"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        settings=lambda wildcards: grid.labels_slice(),
        published=published_page(),
        code=code("summarise"),
    script:
        "../scripts/summarise.py"
