# What methods are calibrated on, and that it holds nothing they are judged on.


rule prepare_corpus:
    input:
        file=lambda wildcards: corpus_file(wildcards.corpus),
    output:
        documents=paths.corpus("documents.jsonl.gz"),
        manifest=paths.corpus("manifest.json"),
    log:
        paths.log("prepare_corpus", "{corpus}"),
    priority: priorities.prepare
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        settings=lambda wildcards: grid.corpus_slice(wildcards.corpus),
        code=lambda wildcards: code(
            "prepare_corpus",
            corpus_source(wildcards.corpus),
        ),
    script:
        "../scripts/prepare_corpus.py"


rule check_contamination:
    input:
        documents=paths.corpus("documents.jsonl.gz"),
        tasks=paths.benchmark("tasks.jsonl.gz"),
    output:
        contamination=paths.contamination(),
    log:
        paths.log("check_contamination", "{corpus}.{benchmark}"),
    priority: priorities.prepare
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        settings=lambda wildcards: grid.contamination_slice(
            wildcards.corpus, wildcards.benchmark
        ),
        code=code("check_contamination"),
    script:
        "../scripts/check_contamination.py"
