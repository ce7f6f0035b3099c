# How much of its model's baseline a variant keeps, on a text that it was not calibrated on.


rule measure_recovery:
    input:
        variant=paths.variant("manifest.json"),
        baseline=lambda wildcards: baseline_manifest(grid.variant(wildcards.variant)),
        documents=lambda wildcards: paths.text(
            "documents.jsonl.gz", study.recovery.text
        ),
        calibration=lambda wildcards: calibration_documents(
            grid.variant(wildcards.variant)
        ),
    output:
        recovery=paths.variant("recovery.json"),
    log:
        paths.log("measure_recovery", "{variant}"),
    conda:
        "../../envs/codewatt.yaml"
    threads: gpu_threads(of_recovery)
    resources:
        **on_gpu_node(of_recovery),
    params:
        settings=lambda wildcards: grid.recovery_slice(grid.variant(wildcards.variant)),
        code=lambda wildcards: code(
            "measure_recovery", text_source(study.recovery.text)
        ),
    script:
        "../scripts/measure_recovery.py"
