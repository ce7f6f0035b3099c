"""The smoke studies of the two published studies, from quantising to the published page.

Their models are tiny and random, so that nothing here looks at how large a measured value is.
"""

import csv
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from codewatt.files import read_json
from tests.support.workbench import Workbench

pytestmark = pytest.mark.e2e

#: Smoke study -> the study files whose steps it has.
STUDIES = {
    "de-reus-2024-smoke": ("de-reus-2024", "de-reus-2024-pythia"),
    "buis-2024-smoke": ("buis-2024",),
}
#: Architectures of the published models, as the config.json of each repository names them.
ARCHITECTURES = {
    "de-reus-2024-smoke": {
        "bigcode/starcoder2": "starcoder2",
        "microsoft/phi-2": "phi",
        "EleutherAI/pythia": "gpt_neox",
    },
    "buis-2024-smoke": {
        "Qwen/Qwen2.5": "qwen2",
        "meta-llama/Llama-3.1": "llama",
        "deepseek-ai/DeepSeek-Coder-V2": "deepseek_v2",
    },
}
#: Keys of a precision that say what it does to weights.
KIND = ("method", "bits", "quant_type")


@pytest.fixture(scope="module")
def bench(repository, tmp_path_factory):
    """A copy of the project in which both studies ran, and after them the published page."""
    bench = Workbench(repository, tmp_path_factory.mktemp("smoke"))
    config = bench.root / "config/config.yaml"  # one core a job, so that two cells run at once
    config.write_text(config.read_text() + "\nmachine: {cpu: {threads: 1}}\n")
    for name in STUDIES:
        _choose(bench, name)
        bench.snakemake("--cores", "2")
        assert bench.would_run() == set(), "a second run has nothing to do"
    bench.snakemake("--cores", "1", "published")
    return bench


@pytest.fixture(params=STUDIES)
def name(request, bench):
    """The name of a smoke study; it is the one that Snakemake runs."""
    _choose(bench, request.param)
    return request.param


def _choose(bench, name):
    shutil.copyfile(bench.root / f"config/studies/{name}.yaml", bench.study_file)


def _read(bench, name):
    return yaml.safe_load((bench.root / f"config/studies/{name}.yaml").read_text())


def _table(bench, name, level):
    return pd.read_parquet(bench.root / f"results/{name}/tables/{level}.parquet")


def test_every_cell_ran(bench, name):
    cells = _table(bench, name, "cell")
    assert set(cells["status"]) == {"ok"}
    (benchmark,) = _read(bench, name)["benchmarks"]
    assert set(cells["tasks"]) == {benchmark["tasks"]}
    assert (_table(bench, name, "task")["new_tokens"] > 0).all()


def test_cells_have_each_architecture_of_the_study(bench, name):
    studies = [_read(bench, study) for study in STUDIES[name]]
    repositories = {model["repo"] for study in studies for model in study["models"]}
    published = {
        architecture
        for repository in repositories
        for start, architecture in ARCHITECTURES[name].items()
        if repository.startswith(start)
    }
    assert all(repository.startswith(tuple(ARCHITECTURES[name])) for repository in repositories)
    variants = bench.root / f"results/{name}/variants"
    manifests = [
        read_json(variants / variant / "manifest.json")
        for variant in _table(bench, name, "cell")["variant_id"]
    ]
    assert {one["base"]["source"]["config"]["model_type"] for one in manifests} == published


def test_cells_have_each_precision_and_prune_method_of_the_study(bench, name):
    done = _table(bench, name, "cell")
    for axis, kind in (("precisions", KIND), ("prunes", ("method",))):
        entries = {
            entry["id"]: tuple(entry.get(key) for key in kind) for entry in _read(bench, name)[axis]
        }
        ran = {entries[one] for one in done[axis.removesuffix("s")]}
        published = {
            tuple(entry.get(key) for key in kind)
            for study in STUDIES[name]
            for entry in _read(bench, study)[axis]
        }
        assert ran == published


def test_cells_differ_in_token_limit_or_batch_size_as_those_of_the_study(bench, name):
    """More than one value, where the study has more than one."""
    cells = _table(bench, name, "cell")
    published = _read(bench, STUDIES[name][0])
    for column, key in (("token_limit", "token_limits"), ("batch_size", "batch_sizes")):
        assert (cells[column].nunique() > 1) == (len(published[key]) > 1)


def test_compressed_variants_are_smaller_and_compared(bench, name):
    cells = _table(bench, name, "cell").set_index("cell_id")
    compressed = cells[
        (cells["precision"] != cells["precision"].iloc[0]) | (cells["prune"] != "full")
    ]
    assert len(compressed) == 3
    size = _table(bench, name, "variant").set_index("variant_id")["size_bytes"]
    baselines = cells.loc[compressed["baseline_cell_id"], "variant_id"]
    assert (size[compressed["variant_id"]].array < size[baselines].array).all()
    wanted = set(compressed["baseline_cell_id"].items())
    for pair in _read(bench, name).get("comparisons", {}).get("pairs", []):
        models = (pair[side]["model"] for side in ("cell", "reference"))
        wanted.add(tuple(cells.index[cells["model"] == model].item() for model in models))
    compared = _table(bench, name, "comparison")
    assert set(zip(compared["cell_id"], compared["reference_cell_id"], strict=True)) == wanted


def test_accuracy_of_random_models_is_withheld(bench, name):
    cells = _table(bench, name, "cell")
    assert cells["pass_at_1_base"].isna().all()
    assert cells["accuracy_note"].str.contains("random").all()
    page = (bench.root / f"results/{name}/summary.html").read_text()
    assert "The models of this study are tiny and have random weights." in page


def test_every_column_is_what_independent_code_makes_of_the_raw_files(repository, bench, name):
    script = repository / "tools" / "recompute_tables.py"
    results = bench.root / "results" / name
    command = [sys.executable, str(script), str(bench.study_file), str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    found = re.search(r"^(\d+) values compared, 0 differences$", done.stderr, re.MULTILINE)
    assert found, done.stderr[-2000:]
    assert int(found[1]) > 9000


def test_the_published_page_names_the_study_and_shows_no_value_of_it(bench, name):
    page = (bench.root / "results/published/index.html").read_text()
    cells = _table(bench, name, "cell")
    (row,) = re.findall(rf"<tr>(?:(?!</tr>).)*<code>{name}</code>.*?</tr>", page)
    assert "its steps, on tiny models with random weights" in row
    assert f"{len(cells)} of {len(cells)} cells ran" in row
    assert "no value is a measurement of a published model, and none is shown" in row
    assert not [cell for cell in cells["cell_id"] if cell in page]
    # No printed number has a measured value, nor the words "not measured", below it.
    assert 'class="measured"' not in page


def test_the_file_of_measured_values_has_none(bench):
    with open(bench.root / "results/published/measured_values.csv", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        assert list(reader) == []
        assert {"published", "table", "study", "cell_id", "value"} <= set(reader.fieldnames)


def test_only_the_summary_is_made_again_to_link_the_published_page(bench, name):
    summary = bench.root / f"results/{name}/summary.html"
    assert 'href="../published/index.html' not in summary.read_text()
    assert bench.would_run() == {("summarise", "")}
    bench.snakemake("--cores", "2")
    assert 'href="../published/index.html' in summary.read_text()
    assert bench.would_run() == set()
    assert bench.would_run("published") == set()
