# The tables become figures, and one page that answers at a glance.

FIGURES = {
    "frontier": "energy against pass@1",
    "energy_by_precision": "energy per precision",
    "prune_depth": "pruned layers",
    "prompts": "prompt style",
}


def figure(name, extension):
    """A figure's path; the PNG is what the report shows."""
    path = paths.figure(f"{name}.{extension}")
    if extension != "png":
        return path
    return report(
        path,
        caption=f"../report/{name}.rst",
        category="Figures",
        labels={"figure": FIGURES[name]},
    )


rule plot:
    input:
        cells=paths.table("cell.parquet"),
    output:
        png=[figure(name, "png") for name in FIGURES],
        pdf=[figure(name, "pdf") for name in FIGURES],
    log:
        paths.log("plot"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **on_cpu_node(),
    params:
        settings=grid.labels_slice(),
        code=code("plot"),
    script:
        "../scripts/plot.py"


rule summarise:
    input:
        cells=paths.table("cell.parquet"),
        variants=paths.table("variant.parquet"),
        figures=rules.plot.output.png,
        template="src/codewatt/analysis/templates/summary.html.j2",
    output:
        summary=report(
            paths.summary(),
            caption="../report/summary.rst",
            category="Summary",
            labels={"page": "what costs least for which accuracy"},
        ),
    log:
        paths.log("summarise"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **on_cpu_node(),
    params:
        settings=grid.labels_slice(),
        code=code("summarise"),
    script:
        "../scripts/summarise.py"
