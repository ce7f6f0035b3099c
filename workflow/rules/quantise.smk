# A model becomes a variant: pruned first, then quantised.


rule quantise:
    input:
        model=lambda wildcards: paths.model(grid.variant(wildcards.variant).model),
        texts=lambda wildcards: calibration_documents(grid.variant(wildcards.variant)),
    output:
        manifest=paths.variant("manifest.json"),
    log:
        paths.log("quantise", "{variant}"),
    conda:
        "../../envs/codewatt.yaml"
    threads: measured_threads()
    resources:
        **on_gpu_node(),
    params:
        settings=lambda wildcards: grid.quantise_slice(grid.variant(wildcards.variant)),
        weights=paths.variant("weights"),
        timeline=paths.variant("timeline.parquet"),
        code=lambda wildcards: code(
            "quantise", *quantise_members(grid.variant(wildcards.variant))
        ),
    script:
        "../scripts/quantise.py"
