"""`codewatt estimate`: every job counted, unknown models said, measurements beside, and fast."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from codewatt.cli import main
from codewatt.config.load_study import load_study, validate
from codewatt.config.study import Study
from codewatt.energy.cell_energy import measure_cell
from codewatt.errors import CodewattError
from codewatt.estimate.job_plan import Plan
from codewatt.estimate.job_sums import sum_jobs, wall_h
from codewatt.files import describe_files, read_json, write_json
from codewatt.grid import Grid
from codewatt.paths import Paths
from codewatt.prune_chains import build_chains
from codewatt.sizing.gpu_datasheets import get_gpu
from codewatt.sizing.weight_bytes import weight_bytes
from tests.dag.test_inspect import GRID
from tests.support.estimates import HUB, ON_A_GPU, planned, study
from tests.support.records import generate_record, model_record
from tests.support.workbench import SMALL

REPOSITORY = Path(__file__).resolve().parents[3]
RECORDED = REPOSITORY / "tests/fixtures/energy"


def estimated(capsys, file, *options):
    assert main(["estimate", str(file), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def written(tmp_path, **changes):
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study(**changes), sort_keys=False))
    return file


def test_the_jobs_are_those_that_snakemake_plans(tmp_path):
    """tests/dag/test_inspect.py holds Snakemake's own plan of this study to the same counts."""
    assert planned(SMALL, tmp_path, None).per_rule == GRID


