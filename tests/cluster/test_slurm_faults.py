"""Whatever happens to jobs: the same command finishes the study, and nothing is lost or doubled."""

import copy
import itertools
import os
import signal
import subprocess

import pytest

from codewatt.files import check_files, read_json, read_jsonl

pytestmark = pytest.mark.cluster

CELLS = [(p, h) for h in ("l40s", "a100") for p in ("fp32", "int8")]
NEEDED = ("generate_all", "--jobs", "4")


@pytest.fixture(scope="module")
def before(bench):
    """What each cell completed before anything happened."""
    return {cell: _completions(bench, cell) for cell in CELLS}


def _completions(bench, cell):
    rows = read_jsonl(bench.root / bench.cell(*cell, "completions.jsonl.gz"))
    return [(row["repeat"], row["task_id"], row["completion"]) for row in rows]


@pytest.fixture
def generated(bench, before):
    """After each test every cell is there, whole, as before, and made by one job at a time."""
    first = {job.id for job in bench.slurm.accounts()}
    yield bench
    assert bench.would_run("generate_all") == set()
    jobs = [job for job in bench.slurm.accounts() if job.id not in first]
    for cell in CELLS:
        path = bench.root / bench.cell(*cell)
        check_files(path.parent, read_json(path)["files"])
        assert _completions(bench, cell) == before[cell]
        assert not [part for part in path.parent.iterdir() if ".part" in part.name]
        spans = sorted(
            (job.start_s, job.end_s)
            for job in jobs
            if path.parent.name in job.comment and job.start_s is not None
        )
        for (_, end_s), (start_s, _) in itertools.pairwise(spans):
            assert end_s <= start_s, "two jobs at once wrote the same cell"


def test_node_killed_job_cancelled_out_of_memory_and_time(generated):
    """All in one run; each is tried again by itself (profile: retries), as often as need be.

    The L40S jobs get too little memory at first; then their node dies under them. Of the A100 jobs
    one is cancelled and one hangs until its time is over. How soon the memory is enough depends on
    which moment Slurm looks at, once a second: 2.4 GB, of the fourth try, are.
    """
    bench, slurm = generated, generated.slurm
    good = bench.site
    short = copy.deepcopy(good)
    short["machine"]["hardware"]["l40s"]["mem_mb"] = 600
    bench.write_site(short)
    bench.forget(*(bench.cell(*cell) for cell in CELLS))
    first = {job.id for job in slurm.accounts()}
    run = bench.start(*NEEDED, "--retries", "3")
    try:
        cancelled = bench.wait_for(bench.cell("fp32", "a100"), first)
        slurm.run("scancel", cancelled.id)
        hanging = bench.wait_for(bench.cell("int8", "a100"), first)
        slurm.run("scontrol", "update", f"jobid={hanging.id}", "timelimit=1")
        os.kill(slurm.script_of(hanging), signal.SIGSTOP)
        killed = bench.wait_for(bench.cell("fp32", "l40s"), first, tries=2)
        slurm.kill_node(killed.node)
        assert run.wait(timeout=1500) == 0, bench.said()
        slurm.start_node(killed.node)
        slurm.run("scontrol", "update", f"nodename={killed.node}", "state=resume")
    finally:
        run.kill()
        bench.write_site(good)
    states: dict[str, list[str]] = {}
    for job in sorted(slurm.accounts(), key=lambda job: int(job.id)):
        if job.id not in first:
            cell = job.comment.rpartition("transformers--")[2] + "/" + job.comment.split("--")[2]
            states.setdefault(cell, []).append(job.state.split()[0])
    assert states["a100/fp32"] == ["CANCELLED", "COMPLETED"]
    assert states["a100/int8"] == ["TIMEOUT", "COMPLETED"]
    assert states["l40s/fp32"] in (
        ["FAILED", "NODE_FAIL", "COMPLETED"],
        ["FAILED", "NODE_FAIL", "FAILED", "COMPLETED"],
    )
    assert states["l40s/int8"][0] == "FAILED"
    assert states["l40s/int8"][-1] == "COMPLETED"
    told = [path.read_text() for path in (bench.root / ".snakemake/slurm_logs").rglob("*.log")]
    failed = [*states["l40s/fp32"], *states["l40s/int8"]].count("FAILED")
    assert sum("Exceeded job memory limit" in log for log in told) == failed >= 2


def test_snakemake_killed(generated):
    """Its job runs on; the same command cancels it before it submits the cell again."""
    bench, slurm, cell = generated, generated.slurm, generated.cell("fp32", "l40s")
    bench.forget(cell)
    earlier = {job.id for job in slurm.accounts()}
    run = bench.start(*NEEDED)
    job = bench.wait_for(cell, earlier)
    run.kill()
    run.wait()
    os.kill(slurm.script_of(job), signal.SIGSTOP)  # or it may be done before the next start
    assert [left.id for left in slurm.queue()] == [job.id]
    said = bench.snakemake(*NEEDED).stdout
    assert f"cancelling 1 Slurm jobs of a killed run: {job.id}" in said


def test_file_system_full_in_a_job(generated):
    """No part of a file stays; with room again the same command makes it."""
    bench, cell = generated, generated.cell("int8", "a100")
    folder = bench.root / cell.parent
    for path in folder.iterdir():
        path.unlink()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(folder)])
    if mounted.returncode != 0:
        bench.snakemake(*NEEDED)
        pytest.skip("mounting a small file system is not allowed here")
    try:
        failed = bench.snakemake(*NEEDED, "--retries", "0", check=False)
        left = [path.name for path in folder.iterdir()]
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert failed.returncode != 0
    log = bench.root / "results/small/logs/generate" / f"{folder.name}.log"
    assert "No space left on device" in log.read_text()
    assert left == []
    bench.snakemake(*NEEDED)


def test_snakemake_inside_an_allocation(generated):
    """A job on the CPU node submits the GPU job; the executor warns, and works."""
    bench, cell = generated, generated.cell("fp32", "a100")
    bench.forget(cell)
    bench.slurm.run(
        "sbatch", "--wait", "--partition", "cpu", "--mem", "2000", "--chdir", str(bench.root),
        "--output", "inside.log", "--wrap", " ".join(bench.command(*NEEDED)),
        environment=bench.environment(),
    )  # fmt: skip
    assert "running snakemake in a SLURM job context" in (bench.root / "inside.log").read_text()
    assert read_json(bench.root / cell)["placement"]["slurm"]["node"] == "a10001"
