"""A study over two GPU models on a real Slurm: every job where its cell says, tables as locally."""

import subprocess

import pandas as pd
import pytest

from codewatt.files import read_json
from tests.support.cluster import one_model
from tests.support.workbench import SAME, Workbench

pytestmark = pytest.mark.cluster

HARDWARE = ("l40s", "a100")


@pytest.fixture(scope="module")
def jobs(bench):
    """What sacct says of every job that the study took."""
    return [job for job in bench.jobs if job.comment.startswith("rule_")]


@pytest.fixture(scope="module")
def local(repository, tmp_path_factory):
    """The same study on this machine, its hardware not named."""
    bench = Workbench(repository, tmp_path_factory.mktemp("local"))
    bench.write_study(one_model())
    bench.snakemake("--cores", "all", "aggregate_all")
    return bench.root / "results/small/tables"


def test_each_job_ran_once(jobs):
    counted = pd.Series([job.rule for job in jobs]).value_counts().to_dict()
    assert counted == {
        "train_nano": 1,
        "compute_expected": 1,
        "quantise": 2,
        "measure_making_energy": 2,
        "generate": 4,
        "evaluate": 4,
        "measure_energy": 4,
        "aggregate": 1,
        "shown_plot_plot_power_statistical_tests_summarise": 1,
        "explore": 1,
    }
    assert {job.state for job in jobs} == {"COMPLETED"}


@pytest.mark.parametrize("hardware", HARDWARE)
def test_each_gpu_job_ran_on_the_node_that_its_cell_names(jobs, hardware):
    chosen = [job for job in jobs if job.rule == "generate" and job.comment.endswith(hardware)]
    assert len(chosen) == 2
    for job in chosen:
        assert job.node.startswith(hardware)
        assert job.partition == f"gpu_{hardware}"
        assert f"gres/gpu:{hardware}=1" in job.tres


def test_a_variant_is_made_once_on_the_first_gpu_that_needs_it(jobs):
    made = {job.comment.rpartition("--")[2]: job for job in jobs if job.rule == "quantise"}
    assert made["int8"].node.startswith("l40s")
    assert "gres/gpu:l40s=1" in made["int8"].tres
    assert made["fp32"].node == "cpu01", "nothing is computed for it"


def test_no_other_job_held_a_gpu(jobs):
    for job in jobs:
        if job.rule not in ("quantise", "generate"):
            assert (job.node, job.partition) == ("cpu01", "cpu")
            assert "gres/gpu" not in job.tres


def test_results_say_where_they_were_made(bench):
    by_id = {job.id: job for job in bench.slurm.accounts()}
    for path in (bench.root / "results/small/cells").glob("*/generate.json"):
        manifest = read_json(path)
        slurm, asked = manifest["placement"]["slurm"], manifest["cell"]["hardware"]
        job = by_id[slurm["job_id"]]
        assert (slurm["node"], slurm["partition"]) == (job.node, job.partition)
        assert slurm["gres"] == f"gpu:{asked}:1"
        environment = manifest["provenance"]["environment"]
        assert environment["SLURMD_NODENAME"] == job.node
        assert environment["CUDA_VISIBLE_DEVICES"] == slurm["gpu_indices"]
        host = next(meter for meter in manifest["meters"] if meter["name"] == "host")
        assert host["facts"]["allocation"]["slurm"]["SLURM_JOB_ID"] == job.id


def test_two_jobs_of_a_node_never_had_the_same_gpu_at_once(bench):
    by_id = {job.id: job for job in bench.slurm.accounts()}
    held = []
    for path in (bench.root / "results/small/cells").glob("*/generate.json"):
        slurm = read_json(path)["placement"]["slurm"]
        held.append((slurm["node"], slurm["gpu_indices"], by_id[slurm["job_id"]]))
    for number, (node, gpu, job) in enumerate(held):
        for other_node, other_gpu, other in held[number + 1 :]:
            if (node, gpu) == (other_node, other_gpu):
                assert job.end_s <= other.start_s or other.end_s <= job.start_s


@pytest.mark.parametrize("hardware", HARDWARE)
@pytest.mark.parametrize("level", [level for level in SAME if level != "variant"])
def test_tables_are_those_of_a_local_run(bench, local, level, hardware):
    table = pd.read_parquet(bench.root / f"results/small/tables/{level}.parquet")
    rows = table[table["hardware"] == hardware].reset_index(drop=True)
    rows["cell_id"] = rows["cell_id"].str.removesuffix(f"--{hardware}")
    alone = pd.read_parquet(local / f"{level}.parquet")
    assert len(rows) > 0
    assert list(rows.columns) == list(alone.columns)
    pd.testing.assert_frame_equal(rows[SAME[level]], alone[SAME[level]])


def test_variants_are_those_of_a_local_run(bench, local):
    found, wanted = (
        pd.read_parquet(folder / "variant.parquet")[SAME["variant"]]
        for folder in (bench.root / "results/small/tables", local)
    )
    pd.testing.assert_frame_equal(found, wanted)


def test_a_cell_is_compared_with_the_baseline_on_its_own_gpu(bench):
    table = pd.read_parquet(bench.root / "results/small/tables/cell.parquet")
    for _, row in table.iterrows():
        assert row["baseline_cell_id"].endswith(f"--{row['hardware']}")


def test_nothing_is_left_to_do(bench):
    assert bench.would_run() == set()


def test_the_site_file_fits(bench):
    site = {**bench.site, "machine": {**bench.site["machine"]}}
    site["machine"]["hardware"] = {
        name: {**entry, "gpu_name": "NVIDIA .*"}
        for name, entry in site["machine"]["hardware"].items()
    }
    assert _checked(bench, site) == (0, [])
    site["machine"]["hardware"]["l40s"]["gres"] = "gpu:L40S:1"
    site["machine"]["cpu"] = {"partition": "gpus", "threads": 2}
    code, said = _checked(bench, site)
    assert code == 1
    assert [line.split(": ")[2] for line in said] == [
        "machine.cpu.partition",
        "machine.hardware.l40s.gres",
    ]


def _checked(bench, site):
    """(exit code, lines of what does not fit) of `codewatt site check`."""
    import yaml

    (bench.root / "checked.yaml").write_text(yaml.safe_dump(site))
    done = subprocess.run(
        ["codewatt", "site", "check", "--site", "checked.yaml"],
        cwd=bench.root,
        env={**bench.environment(), "PYTHONPATH": str(bench.root / "src")},
        capture_output=True,
        text=True,
    )
    return done.returncode, [f"codewatt: {line}" for line in done.stderr.splitlines()]
