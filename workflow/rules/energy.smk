# Raw telemetry becomes joules: afterwards, and as often as one likes.


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
        code=code("measure_energy"),
    script:
        "../scripts/measure_energy.py"
