"""Each way in which Snakemake on Slurm was seen to misplace a job, tried on purpose: refused."""

import pytest

pytestmark = pytest.mark.cluster


@pytest.fixture
def refused(bench):
    """refused(words, *arguments): the run fails with these words, and nothing was submitted."""

    def check(words, *arguments):
        before = {job.id for job in bench.slurm.queue()}
        done = bench.snakemake(*arguments, check=False)
        assert done.returncode != 0
        assert words in done.stdout, done.stdout[-3000:]
        assert "has been submitted" not in done.stdout
        assert {job.id for job in bench.slurm.queue()} == before

    return check


AGAIN = ("--forcerun", "generate", "--jobs", "2")


def test_a_profile_that_replaces_set_resources(bench, refused):
    profile = bench.root / "elsewhere"
    profile.mkdir()
    (profile / "profile.yaml").write_text(
        "set-resources:\n  generate:\n    slurm_partition: cpu\n    gres: \"''\"\n"
    )
    refused(
        "codewatt: set-resources: generate:slurm_partition is refused",
        "--workflow-profile", "elsewhere", *AGAIN,
    )  # fmt: skip


def test_a_flag_that_replaces_default_resources(refused):
    refused(
        "codewatt: default-resources: slurm_partition is refused",
        "--default-resources", "slurm_partition=cpu", *AGAIN,
    )  # fmt: skip


def test_a_replaced_block_takes_no_placement_with_it(bench):
    """Where jobs go stands in the rules: a block of memory alone changes nothing else."""
    said = bench.snakemake(
        "-n", "--forcerun", "generate", "--set-resources", "generate:mem_mb=5000"
    ).stdout
    asked = [line for line in said.splitlines() if "resources:" in line and "mem_mb=5000" in line]
    assert len(asked) == 4
    assert sum("gres=gpu:l40s:1, slurm_partition=gpu_l40s" in line for line in asked) == 2
    assert sum("gres=gpu:a100:1, slurm_partition=gpu_a100" in line for line in asked) == 2


def test_a_job_array(refused):
    refused("slurm-array-jobs is refused", "--slurm-array-jobs", "generate", *AGAIN)


def test_a_typing_error_in_an_expression(refused):
    refused(
        "mem_mb", "--set-resources", "generate:mem_mb=config['mem'] * atempt", *AGAIN
    )  # taken as text by Snakemake, which is no memory
    refused(
        "set-resources: no rule 'genrate'",
        "--set-resources", "genrate:mem_mb=5000", *AGAIN,
    )  # fmt: skip


def test_a_limit_of_the_whole_run(refused):
    refused("resources: mem_mb is refused", "--resources", "mem_mb=4000", *AGAIN)
    refused("max-threads is refused", "--max-threads", "1", *AGAIN)


def test_gpus_that_may_be_split_over_nodes(refused):
    refused("set-resources: generate:gpu is refused", "--set-resources", "generate:gpu=1", *AGAIN)


def test_a_gres_that_the_executor_would_not_take(bench, refused):
    good = bench.site
    bad = {"machine": {**good["machine"], "hardware": dict(good["machine"]["hardware"])}}
    bad["machine"]["hardware"]["l40s"] = {"gres": "gpu:l40s:1,lscratch:9", "threads": 2}
    bench.write_site(bad)
    try:
        refused(
            "machine.hardware.l40s.gres: 'gpu:l40s:1,lscratch:9' is not allowed; allowed: gpu:",
            *AGAIN,
        )
    finally:
        bench.write_site(good)


def test_gpu_jobs_in_a_group(refused):
    refused("groups: generate is refused", "--groups", "generate=all", *AGAIN)


def test_cores_that_override_a_rules_threads(refused):
    refused(
        "default-resources: cpus_per_task is refused",
        "--default-resources", "cpus_per_task=1", *AGAIN,
    )  # fmt: skip


def test_hardware_that_the_site_does_not_know(bench, refused):
    before = bench.study_file.read_text()
    bench.study_file.write_text(before.replace("- a100", "- h100"))
    try:
        refused("study.yaml: hardware: 'h100' has no entry in machine.hardware", *AGAIN)
    finally:
        bench.study_file.write_text(before)


def test_a_job_that_finds_another_gpu_measures_nothing(bench):
    """By hand, into an allocation on the A100 node, a cell that names the L40S."""
    cell = bench.cell("fp32", "l40s")
    before = (bench.root / cell).read_bytes()
    target = [str(cell), "--force", "--cores", "2", "--configfile", "site.yaml"]
    by_hand = ["snakemake", *target, "--config", "study=study.yaml"]
    command = ["sbatch", "--wait", "--partition", "gpu_a100", "--gres", "gpu:a100:1"]
    bench.slurm.run(*command, "--mem", "4000", "--chdir", str(bench.root), "--output", "hand.log",
                    "--wrap", " ".join(by_hand), expect=1)  # fmt: skip
    log = bench.root / "results/small/logs/generate" / f"{cell.parent.name}.log"
    assert "on a10001 holds gpu:a100:1, not gpu:l40s:1; nothing was meas" in log.read_text()
    assert not (bench.root / cell).exists() or (bench.root / cell).read_bytes() == before
