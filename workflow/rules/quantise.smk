# A model's layers are scored, once; it becomes a variant: pruned first, then quantised.


rule score_layers:
    input:
        model=paths.model(),
        corpus=paths.corpus("documents.jsonl.gz"),
    output:
        scores=paths.layer_scores(),
        timeline=paths.layer_scores_timeline(),
    log:
        paths.log("score_layers", "{model}.{method}.{corpus}"),
    priority: priorities.prepare
    conda:
        "../../envs/codewatt.yaml"
    threads: gpu_node_threads(score_layers_job)
    resources:
        **gpu_node_resources(score_layers_job),
    params:
        settings=lambda wildcards: grid.score_slice(
            wildcards.model, wildcards.method, wildcards.corpus
        ),
        code=lambda wildcards: code(
            "score_layers",
            f"codewatt.prune.{wildcards.method}",
            corpus_source(wildcards.corpus),
        ),
    script:
        "../scripts/score_layers.py"


rule quantise:
    input:
        model=lambda wildcards: paths.model(grid.variant(wildcards.variant).model),
        corpora=lambda wildcards: calibration_documents(grid.variant(wildcards.variant)),
        scores=lambda wildcards: layer_scores(grid.variant(wildcards.variant)),
    output:
        manifest=paths.variant("manifest.json"),
        timeline=paths.variant("timeline.parquet"),
    log:
        paths.log("quantise", "{variant}"),
    priority: priorities.prepare
    conda:
        lambda wildcards: quantiser_environment(grid.variant(wildcards.variant))
    threads: gpu_node_threads(quantise_job)
    resources:
        **gpu_node_resources(quantise_job),
    params:
        settings=lambda wildcards: grid.quantise_slice(grid.variant(wildcards.variant)),
        weights=paths.variant("weights"),
        code=lambda wildcards: code(
            "quantise", *quantise_members(grid.variant(wildcards.variant))
        ),
    script:
        "../scripts/quantise.py"
