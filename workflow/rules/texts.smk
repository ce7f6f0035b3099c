# What methods are calibrated on, and that it holds nothing they are judged on.


rule prepare_text:
    input:
        file=lambda wildcards: text_file(wildcards.text),
    output:
        documents=paths.text("documents.jsonl.gz"),
        manifest=paths.text("manifest.json"),
    log:
        paths.log("prepare_text", "{text}"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **on_cpu_node(),
    params:
        settings=lambda wildcards: grid.text_slice(wildcards.text),
        code=lambda wildcards: code(
            "prepare_text",
            text_source(wildcards.text),
        ),
    script:
        "../scripts/prepare_text.py"


rule check_overlap:
    input:
        documents=paths.text("documents.jsonl.gz"),
        tasks=paths.benchmark("tasks.jsonl.gz"),
    output:
        overlap=paths.overlap(),
    log:
        paths.log("check_overlap", "{text}.{benchmark}"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **on_cpu_node(),
    params:
        settings=lambda wildcards: grid.overlap_slice(
            wildcards.text, wildcards.benchmark
        ),
        code=code("check_overlap"),
    script:
        "../scripts/check_overlap.py"
