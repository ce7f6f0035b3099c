# The results of all cells and variants become the tables of the study.


rule aggregate:
    input:
        generate=each_cell("generate.json"),
        completions=each_cell("completions.jsonl.gz"),
        tasks=each_cell("tasks.parquet"),
        evaluate=each_cell("evaluate.json"),
        energy=each_cell("energy.json"),
        task_energy=each_cell("task_energy.parquet"),
        variants=each_variant("manifest.json"),
        making_energy=each_variant("making_energy.json"),
        fidelity=each_fidelity(),
        contamination=fidelity_contamination_checks(),
    output:
        task_csv=paths.table("task.csv"),
        task=paths.table("task.parquet"),
        run_csv=report(
            paths.table("run.csv"),
            caption="../report/table_run.rst",
            category="Tables",
            labels={"table": "runs", "rows": "one for each run"},
        ),
        run=paths.table("run.parquet"),
        session_csv=report(
            paths.table("session.csv"),
            caption="../report/table_session.rst",
            category="Tables",
            labels={"table": "sessions", "rows": "one for each cell and session"},
        ),
        session=paths.table("session.parquet"),
        cell_csv=report(
            paths.table("cell.csv"),
            caption="../report/table_cell.rst",
            category="Tables",
            labels={"table": "cells", "rows": "one for each cell"},
        ),
        cell=paths.table("cell.parquet"),
        comparison_csv=report(
            paths.table("comparison.csv"),
            caption="../report/table_comparison.rst",
            category="Tables",
            labels={
                "table": "comparisons",
                "rows": "one for each pair of cells and metric",
            },
        ),
        comparison=paths.table("comparison.parquet"),
        variant_csv=report(
            paths.table("variant.csv"),
            caption="../report/table_variant.rst",
            category="Tables",
            labels={"table": "variants", "rows": "one for each variant"},
        ),
        variant=paths.table("variant.parquet"),
        domain_csv=paths.table("domain.csv"),
        domain=paths.table("domain.parquet"),
        domain_comparison_csv=paths.table("domain_comparison.csv"),
        domain_comparison=paths.table("domain_comparison.parquet"),
        check_csv=report(
            paths.table("check.csv"),
            caption="../report/table_check.rst",
            category="Tables",
            labels={
                "table": "checks",
                "rows": "one for each cell, session, repeat and check",
            },
        ),
        check=paths.table("check.parquet"),
    log:
        paths.log("aggregate"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        # Of each row of the task table 60 bytes stay in memory (docs/how-to/slurm.md).
        **cpu_node_resources(mem_mb=4000),
    params:
        settings=lambda wildcards: grid.aggregate_slice(known_cells()[0]),
        code=code("aggregate"),
    script:
        "../scripts/aggregate.py"


# Not part of the default target: the baseline cells are run a second time.
rule aa_test:
    input:
        energy=each_cell("energy.json"),
        again=[paths.cell("energy.json", twin.id) for twin in grid.twins.values()],
    output:
        table=report(
            paths.table("aa_test.csv"),
            caption="../report/table_aa_test.rst",
            category="Tables",
            labels={"table": "A/A test", "rows": "one for each comparison"},
        ),
    log:
        paths.log("aa_test"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        settings=lambda wildcards: grid.aa_slice(known_cells()[0]),
        code=code("aa_test"),
    script:
        "../scripts/aa_test.py"
