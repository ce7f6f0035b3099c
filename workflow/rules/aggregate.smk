# Every cell's files become one tidy table a level.


rule aggregate:
    input:
        generate=[paths.cell("generate.json", cell.id) for cell in grid.cells],
        completions=[paths.cell("completions.jsonl.gz", cell.id) for cell in grid.cells],
        tasks=[paths.cell("tasks.parquet", cell.id) for cell in grid.cells],
        evaluate=[paths.cell("evaluate.json", cell.id) for cell in grid.cells],
        energy=[paths.cell("energy.json", cell.id) for cell in grid.cells],
        variants=[
            paths.variant("manifest.json", variant.id) for variant in grid.variants
        ],
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
