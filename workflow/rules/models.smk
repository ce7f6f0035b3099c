# A model's weights at hand, described by a manifest: trained here, fetched, unpacked, or random.


rule train_nano:
    output:
        manifest=paths.model(),
    log:
        paths.log("train_nano", "{model}"),
    wildcard_constraints:
        model=any_of(grid.models_made_by("train_nano")),
    priority: priorities.prepare
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        settings=lambda wildcards: grid.model_slice(wildcards.model),
        weights=paths.model_weights(),
        code=code("train_nano"),
    script:
        "../scripts/train_nano.py"


rule fetch_model:
    input:
        lambda wildcards: gguf_file(wildcards.model),
    output:
        manifest=paths.model(),
    log:
        paths.log("fetch_model", "{model}"),
    wildcard_constraints:
        model=any_of(grid.models_made_by("fetch_model")),
    priority: priorities.prepare
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(mem_mb=machine.cpu.mem_mb or 32000),
    params:
        settings=lambda wildcards: grid.model_slice(wildcards.model),
        weights=paths.model_weights(),
        code=code("fetch_model"),
    script:
        "../scripts/fetch_model.py"


# On a cluster where Snakemake itself runs: before any GPU is held, as nodes may have no network.
use rule fetch_model as download_model with:
    log:
        paths.log("download_model", "{model}"),
    wildcard_constraints:
        model=any_of(grid.models_made_by("download_model")),
