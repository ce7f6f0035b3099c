# How much of its model's baseline a variant keeps, on a corpus that it was not calibrated on.


rule measure_fidelity:
    input:
        variant=paths.variant("manifest.json"),
        baseline=lambda wildcards: baseline_manifest(grid.variant(wildcards.variant)),
        documents=lambda wildcards: paths.corpus(
            "documents.jsonl.gz", study.fidelity.corpus
        ),
        calibration=lambda wildcards: calibration_documents(
            grid.variant(wildcards.variant)
        ),
    output:
        fidelity=paths.variant("fidelity.json"),
    log:
        paths.log("measure_fidelity", "{variant}"),
    conda:
        "../../envs/codewatt.yaml"
    threads: gpu_node_threads(measure_fidelity_job)
    resources:
        **gpu_node_resources(measure_fidelity_job),
    params:
        settings=lambda wildcards: grid.fidelity_slice(grid.variant(wildcards.variant)),
        code=lambda wildcards: code(
            "measure_fidelity", corpus_source(study.fidelity.corpus)
        ),
    script:
        "../scripts/measure_fidelity.py"
