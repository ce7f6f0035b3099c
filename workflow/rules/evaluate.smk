# Completions are judged, only inside the sandbox.


rule evaluate:
    input:
        generate=paths.cell("generate.json"),
        completions=paths.cell("completions.jsonl.gz"),
        tasks=lambda wildcards: paths.benchmark(
            "tasks.jsonl.gz", grid.cell(wildcards.cell).benchmark
        ),
        expected=lambda wildcards: paths.benchmark(
            "expected.json.gz", grid.cell(wildcards.cell).benchmark
        ),
    output:
        results=paths.cell("eval_results.json.gz"),
        timeline=paths.cell("evaluate_timeline.parquet"),
        manifest=paths.cell("evaluate.json"),
    log:
        paths.log("evaluate", "{cell}"),
    priority: lambda wildcards: priorities.judge(grid.cell(wildcards.cell))
    conda:
        "../../envs/codewatt.yaml"
    threads: measured_threads()
    resources:
        **judging_node_resources(),
    params:
        settings=lambda wildcards: grid.evaluate_slice(),
        code=code("evaluate"),
    script:
        "../scripts/evaluate.py"
