# The explorer: one page with the study's tables in it.

from codewatt.analysis.columns import TABLES
from codewatt.analysis.statistical_tests.columns import TEST_TABLES
from codewatt.explorer.page_assets import asset_files


rule explore:
    input:
        tables=[paths.table(f"{name}.parquet") for name in (*TABLES, *TEST_TABLES)],
        # Relative paths, so that results are not stale in a checkout at another place.
        assets=lambda wildcards: [os.path.relpath(path) for path in asset_files()],
    output:
        page=paths.explorer(),
    log:
        paths.log("explore"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        settings=lambda wildcards: grid.labels_slice(),
        code=code("explore"),
    script:
        "../scripts/explore.py"
