# A variant completes a benchmark's prompts, metered: load, idle, probe, warm-up, repeats, idle.


rule generate:
    input:
        variant=lambda wildcards: paths.variant(
            "manifest.json", grid.cell(wildcards.cell).variant.id
        ),
        benchmark=lambda wildcards: paths.benchmark(
            "manifest.json", grid.cell(wildcards.cell).benchmark
        ),
        tasks=lambda wildcards: paths.benchmark(
            "tasks.jsonl.gz", grid.cell(wildcards.cell).benchmark
        ),
        contamination=lambda wildcards: contamination_checks(grid.cell(wildcards.cell)),
    output:
        completions=paths.cell("completions.jsonl.gz"),
        tasks=paths.cell("tasks.parquet"),
        timeline=paths.cell("timeline.parquet"),
        manifest=paths.cell("generate.json"),
    log:
        paths.log("generate", "{cell}"),
    priority: lambda wildcards: priorities.generate(grid.cell(wildcards.cell))
    group:
        lambda wildcards: block_group(wildcards)
    conda:
        lambda wildcards: engine_environment(grid.cell(wildcards.cell).engine)
    threads: gpu_node_threads(generate_job)
    resources:
        **generate_resources(),
    params:
        settings=lambda wildcards: grid.generate_slice(grid.cell(wildcards.cell)),
        code=lambda wildcards: code(
            "generate", f"codewatt.generate.engines.{grid.cell(wildcards.cell).engine}"
        ),
    script:
        "../scripts/generate.py"
