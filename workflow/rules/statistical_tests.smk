# The statistical tests of the two reproduced studies, from the tables of cells, runs and tasks.


rule statistical_tests:
    input:
        cells=paths.table("cell.parquet"),
        runs=paths.table("run.parquet"),
        tasks=paths.table("task.parquet"),
    output:
        statistical_test_csv=report(
            paths.table("statistical_test.csv"),
            caption="../report/table_statistical_test.rst",
            category="Tables",
            labels={"table": "statistical tests", "rows": "one for each test"},
        ),
        statistical_test=paths.table("statistical_test.parquet"),
        regression_csv=report(
            paths.table("regression.csv"),
            caption="../report/table_regression.rst",
            category="Tables",
            labels={
                "table": "regressions of energy",
                "rows": "one for each cell, model and coefficient",
            },
        ),
        regression=paths.table("regression.parquet"),
    log:
        paths.log("statistical_tests"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(mem_mb=4000),
    params:
        code=code("statistical_tests"),
    script:
        "../scripts/statistical_tests.py"
