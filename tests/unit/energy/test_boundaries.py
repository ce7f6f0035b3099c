"""Node, job and GPU: three boundaries that are never mixed; and what a job holds of a node."""

from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.boundaries import BOUNDARIES, PARTS, Boundaries
from codewatt.energy.cpu_share import job_cpu_share

watts = st.floats(0, 1e6)


@given(gpu=watts, cpu=watts, dram=watts, share=st.floats(0, 1))
def test_the_gpu_is_in_the_job_and_the_job_in_the_node(
    gpu: float, cpu: float, dram: float, share: float
) -> None:
    found = Boundaries(True, share).add({"gpu": gpu, "cpu": cpu, "dram": dram})
    assert found["gpu"] <= found["job"] <= found["node"] * (1 + 1e-12)
    assert found["node"] == pytest.approx(gpu + cpu + dram)
    assert found["job"] == pytest.approx(gpu + share * (cpu + dram))


@pytest.mark.parametrize("missing", ["gpu", "cpu", "dram"])
def test_a_part_without_a_figure_leaves_the_sum_without_one(missing: str) -> None:
    parts: dict[str, float | None] = {"gpu": 1.0, "cpu": 2.0, "dram": 3.0, missing: None}
    found = Boundaries(True, 1.0).add(parts)
    assert (found["node"], found["job"]) == (None, None)


def test_a_job_without_gpu_has_a_node_and_no_gpu() -> None:
    found = Boundaries(False, 0.5).add({"cpu": 2.0, "dram": 4.0})
    assert found == {"gpu": None, "cpu": 2.0, "dram": 4.0, "node": 6.0, "job": 3.0}


def test_an_unknown_share_has_no_job_figure() -> None:
    found = Boundaries(False, None)
    assert found.add({"cpu": 2.0, "dram": 4.0})["job"] is None
    measured = {"status": "measured", "method": "", "detail": None}
    status = found.status(
        {"gpu": {**measured, "status": "unavailable"}, "cpu": measured, "dram": measured}
    )
    assert set(status) == set(PARTS)
    assert status["node"]["status"] == "measured"
    assert status["job"]["status"] == "unavailable"


@pytest.mark.parametrize(
    ("gpu", "cpu", "expected"),
    [
        ("measured", "measured", "measured"),
        ("measured", "modelled", "modelled"),
        ("modelled", "unavailable", "unavailable"),
    ],
)
def test_a_sum_is_worth_as_much_as_its_worst_part(gpu: str, cpu: str, expected: str) -> None:
    components = {
        name: {"status": status, "method": "", "detail": None}
        for name, status in (("gpu", gpu), ("cpu", cpu), ("dram", "measured"))
    }
    assert Boundaries(True, 1.0).status(components)["node"]["status"] == expected


def test_a_study_may_choose_every_boundary_that_there_is() -> None:
    """The study's file is read by a room that may not ask this one."""
    allowed = get_args(EnergySettings.model_fields["boundary"].annotation)
    assert allowed == BOUNDARIES


def test_a_studys_boundary_decides_what_is_known(bench: Any, measured: Any) -> None:
    bench.drop("rapl", "codecarbon")
    cell = measured()
    assert cell["runs"][0]["energy_j"]["node"] is None
    assert cell["valid"] is False
    assert "no value, because the energy of cpu, dram is unavailable" in str(
        [e["detail"] for e in cell["checks"] if e["name"] == "energy_known"]
    )
    assert measured(boundary="gpu")["valid"] is True


def test_a_machine_of_its_own(tmp_path: Path) -> None:
    found = job_cpu_share({}, processors=8, affinity=8, cgroup=tmp_path)
    assert (found["share"], found["source"]) == (1.0, "whole machine")


