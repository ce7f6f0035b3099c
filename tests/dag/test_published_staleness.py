"""The page on the published studies follows the results of their study files but starts none."""

import pytest

from tests.support.measured_tables import study_cells, write_cells
from tests.support.workbench import SMALL, Workbench

pytestmark = pytest.mark.dag


def test_the_page_is_made_again_after_the_cell_table_of_a_study_file_changed(repository, tmp_path):
    bench = Workbench(repository, tmp_path)
    bench.write_study(SMALL)
    bench.snakemake("--cores", "1", "published")
    assert bench.would_run("published") == set()
    results = bench.root / "results"
    cell = study_cells("de-reus-2024")[0].design_id
    path = write_cells(results, "de-reus-2024", {cell: {"duration_s_geomean": 300.0}})
    assert bench.would_run("published") == {("published", "")}
    bench.snakemake("--cores", "1", "published")
    assert bench.would_run("published") == set()
    assert f"{cell}; engine transformers" in (results / "published/index.html").read_text()
    # Results of a study that repeats no published one do not matter.
    path.parents[1].rename(results / "other")
    assert bench.would_run("published") == {("published", "")}
    (results / "other").rename(path.parents[1])
    write_cells(results / "copy", "de-reus-2024", {cell: {"duration_s_geomean": 400.0}})
    (results / "copy/de-reus-2024").rename(results / "mine")
    assert bench.would_run("published") == set()
