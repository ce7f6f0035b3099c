"""The grid shows without running anything, and a bad study is refused before any job starts."""

import copy
import os
import re

import pytest
import yaml

from tests.support.workbench import SMALL, Workbench

pytestmark = pytest.mark.dag


GRID = {
    "train_nano": 2,
    "prepare_benchmark": 1,
    "compute_expected": 1,
    "quantise": 4,
    "measure_making_energy": 4,
    "generate": 4,
    "evaluate": 4,
    "measure_energy": 4,
    "aggregate": 1,
    "statistical_tests": 1,
    "plot": 1,
    "plot_power": 1,
    "summarise": 1,
    "explore": 1,
}


@pytest.fixture(scope="module")
def fresh(repository, tmp_path_factory):
    """A copy in which nothing has run."""
    bench = Workbench(repository, tmp_path_factory.mktemp("fresh"))
    bench.write_study(SMALL)
    return bench


def test_the_whole_grid_would_run(fresh):
    planned = fresh.would_run()
    per_rule = {rule: sum(r == rule for r, _ in planned) for rule, _ in planned}
    assert per_rule == GRID
    assert not (fresh.root / "results" / "small").exists()


@pytest.mark.parametrize("what", ["--dag", "--rulegraph", "--summary"])
def test_snakemakes_own_views(fresh, what):
    output = fresh.snakemake(what).stdout
    assert "generate" in output


def test_the_slurm_profile_shows_the_same_grid_with_gpus(fresh):
    fresh.write_study({**SMALL, "device": "auto"})
    try:
        output = fresh.snakemake("-n", "--profile", "profiles/slurm").stdout
    finally:
        fresh.write_study(SMALL)
    for rule, count in GRID.items():
        assert len(re.findall(rf"^ *(?:local)?rule {rule}:", output, re.MULTILINE)) == count, rule
    assert output.count("gres=gpu:l40s:1") == 5, "one of 4 variants is quantised, 4 cells generate"


CONDA = """#!/bin/sh
case "$*" in
  "info --json") echo '{"conda_prefix": "/nowhere", "root_prefix": "/nowhere",
    "conda_version": "26.1.0", "platform": "linux-64", "envs_dirs": []}' ;;
  *--version*) echo "conda 26.1.0" ;;
  *channel_priority*) echo '{"get": {"channel_priority": "strict"}}' ;;
esac
"""


@pytest.fixture
def conda_only(fresh, monkeypatch):
    """conda_only(study, target): a dry run, and the environments that conda is asked for.

    A conda that only answers questions stands in for the real one: nothing is installed.
    """
    conda = fresh.root / "bin" / "conda"
    conda.parent.mkdir(exist_ok=True)
    conda.write_text(CONDA)
    conda.chmod(0o755)
    monkeypatch.setenv("PATH", f"{conda.parent}:{os.environ['PATH']}")

    def run(study, target):
        fresh.write_study(study)
        output = fresh.snakemake("-n", target, "--sdm", "conda").stdout
        named = re.findall(r"^Conda environment (\S+) will be created", output, re.MULTILINE)
        return output, set(named)

    yield run
    fresh.write_study(SMALL)


@pytest.mark.parametrize(
    ("engines", "environments"),
    [
        (["transformers", "graph"], {"envs/codewatt.yaml"}),
        (["transformers", "vllm"], {"envs/codewatt.yaml", "envs/vllm.yaml"}),
    ],
)
def test_a_cell_runs_in_the_environment_of_its_engine(conda_only, engines, environments):
    output, named = conda_only({**SMALL, "engines": engines}, "generate_all")
    assert named == environments
    assert len(re.findall(r"^rule generate:", output, re.MULTILINE)) == 8


AWQ = {"method": "awq", "group_size": 64, "compute_dtype": "float16", "calibration": "t"}
GPTQ = {**AWQ, "method": "gptq", "bits": 4}


def test_a_variant_is_made_in_the_environment_of_its_backend(conda_only):
    precisions = [
        SMALL["precisions"][0],
        {"id": "awq", **AWQ, "backend": "autoawq"},
        {"id": "gptq", **GPTQ, "backend": "auto_gptq"},
        {"id": "plain", **GPTQ},
    ]
    study = {
        **SMALL,
        "corpora": [{"id": "t", "source": "nano"}],
        "device": "auto",
        "precisions": precisions,
        "prunes": SMALL["prunes"][:1],
        "exclude": [{"model": "one", "precision": "gptq"}],
    }
    output, named = conda_only(study, "quantise_all")
    assert named == {f"envs/{name}.yaml" for name in ("codewatt", "autoawq", "autogptq")}
    assert len(re.findall(r"^rule quantise:", output, re.MULTILINE)) == 7
    for target, made in (("quantise_autoawq", 2), ("quantise_auto_gptq", 1)):
        output, _ = conda_only(study, target)
        assert len(re.findall(r"^rule quantise:", output, re.MULTILINE)) == made


