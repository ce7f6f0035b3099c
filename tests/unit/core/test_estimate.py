"""`codewatt estimate`: every job counted, unknown models said, measurements beside, and fast."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from codewatt.cli import main
from codewatt.config.load_study import load_study, validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.estimate.job_plan import Plan
from codewatt.estimate.job_sums import sum_jobs, wall_h
from codewatt.files import describe_files, write_json
from codewatt.grid import Grid
from codewatt.paths import Paths
from codewatt.prune_chains import build_chains
from codewatt.sizing.gpu_datasheets import get_gpu
from codewatt.sizing.weight_bytes import weight_bytes
from tests.dag.test_inspect import GRID
from tests.support.estimates import HUB, ON_A_GPU, estimated, planned, study, written
from tests.support.records import model_record
from tests.support.workbench import SMALL

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_jobs_are_those_that_snakemake_plans(tmp_path):
    """tests/dag/test_inspect.py holds Snakemake's own plan of this study to the same counts."""
    assert planned(SMALL, tmp_path, None).per_rule == GRID


#: `snakemake -n` of the studies of that name, less its target.
PLANNED = {
    "bigcodebench-small": {
        "train_nano": 1, "prepare_benchmark": 1, "compute_expected": 1, "quantise": 2,
        "generate": 2, "evaluate": 2, "measure_making_energy": 2, "measure_energy": 2,
        "aggregate": 1, "statistical_tests": 1, "plot": 1, "plot_power": 1, "plot_domains": 1,
        "summarise": 1, "explore": 1,
    },
    "nano-prune": {
        "train_nano": 2, "prepare_benchmark": 1, "compute_expected": 1, "prepare_corpus": 1,
        "check_contamination": 1, "score_layers": 6, "quantise": 24, "generate": 24, "evaluate": 24,
        "measure_making_energy": 24, "measure_energy": 24, "aggregate": 1,
        "statistical_tests": 1, "plot": 1, "plot_power": 1, "plot_layers": 1,
        "summarise": 1, "explore": 1,
    },
    "starcoder2-3b-quantised": {
        "fetch_model": 1, "prepare_benchmark": 1, "compute_expected": 1, "prepare_corpus": 2,
        "check_contamination": 2, "quantise": 4, "measure_fidelity": 4, "generate": 8,
        "measure_making_energy": 4, "evaluate": 8, "measure_energy": 8, "aggregate": 1,
        "statistical_tests": 1, "plot": 1, "plot_power": 1, "summarise": 1, "explore": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PLANNED)
def test_scores_of_layers_texts_and_fidelity_are_jobs_too(tmp_path, name):
    grid = Grid(load_study(REPOSITORY / f"config/studies/{name}.yaml"))
    card = None if grid.study.device == "cpu" else get_gpu("h200")
    plan = Plan(grid, Paths.of(tmp_path, grid.study), {None: card}, 8)
    assert plan.per_rule == PLANNED[name]
    assert all(job.size is not None for job in plan.jobs)


def test_a_series_of_depths_is_counted_to_its_end(tmp_path):
    grid = Grid(load_study(REPOSITORY / "config/studies/nano-until-zero.yaml"))
    counted = Plan(grid, Paths.of(tmp_path, grid.study), {None: None}, 2).per_rule
    assert counted["generate"] == len(grid.cells)
    ends = len(build_chains(grid))
    assert counted["judge_depth"] == counted["generate"] - ends


def test_texts_and_their_checks_are_jobs_only_where_a_variant_needs_them(tmp_path):
    corpora = [{"id": "functions", "source": "nano"}]
    counted = planned(study(corpora=corpora), tmp_path, None).per_rule
    assert "prepare_corpus" not in counted
    assert sum(counted.values()) == sum(GRID.values())


def test_sums_are_those_of_the_models_and_what_all_share(tmp_path, capsys):
    found = estimated(capsys, written(tmp_path), "--results", str(tmp_path))
    assert set(found["models"]) == {"one", "two", "shared"}
    for key, total in found["total"].items():
        assert total == pytest.approx(sum(part[key] for part in found["models"].values())), key
    assert found["total"]["jobs"] == sum(GRID.values())
    assert found["total"]["gpu_h"] == found["total"]["gpu_kwh"] == 0
    assert found["gpu"] is None
    grams = found["carbon"]["g_per_kwh"]
    kwh = found["total"]["node_kwh"]
    assert found["total"]["co2_kg"] == pytest.approx(kwh * grams / 1000)


def test_co2_is_that_of_the_studys_boundary(tmp_path, capsys):
    for boundary, column in (("gpu", "gpu_kwh"), ("node", "node_kwh")):
        file = written(tmp_path, **ON_A_GPU, energy={"boundary": boundary})
        found = estimated(capsys, file, "--gpu", "h100", "--results", str(tmp_path))
        kg = found["total"][column] * found["carbon"]["g_per_kwh"] / 1000
        assert found["total"]["co2_kg"] == pytest.approx(kg)
        assert found["total"]["node_kwh"] > found["total"]["gpu_kwh"] > 0


def test_gpu_hours_are_of_jobs_that_compute(tmp_path):
    """As the rules place them: weights that are only cut or copied need no GPU."""
    plan = planned(study(**ON_A_GPU), tmp_path)
    made = {job.id: job.computes for job in plan.jobs if job.rule == "quantise"}
    assert made == {f"m--{p}--{q}": q == "nf4" for p in ("full", "last1") for q in ("fp32", "nf4")}
    others = {job.rule for job in plan.jobs if job.computes} - {"quantise"}
    assert others == {"generate"}
    held_s = sum(job.size.job_s for job in plan.jobs if job.computes)
    found = sum_jobs(plan.jobs, plan, 100.0, 268.0)
    assert found.gpu_h == pytest.approx(held_s / 3600)
    assert 0 < found.gpu_h < found.job_h


def test_a_model_that_is_in_the_table_is_known_before_it_is_fetched(tmp_path):
    plan = planned(study(**ON_A_GPU), tmp_path)
    facts = plan.models["m"]
    assert facts.downloads
    assert facts.stored_bytes == 2 * 1_543_714_304
    assert not plan.notes
    assert all(job.size is not None for job in plan.jobs)


@pytest.mark.parametrize(
    ("repo", "gib"),
    [
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", 5.19),
        ("Qwen/Qwen2.5-1.5B-Instruct-GPTQ-Int4", 1.071),
    ],
)
def test_a_published_quantised_checkpoint_has_the_size_of_its_files(tmp_path, repo, gib):
    """The sizes (GiB) are those that users of these checkpoints report of their files."""
    facts = planned(study(**{**ON_A_GPU, "models": [{**HUB, "repo": repo}]}), tmp_path).models["m"]
    assert facts.stored_bytes / 2**30 == pytest.approx(gib, rel=0.005)
    assert facts.config["quantization_config"]["group_size"] == 128


def test_a_model_that_nobody_knows_is_said_and_not_counted(tmp_path, capsys):
    unknown = {**HUB, "id": "new", "repo": "someone/new-model"}
    file = written(tmp_path, **{**ON_A_GPU, "models": [HUB, unknown]})
    found = estimated(capsys, file, "--results", str(tmp_path))
    fetch = f"snakemake {tmp_path}/small/models/new/manifest.json"
    assert found["unknown"] == {
        "new": "the configuration of someone/new-model is unknown before it is downloaded; "
        f"`{fetch}` downloads it"
    }
    assert found["models"]["new"]["unknown"] == found["models"]["new"]["jobs"] == 21
    assert found["models"]["new"]["gpu_h"] == 0
    assert main(["estimate", str(file), "--results", str(tmp_path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "NOT COUNTED: new (21 jobs): the configuration of someone/new-model is unknown" in text


def test_a_fetched_model_is_read_from_its_files(tmp_path, tiny_model):
    """By the study's manifest, and by the hub's cache at the pinned commit."""
    weights = tiny_model("qwen2")
    stored = sum(path.stat().st_size for path in weights.glob("*.safetensors"))
    values = study(**{**ON_A_GPU, "models": [{**HUB, "repo": "someone/new-model"}]})
    described = {"directory": str(weights), "files": describe_files(weights)}
    source = json.loads(planned(values, tmp_path).grid.model_slice("m"))
    record = model_record(weights=described, source=source)
    write_json(tmp_path / "small/models/m/manifest.json", record)
    facts = planned(values, tmp_path).models["m"]
    assert (facts.stored_bytes, facts.config["model_type"]) == (stored, "qwen2")
    assert not facts.downloads


def test_the_record_of_a_replaced_model_is_not_read(tmp_path, tiny_model):
    described = {"directory": str(tiny_model("llama")), "files": {}}
    write_json(tmp_path / "small/models/m/manifest.json", model_record(weights=described))
    facts = planned(study(**ON_A_GPU), tmp_path).models["m"]
    assert (facts.config["model_type"], facts.downloads) == ("qwen2", True)


def test_the_hubs_cache_is_looked_into(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "hub/models--someone--new-model/snapshots"
    folder.mkdir(parents=True)
    (folder / ("0" * 40)).symlink_to(tiny_model("llama"))
    values = study(**{**ON_A_GPU, "models": [{**HUB, "repo": "someone/new-model"}]})
    assert planned(values, tmp_path).models["m"].config["model_type"] == "llama"


def test_a_model_type_and_a_benchmark_of_unknown_size_are_said(tmp_path):
    bert = {"id": "b", "source": "architecture", "config": {"model_type": "bert"}}
    plan = planned(study(**{**ON_A_GPU, "models": [bert]}), tmp_path)
    assert plan.notes["b"].startswith("model type 'bert': its size is unknown; allowed: starcoder2")


def test_pruned_and_packed_variants_are_sized_as_such(tmp_path):
    plan = planned(study(**ON_A_GPU), tmp_path)
    disk = {job.id: job.size.disk_bytes for job in plan.jobs if job.rule == "quantise"}
    assert disk["m--full--fp32"] == 0, "the model's own files are used"
    whole, cut = (plan.models["m"].architecture(removed) for removed in (0, 1))
    assert disk["m--last1--fp32"] == pytest.approx(2 * cut.parameters, rel=0.01)
    packed = weight_bytes(whole, {**ON_A_GPU["precisions"][1]}).total
    assert disk["m--full--nf4"] == pytest.approx(packed, rel=0.01)


def test_rules_can_ask_for_the_resources_of_a_job(tmp_path):
    plan = planned(study(**ON_A_GPU), tmp_path)
    cell = plan.grid.cells[0].id
    asked = plan.resources("generate", cell)
    assert set(asked) == {"mem_mb", "runtime_min", "disk_mb", "vram_bytes"}
    assert asked["mem_mb"] * 1e6 > plan.models["m"].stored_bytes
    with pytest.raises(KeyError):
        plan.resources("generate", "none")


@pytest.mark.parametrize("path", sorted((REPOSITORY / "config/studies").glob("*.yaml")))
def test_every_study_here_can_be_estimated(path, capsys, tmp_path):
    assert main(["estimate", str(path), "--results", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert f"{load_study(path).study} on " in text
    assert "NOT COUNTED" not in text
    assert "Assumptions" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpu", "b999"], "GPU 'b999' is not in the table of GPUs; allowed: t4"),
        (["--gpus", "0"], "--gpus 0: not allowed; allowed: 1 or more"),
        (["--gpu", "none"], "--gpu none: the study's device is 'cuda'; allowed: a GPU's name"),
        (["--host-w", "-500"], "--host-w -500: not allowed; allowed: a finite number, 0 or more"),
        (["--host-w", "nan"], "--host-w nan: not allowed; allowed: a finite number, 0 or more"),
        (["--host-w", "inf"], "--host-w inf: not allowed; allowed: a finite number, 0 or more"),
        (["--gpu", ""], "GPU '' is not in the table of GPUs; allowed: t4"),
    ],
)
def test_bad_options_are_one_line(tmp_path, capsys, options, message):
    assert main(["estimate", str(written(tmp_path, **ON_A_GPU)), *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"codewatt: {message}")
    assert error.count("\n") == 1


def test_an_unknown_method_is_one_line(tmp_path, monkeypatch):
    plan = planned(study(**ON_A_GPU), tmp_path)
    with pytest.raises(CodewattError, match="precision method 'qat': its size is unknown"):
        weight_bytes(plan.models["m"].architecture(), {"method": "qat", "compute_dtype": "float16"})


def test_the_work_of_planning_grows_no_faster_than_the_number_of_cells(tmp_path):
    """Counted in calls of Python functions: time depends on the machine and its load."""

    def calls_and_jobs(models: int) -> tuple[int, int]:
        prunes = [{"id": "full", "method": "none"}] + [
            {"id": f"last{n}", "method": "last", "layers": n} for n in range(1, 10)
        ]
        values = study(
            **{**ON_A_GPU, "models": [{**HUB, "id": f"m{n}"} for n in range(models)]},
            prunes=prunes,
            token_limits=[64, 128, 256, 512, 1024],
            batch_sizes=[1, 8, 16, 32, 64],
        )
        grid = Grid(validate(Study, values, "study.yaml"))
        assert len(grid.cells) == 500 * models
        calls = itertools.count()

        def count(frame, event, argument):
            if event == "call":
                next(calls)

        sys.setprofile(count)
        try:
            plan = Plan(grid, Paths.of(tmp_path, grid.study), {None: get_gpu("l40s")}, 8)
            wall_h(plan.jobs, plan, 8)
        finally:
            sys.setprofile(None)
        return next(calls), len(plan.jobs)

    calls_and_jobs(1)  # fills caches
    (few, _), (many, jobs) = calls_and_jobs(2), calls_and_jobs(8)
    assert many < 5 * few
    assert jobs == 3 * 4000 + 2 * 160 + 8 + 2 + 6


def test_it_needs_no_torch(tmp_path):
    code = (
        "import sys; from codewatt.cli import main; main(sys.argv[1:]); "
        "print([m for m in ('torch', 'transformers', 'pandas', 'numpy') if m in sys.modules])"
    )
    file = REPOSITORY / "config/studies/de-reus-2024.yaml"
    command = [sys.executable, "-c", code, "estimate", str(file), "--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
