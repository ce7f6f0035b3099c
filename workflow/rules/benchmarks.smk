# A benchmark's tasks, and what its reference solutions answer on every input.


rule prepare_benchmark:
    output:
        tasks=paths.benchmark("tasks.jsonl.gz"),
        manifest=paths.benchmark("manifest.json"),
    log:
        paths.log("prepare_benchmark", "{benchmark}"),
    priority: priorities.prepare
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        settings=lambda wildcards: grid.benchmark_slice(wildcards.benchmark),
        code=lambda wildcards: code(
            "prepare_benchmark",
            f"codewatt.benchmarks.{grid.settings('benchmark', wildcards.benchmark)['kind']}_benchmark",
        ),
    script:
        "../scripts/prepare_benchmark.py"


rule compute_expected:
    input:
        tasks=paths.benchmark("tasks.jsonl.gz"),
    output:
        expected=paths.benchmark("expected.json.gz"),
    log:
        paths.log("compute_expected", "{benchmark}"),
    priority: priorities.prepare
    conda:
        "../../envs/codewatt.yaml"
    threads: measured_threads()
    resources:
        **judging_node_resources(),
    params:
        code=code("compute_expected"),
    script:
        "../scripts/compute_expected.py"