#: `snakemake -n` of the studies of that name, less its target.
PLANNED = {
    "nano-prune": {
        "train_nano": 2, "prepare_benchmark": 1, "compute_expected": 1, "prepare_corpus": 1,
        "check_contamination": 1, "score_layers": 6, "quantise": 24, "generate": 24, "evaluate": 24,
        "measure_making_energy": 24, "measure_energy": 24, "aggregate": 1, "plot": 1,
        "plot_layers": 1, "summarise": 1,
    },
    "starcoder2-3b-quantised": {
        "fetch_model": 1, "prepare_benchmark": 1, "compute_expected": 1, "prepare_corpus": 2,
        "check_contamination": 2, "quantise": 4, "measure_fidelity": 4, "generate": 8,
        "measure_making_energy": 4, "evaluate": 8, "measure_energy": 8, "aggregate": 1, "plot": 1,
        "summarise": 1,
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
    record = model_record(weights=described)
    write_json(tmp_path / "small/models/m/manifest.json", record)
    facts = planned(values, tmp_path).models["m"]
    assert (facts.stored_bytes, facts.config["model_type"]) == (stored, "qwen2")
    assert not facts.downloads


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


def test_what_does_not_fit_is_named_and_takes_no_gpu_time(tmp_path, capsys):
    large = {**HUB, "repo": "Qwen/Qwen2.5-14B"}
    file = written(tmp_path, **{**ON_A_GPU, "models": [large]})
    found = estimated(capsys, file, "--gpu", "a10", "--results", str(tmp_path))
    fp32 = {cell for cell in found["infeasible"] if "--fp32--" in cell}
    assert set(found["infeasible"]) == fp32
    assert len(fp32) == 2
    assert all("the NVIDIA A10 has 24 GB" in why for why in found["infeasible"].values())
    assert main(["estimate", str(file), "--gpu", "a10", "--results", str(tmp_path)]) == 0
    assert "DOES NOT FIT: 2 of 4 cells:" in capsys.readouterr().out


def test_what_may_not_fit_is_asked_for_in_full(tmp_path):
    """The estimate is cautious: such a cell may run, and then needs the time of its whole run."""
    values = study(**{**ON_A_GPU, "models": [{**HUB, "repo": "Qwen/Qwen2.5-14B"}]})
    values["token_limits"] = [1024]
    small, large = planned(values, tmp_path, "a10"), planned(values, tmp_path, "h200")
    assert len(small.infeasible) == 2
    assert not large.infeasible
    for cell in small.infeasible:
        job = next(j for j in small.jobs if (j.rule, j.id) == ("generate", cell))
        asked = small.resources("generate", cell)
        assert asked["runtime_min"] >= 10 + 2 * job.size.job_s / 60
        assert job.size.job_s > 3600 > 60 > job.expected_size.job_s
        on_another = large.resources("generate", cell)
        assert {asked[key] - on_another[key] for key in ("mem_mb", "vram_bytes")} == {0}
    sums = sum_jobs(small.jobs, small, 100.0, 268.0)
    assert sums.job_h == pytest.approx(sum(job.expected_size.job_s for job in small.jobs) / 3600)


def test_each_hardware_is_a_card_of_its_own(tmp_path, capsys):
    """Sums are those of both studies of one card, less the second making of variants."""
    large = {**ON_A_GPU, "models": [{**HUB, "repo": "Qwen/Qwen2.5-14B"}]}
    file = written(tmp_path, **large, hardware=["a10", "h200"])
    found = estimated(capsys, file, "--results", str(tmp_path))
    assert {name: gpu["name"] for name, gpu in found["hardware"].items()} == {
        "a10": "NVIDIA A10", "h200": "NVIDIA H200 SXM 141 GB",
    }  # fmt: skip
    assert "gpu" not in found
    assert {cell.split("--")[-1] for cell in found["infeasible"]} == {"a10"}
    alone = {
        name: estimated(
            capsys, written(tmp_path, **large), "--gpu", name, "--results", str(tmp_path)
        )
        for name in ("a10", "h200")
    }
    cells = {name: one["models"]["m"] for name, one in alone.items()}
    both = planned({**study(**large), "hardware": ["a10", "h200"]}, tmp_path)
    making = [job.size for job in both.jobs if job.rule == "quantise"]
    first = planned(study(**large), tmp_path, "a10").jobs
    assert making == [job.size for job in first if job.rule == "quantise"], "on the first one"
    second = planned(study(**large), tmp_path, "h200").jobs
    made_j = sum(job.size.gpu_j for job in second if job.rule == "quantise")
    total = cells["a10"]["gpu_kwh"] + cells["h200"]["gpu_kwh"] - made_j / 3.6e6
    assert found["models"]["m"]["gpu_kwh"] == pytest.approx(total)
    file = written(tmp_path, **large, hardware=["a10", "h200"])
    assert main(["estimate", str(file), "--results", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("small on NVIDIA A10 and NVIDIA H200 SXM 141 GB: estimate\n")
    assert "DOES NOT FIT: 2 of 8 cells:" in text


def test_gpu_stands_for_hardware_that_is_no_card(tmp_path, capsys):
    def notes(hardware, *options):
        file = written(tmp_path, **ON_A_GPU, hardware=hardware)
        return estimated(capsys, file, "--results", str(tmp_path), *options)

    found = notes(["odd", "a100"], "--gpu", "h100")
    assert [gpu["id"] for gpu in found["hardware"].values()] == ["h100", "a100-40"]
    assert found["notes"][0] == "Hardware odd: estimated as NVIDIA H100 SXM5 80 GB (--gpu)."
    found = notes(["l40s", "a100"], "--gpu", "h100")
    assert [gpu["id"] for gpu in found["hardware"].values()] == ["l40s", "a100-40"]
    assert found["notes"][0] == (
        "--gpu h100 has no effect: all hardware of the study is in the table of GPUs."
    )
    file = written(tmp_path, **ON_A_GPU, hardware=["l40s", "odd"])
    assert main(["estimate", str(file)]) == 1
    assert capsys.readouterr().err.startswith(
        f"codewatt: {file}: hardware: 'odd' is not in the table of GPUs; name a similar GPU with "
        "--gpu; allowed: t4, v100-16"
    )


def test_hardware_is_no_cpu(tmp_path, capsys):
    file = written(tmp_path, **{**ON_A_GPU, "device": "auto"}, hardware=["l40s"])
    assert main(["estimate", str(file), "--gpu", "none"]) == 1
    error = capsys.readouterr().err
    assert error == "codewatt: --gpu none: the study names hardware; allowed: a GPU's name\n"


def test_hardware_whose_cells_are_excluded_needs_no_card(tmp_path, capsys):
    changes = {**ON_A_GPU, "exclude": [{"hardware": "odd"}], "hardware": ["l40s", "odd"]}
    found = estimated(capsys, written(tmp_path, **changes), "--results", str(tmp_path))
    assert list(found["hardware"]) == ["l40s"]


def test_layers_are_scored_on_the_first_hardware_of_a_model(tmp_path):
    prunes = [
        {"id": "full", "method": "none"},
        {"id": "bi", "method": "block_influence", "layers": 1, "calibration": "corpus"},
    ]
    changes = {**ON_A_GPU, "prunes": prunes, "corpora": [{"id": "corpus", "source": "nano"}]}
    values = study(**changes)
    two = {**values, "hardware": ["t4", "h100"]}
    scores = {
        name: next(job.size for job in plan.jobs if job.rule == "score_layers")
        for name, plan in {
            "both": planned(two, tmp_path),
            "t4": planned(values, tmp_path, "t4"),
            "h100": planned(values, tmp_path, "h100"),
        }.items()
    }
    assert scores["both"] == scores["t4"] != scores["h100"]


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


RECORDINGS = {"bf16": "h100_decode_bf16", "nf4": "h100_decode_nf4"}


def whole_record(manifest):
    """A recording of before records had all fields, with the fields that it lacks."""
    base = generate_record()
    parts = {k: {**base[k], **manifest[k]} for k in ("model", "provenance", "sampler", "cell")}
    peak = {"device_bytes": None, "host_bytes": None}
    return {**base, **manifest, **parts, "peak_memory": peak}


@pytest.fixture
def recorded(tmp_path):
    """Results of two cells of starcoder2-3b-metering, as they were recorded on an H100."""
    for precision, name in RECORDINGS.items():
        manifest = read_json(RECORDED / f"{name}.json")
        folder = tmp_path / "starcoder2-3b-metering/cells" / manifest["cell"]["id"]
        energy = measure_cell(manifest, RECORDED / f"{name}.parquet", None, None, {}).record
        whole = whole_record(manifest)
        write_json(folder / "generate.json", whole)
        write_json(folder / "energy.json", {**energy, "cell": whole["cell"], "code": []})
        (folder / "timeline.parquet").write_bytes((RECORDED / f"{name}.parquet").read_bytes())
        assert manifest["cell"]["precision"] == precision
    return tmp_path


def test_what_was_measured_stands_beside_the_estimate(recorded, capsys):
    """On the card that it ran on, time and energy of real jobs are within a factor of 1.4."""
    file = REPOSITORY / "config/studies/starcoder2-3b-metering.yaml"
    found = estimated(capsys, file, "--gpu", "h100", "--results", str(recorded))
    ratios = {ratio["what"]: ratio for ratio in found["measured"]}
    assert set(ratios) == {
        "generate, metered", "generate, GPU energy", "generate, node energy (modelled)",
        "weights and telemetry",
    }  # fmt: skip
    hours, joules = ratios["generate, metered"], ratios["generate, GPU energy"]
    assert hours["jobs"] == joules["jobs"] == 2, "of three cells"
    assert hours["measured"] == pytest.approx((95.95 + 99.54) / 3600, rel=0.001)
    # The repeats' joules (test_replay.py), and some 55 s of loading, warming up and rest.
    repeats_j = 10_816.5 + 11_039.2
    assert repeats_j + 55 * 100 < joules["measured"] * 3.6e6 < repeats_j + 55 * 150
    assert 1 / 1.4 < hours["ratio"] < 1.4
    assert 1 / 1.4 < joules["ratio"] < 1.4
    assert main(["estimate", str(file), "--gpu", "h100", "--results", str(recorded)]) == 0
    assert "Estimated and measured, for the finished jobs" in capsys.readouterr().out


def test_a_cell_that_did_not_run_is_not_compared(recorded, capsys):
    for path in recorded.glob("*/cells/*nf4*/generate.json"):
        write_json(path, {**read_json(path), "status": "infeasible", "reason": "no memory"})
    file = REPOSITORY / "config/studies/starcoder2-3b-metering.yaml"
    found = estimated(capsys, file, "--gpu", "h100", "--results", str(recorded))
    assert {ratio["jobs"] for ratio in found["measured"]} == {1}


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


def test_any_number_of_cards_is_taken(tmp_path, capsys):
    file = written(tmp_path, **ON_A_GPU)
    many, all_of_them = (
        estimated(capsys, file, "--gpus", gpus, "--results", str(tmp_path))["wall_h"]
        for gpus in ("100", "100000000000")
    )
    assert many == all_of_them > 0


def test_a_card_for_a_study_on_cpus_is_refused(tmp_path, capsys):
    for name in ("l40s", ""):
        assert main(["estimate", str(written(tmp_path)), "--gpu", name]) == 1
        said = f"--gpu {name!r}: the study's device is 'cpu'; allowed: none"
        assert said in capsys.readouterr().err


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
    assert jobs == 3 * 4000 + 2 * 160 + 8 + 2 + 3


def test_it_needs_no_torch(tmp_path):
    code = (
        "import sys; from codewatt.cli import main; main(sys.argv[1:]); "
        "print([m for m in ('torch', 'transformers', 'pandas', 'numpy') if m in sys.modules])"
    )
    file = REPOSITORY / "config/studies/de-reus-2024.yaml"
    command = [sys.executable, "-c", code, "estimate", str(file), "--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
