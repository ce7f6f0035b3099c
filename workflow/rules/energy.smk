# Raw telemetry becomes joules, in jobs of their own: they can run again without a measurement.


rule measure_energy:
    input:
        generate=paths.cell("generate.json"),
        timeline=paths.cell("timeline.parquet"),
        evaluate=paths.cell("evaluate.json"),
        evaluate_timeline=paths.cell("evaluate_timeline.parquet"),
        tasks=paths.cell("tasks.parquet"),
    output:
        energy=paths.cell("energy.json"),
        tasks=paths.cell("task_energy.parquet"),
    log:
        paths.log("measure_energy", "{cell}"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        settings=lambda wildcards: grid.energy_slice(),
        instruct=lambda wildcards: grid.is_instruct(grid.cell(wildcards.cell).model),
        code=code("measure_energy"),
    script:
        "../scripts/measure_energy.py"


rule measure_making_energy:
    input:
        manifest=paths.variant("manifest.json"),
        timeline=paths.variant("timeline.parquet"),
        scores=lambda wildcards: layer_scores(grid.variant(wildcards.variant)),
        scores_timeline=lambda wildcards: layer_scores_timeline(
            grid.variant(wildcards.variant)
        ),
    output:
        energy=paths.variant("making_energy.json"),
    log:
        paths.log("measure_making_energy", "{variant}"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        settings=lambda wildcards: grid.energy_slice(),
        code=code("measure_making_energy"),
    script:
        "../scripts/measure_making_energy.py"