BAD = {
    "unknown key": (lambda s: s.update(colour=1), "study.yaml: colour: unknown key"),
    "wrong type": (lambda s: s.update(token_limits=["24"]), "study.yaml: token_limits[0]: '24'"),
    "unknown model": (
        lambda s: s["exclude"].append({"model": "three"}),
        "study.yaml: exclude[3].model: no model 'three' in this study; allowed: one, two",
    ),
    "impossible combination": (
        lambda s: s["prunes"][1].update(layers=40),
        "study.yaml: prune 'last1' removes 40 layers",
    ),
    "negative limit": (lambda s: s.update(token_limits=[-24]), "study.yaml: token_limits[0]: -24"),
    "duplicate id": (
        lambda s: s["models"].append(s["models"][0]),
        "study.yaml: models: duplicate id 'one'",
    ),
    "empty grid": (
        lambda s: s.update(exclude=[{"model": ["one", "two"]}]),
        "study.yaml: exclude: it leaves no cell",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_study_is_one_line_before_any_job(fresh, name):
    change, message = BAD[name]
    study = copy.deepcopy(SMALL)
    change(study)
    fresh.write_study(study)
    _refused(fresh, message)


def test_a_study_that_is_not_yaml(fresh):
    fresh.study_file.write_text("study: [\n")
    _refused(fresh, "study.yaml:2:1: not valid YAML")


def test_a_study_that_is_not_there(fresh):
    fresh.study_file.unlink()
    _refused(fresh, "study.yaml: no such file")


def _refused(bench, message):
    done = bench.snakemake("--cores", "1", check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("codewatt: ")]
    assert done.returncode != 0
    assert len(lines) == 1, done.stdout
    assert lines[0].startswith("codewatt: " + message)
    assert "Traceback" not in done.stdout
    assert not (bench.root / "results" / "small").exists()


def test_on_a_cluster_each_job_asks_for_what_its_cell_takes(fresh):
    """The site file as it comes: the GPU of the cell, memory and time by model and token limit."""
    study = copy.deepcopy(SMALL)
    study["hardware"], study["device"] = ["l40s", "a100"], "cuda"
    study["models"] = [{"id": "one", "source": "hub", "repo": "bigcode/starcoder2-3b",
                        "revision": "733247c55e3f73af49ce8e9c7949bf14af205928"}]  # fmt: skip
    study["prunes"], study["exclude"] = study["prunes"][:1], []
    study["benchmarks"] = [{"id": "humaneval-plus", "kind": "humaneval_plus"}]
    study["token_limits"] = [128, 512]
    site = {"machine": {"hardware": {"l40s": {}, "a100": {"max_mem_mb": 8000}}}}
    (fresh.root / "site.yaml").write_text(yaml.safe_dump(site))
    fresh.write_study(study)
    try:
        command = ("-n", "--profile", "profiles/slurm", "generate_all")
        said = fresh.snakemake(*command).stdout
        cut = fresh.snakemake(*command, "--configfile", "site.yaml").stdout
    finally:
        fresh.write_study(SMALL)
    told = [line for line in cut.splitlines() if line.startswith("codewatt: ")]
    assert len(told) == 1
    assert told[0].startswith(
        "codewatt: generate: 4 of 8 jobs are estimated to need more than 8000 MB, up to "
    )
    assert told[0].endswith("raise machine.hardware.a100.max_mem_mb")
    assert "codewatt: " not in said
    asked = {}
    for block in said.split("rule generate:")[1:]:
        cell = re.search(r"wildcards: cell=(\S+)", block)[1]
        asked[cell] = dict(re.findall(r"(\w+)=([^,\s]+)", re.search("resources: .*", block)[0]))
    assert len(asked) == 8
    for cell, resources in asked.items():
        assert resources["gres"] == f"gpu:{cell.rpartition('--')[2]}:1"
        assert resources["cpus_per_task"] == "8"
        longer = asked[cell.replace("--t128--", "--t512--")]
        assert int(longer["runtime"]) >= int(resources["runtime"])
    memory = {precision: {int(r["mem_mb"]) for c, r in asked.items() if precision in c}
              for precision in ("fp32", "int8")}  # fmt: skip
    assert max(memory["int8"]) < min(memory["fp32"])
    assert len({resources["runtime"] for resources in asked.values()}) > 2
