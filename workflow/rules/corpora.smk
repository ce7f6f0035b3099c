# What methods are calibrated on, and that it holds nothing they are judged on.


rule prepare_corpus:
    input:
        file=lambda wildcards: text_file(wildcards.text),
    output:
        documents=paths.text("documents.jsonl.gz"),
        manifest=paths.text("manifest.json"),
    log:
        paths.log("prepare_corpus", "{text}"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **on_cpu_node(),
    params:
        settings=lambda wildcards: grid.text_slice(wildcards.text),
        code=lambda wildcards: code(
            "prepare_corpus",
            text_source(wildcards.text),
        ),
    script:
        "../scripts/prepare_corpus.py"


rule check_contamination:
    input:
        documents=paths.text("documents.jsonl.gz"),
        tasks=paths.benchmark("tasks.jsonl.gz"),
    output:
        overlap=paths.overlap(),
    log:
        paths.log("check_contamination", "{text}.{benchmark}"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **on_cpu_node(),
    params:
        settings=lambda wildcards: grid.overlap_slice(
            wildcards.text, wildcards.benchmark
        ),
        code=code("check_contamination"),
    script:
        "../scripts/check_contamination.py"
