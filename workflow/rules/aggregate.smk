# Every cell's files become one tidy table a level.


rule aggregate:
    input:
        generate=[paths.cell("generate.json", cell.id) for cell in grid.cells],
        completions=[paths.cell("completions.jsonl.gz", cell.id) for cell in grid.cells],
        tasks=[paths.cell("tasks.parquet", cell.id) for cell in grid.cells],
        evaluate=[paths.cell("evaluate.json", cell.id) for cell in grid.cells],
        energy=[paths.cell("energy.json", cell.id) for cell in grid.cells],
        task_energy=[paths.cell("task_energy.parquet", cell.id) for cell in grid.cells],
        variants=[
            paths.variant("manifest.json", variant.id) for variant in grid.variants
        ],
        recovery=recoveries(),
        overlaps=checked_recovery(),
    output:
        task_csv=paths.table("task.csv"),
        task=paths.table("task.parquet"),
        run_csv=report(
            paths.table("run.csv"),
            caption="../report/table_run.rst",
            category="Tables",
            labels={"table": "runs", "rows": "one a repeat"},
        ),
        run=paths.table("run.parquet"),
        cell_csv=report(
            paths.table("cell.csv"),
            caption="../report/table_cell.rst",
            category="Tables",
            labels={"table": "cells", "rows": "one a cell"},
        ),
        cell=paths.table("cell.parquet"),
        variant_csv=report(
            paths.table("variant.csv"),
            caption="../report/table_variant.rst",
            category="Tables",
            labels={"table": "variants", "rows": "one a variant"},
        ),
        variant=paths.table("variant.parquet"),
        expectation_csv=report(
            paths.table("expectation.csv"),
            caption="../report/table_expectation.rst",
            category="Tables",
            labels={
                "table": "expectations",
                "rows": "one a cell, repeat and expectation",
            },
        ),
        expectation=paths.table("expectation.parquet"),
    log:
        paths.log("aggregate"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **on_cpu_node(mem_mb=4000),
    params:
        settings=grid.aggregate_slice(),
        code=code("aggregate"),
    script:
        "../scripts/aggregate.py"


# Not part of the default target: it runs the baseline's cells a second time.
rule aa_test:
    input:
        energy=[
            paths.cell("energy.json", cell.id)
            for cell in (*grid.cells, *grid.twins.values())
        ],
    output:
        table=report(
            paths.table("aa_test.csv"),
            caption="../report/table_aa_test.rst",
            category="Tables",
            labels={"table": "A/A test", "rows": "one a comparison"},
        ),
    log:
        paths.log("aa_test"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **on_cpu_node(),
    params:
        settings=grid.aa_slice(),
        code=code("aa_test"),
    script:
        "../scripts/aa_test.py"
