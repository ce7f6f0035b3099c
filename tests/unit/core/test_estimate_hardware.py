"""`codewatt estimate` of studies that name hardware: each GPU with its own times and limits."""

import pytest

from codewatt.cli import main
from codewatt.estimate.job_sums import sum_jobs
from tests.support.estimates import HUB, ON_A_GPU, estimated, planned, study, written


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