@pytest.mark.parametrize(
    ("job", "slurm", "linux", "affinity", "share"),
    [
        (72, 72, 72, 8, 1.0),  # taken exclusively; the step may run on eight
        (64, 64, 128, 128, 1.0),  # Slurm counts cores
        (62, 62, 64, 8, 1.0),  # two are Slurm's own
        (8, 64, 128, 16, 0.125),
        (18, 72, 72, 72, 0.25),
        (18, 72, 72, 2, 0.25),  # of which nobody else can have sixteen
    ],
)
def test_a_job_of_slurm_holds_its_part_of_what_slurm_has(
    tmp_path: Path, job: int, slurm: int, linux: int, affinity: int, share: float
) -> None:
    step = {"SLURM_CPUS_ON_NODE": "8", "CODEWATT_JOB_CPUS": f"{job}(x1)"}
    found = job_cpu_share(
        step, processors=linux, affinity=affinity, cgroup=tmp_path, slurm_processors=slurm
    )
    assert (found["share"], found["processors_held"]) == (share, share * linux)
    assert found["source"] == ("whole machine" if share == 1.0 else "slurm")


def test_a_whole_node_is_the_jobs_where_slurm_does_not_answer_too(tmp_path: Path) -> None:
    step = {"SLURM_CPUS_ON_NODE": "8", "CODEWATT_JOB_CPUS": "72(x1)"}
    found = job_cpu_share(step, processors=72, affinity=8, cgroup=tmp_path)
    assert (found["share"], found["processors_held"]) == (1.0, 72)
    assert found["slurm_processors"] is None, "it can be told from a share by Slurm's own number"


def test_the_narrowest_of_affinity_quota_and_slurm_counts(tmp_path: Path) -> None:
    slurm = {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "18"}
    found = job_cpu_share(slurm, processors=72, affinity=72, cgroup=tmp_path)
    assert (found["share"], found["source"]) == (0.25, "slurm")
    assert found["slurm"]["SLURM_JOB_ID"] == "7"
    found = job_cpu_share(slurm, processors=72, affinity=9, cgroup=tmp_path)
    assert (found["share"], found["source"]) == (0.125, "affinity")
    (tmp_path / "cpu.max").write_text("360000 100000\n")
    found = job_cpu_share(slurm, processors=72, affinity=9, cgroup=tmp_path)
    assert (found["share"], found["source"]) == (0.05, "cgroup quota")


@pytest.mark.parametrize("text", ["max 100000", "", "x y", "100 0"])
def test_a_quota_that_sets_no_limit_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert job_cpu_share({}, processors=4, affinity=4, cgroup=tmp_path)["share"] == 1.0


def test_the_quota_is_that_of_the_processs_own_cgroup_and_those_above_it(tmp_path: Path) -> None:
    own, job = tmp_path / "own", tmp_path / "system.slice" / "job.scope"
    job.mkdir(parents=True)
    own.write_text("0::/system.slice/job.scope\n")
    (job / "cpu.max").write_text("max 100000\n")
    (job.parent / "cpu.max").write_text("200000 100000\n")
    found = job_cpu_share({}, processors=64, affinity=64, cgroup=tmp_path, own_cgroups=own)
    assert (found["share"], found["source"]) == (2 / 64, "cgroup quota")
    own.write_text("4:cpu,cpuacct:/slurm/job7\n1:memory:/elsewhere\n")
    folder = tmp_path / "cpu" / "slurm" / "job7"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("100000")
    (folder / "cpu.cfs_period_us").write_text("100000")
    found = job_cpu_share({}, processors=64, affinity=64, cgroup=tmp_path, own_cgroups=own)
    assert found["share"] == 1 / 64


def test_the_quota_of_cgroup_1(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("200000")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert job_cpu_share({}, processors=4, affinity=4, cgroup=tmp_path)["share"] == 0.5
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1")
    assert job_cpu_share({}, processors=4, affinity=4, cgroup=tmp_path)["share"] == 1.0


def test_this_process_holds_something_of_this_machine() -> None:
    found = job_cpu_share()
    assert 0 < found["share"] <= 1
