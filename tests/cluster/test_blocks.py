"""Two sessions on a real Slurm: the cells of a block share one job, one node and one GPU.

The job of the first session is cancelled during its second cell. Its retry measures that cell and
takes over the first one. In two more sessions Snakemake is killed. All is proven from sacct and
from what the cells recorded.
"""

import copy
import os
import time

import pytest

from codewatt.config.load_study import load_study
from codewatt.files import check_files, read_json
from codewatt.grid import Grid
from codewatt.session_order import in_drawn_order
from tests.support.cluster import SITE, ClusterBench, one_model
from tests.support.patience import PATIENCE_S
from tests.support.workbench import jobs_in

pytestmark = pytest.mark.cluster

STUDY = {
    **one_model("l40s"),
    "benchmarks": [{"id": "nano", "kind": "nano", "tasks": 4}],
    "token_limits": [12],
    "decoding": {"repeats": 1},
    "sessions": 2,
    "order_seed": 1,
}


#: More than the machine that submits has, which must not limit the job.
THREADS = (os.cpu_count() or 1) + 1


@pytest.fixture(scope="module")
def blocks(slurm, repository, tmp_path_factory):
    """The study after its run, with what sacct says of its jobs."""
    bench = ClusterBench(repository, tmp_path_factory.mktemp("blocks"), slurm)
    bench.write_study(STUDY)
    site = copy.deepcopy(SITE)
    site["machine"]["hardware"]["l40s"]["threads"] = THREADS
    bench.write_site(site)
    earlier = {job.id for job in slurm.accounts()}
    run = bench.start("generate_all", "--jobs", "4")
    try:
        job = _wait_until_measuring(bench, _drawn(bench, 1)[1], run)
        slurm.run("scancel", job)
        assert run.wait(timeout=PATIENCE_S) == 0, bench.said()
    finally:
        run.kill()
    bench.jobs = [job for job in slurm.accounts() if job.id not in earlier]
    bench.cancelled = job
    return bench


def _drawn(bench, session):
    """The cells of a session in their drawn order."""
    grid = Grid(load_study(bench.study_file))
    return in_drawn_order(grid.in_session(session), STUDY["order_seed"])


def _wait_until_measuring(bench, cell, run):
    """Wait until a cell's script writes its log; the id of the Slurm job of its block."""
    log = bench.root / "results/small/logs/generate" / f"{cell.id}.log"
    deadline = time.monotonic() + PATIENCE_S
    while not log.exists():
        assert run.poll() is None, bench.said()
        assert time.monotonic() < deadline, bench.said()
        time.sleep(0.2)
    running = [
        job.id for job in bench.slurm.queue()
        if job.state == "RUNNING" and f"session_{cell.session}_generate" in job.rule
    ]  # fmt: skip
    assert len(running) == 1
    return running[0]


def _record(bench, cell):
    return read_json(bench.root / "results/small/cells" / cell.id / "generate.json")


def _started_s(record):
    first = min(window["start_s"] for window in record["windows"])
    return first + record["epoch_offset_s"]


def _block_jobs(bench, session):
    return [job for job in bench.jobs if f"session_{session}_generate" in job.rule]


def test_each_session_of_the_block_was_one_job_and_its_retry(blocks):
    states = {
        session: [job.state.split()[0] for job in _block_jobs(blocks, session)]
        for session in (1, 2)
    }
    assert states == {1: ["CANCELLED", "COMPLETED"], 2: ["COMPLETED"]}
    assert not [job for job in blocks.jobs if job.rule == "generate"], "no cell had its own job"


def test_a_block_held_one_gpu_and_the_cores_and_memory_of_one_cell(blocks):
    for session in (1, 2):
        for job in _block_jobs(blocks, session):
            assert job.partition == "gpu_l40s"
            held = dict(part.split("=") for part in job.tres.split(","))
            granted = (held["gres/gpu:l40s"], held["cpu"], held["node"])
            assert granted == ("1", str(THREADS), "1")
            assert held["mem"] in ("4000M", "8000M"), "twice as much in the second attempt"


def test_its_time_limit_is_the_sum_of_its_cells(blocks):
    job = _block_jobs(blocks, 2)[0]
    limit = blocks.slurm.run("sacct", "-X", "-n", "-P", "-j", job.id, "--format=TimelimitRaw")
    assert int(limit) == 2 * 20


def test_the_cells_of_a_session_ran_in_one_job_in_the_drawn_order(blocks):
    job = _block_jobs(blocks, 2)[0]
    records = [_record(blocks, cell) for cell in _drawn(blocks, 2)]
    slurm = [record["placement"]["slurm"] for record in records]
    assert {each["job_id"] for each in slurm} == {job.id}
    assert {each["node"] for each in slurm} == {job.node}
    assert len({each["gpu_indices"] for each in slurm}) == 1
    times = [_started_s(record) for record in records]
    assert times == sorted(times)
    assert job.start_s <= times[0]
    assert times[-1] <= job.end_s
    ends = [max(w["end_s"] for w in r["windows"]) + r["epoch_offset_s"] for r in records]
    assert ends[0] <= times[1], "one after another"


def test_a_finished_cell_of_a_cancelled_job_is_not_measured_again(blocks):
    """Snakemake deletes the outputs of every cell of a failed job; the retry takes them over."""
    first, second = _drawn(blocks, 1)
    cancelled, retried = (job.id for job in _block_jobs(blocks, 1))
    assert cancelled == blocks.cancelled
    assert _record(blocks, first)["placement"]["slurm"]["job_id"] == cancelled
    assert _record(blocks, second)["placement"]["slurm"]["job_id"] == retried
    for cell in (first, second):
        folder = blocks.root / "results/small/cells" / cell.id
        check_files(folder, read_json(folder / "generate.json")["files"])
    log = blocks.root / "results/small/logs/generate" / f"{first.id}.log"
    assert "taken over" in log.read_text()
    assert not (blocks.root / "results/small/.kept").exists()


def test_nothing_is_left_to_do(blocks):
    assert blocks.would_run("generate_all") == set()


def test_a_third_session_runs_exactly_its_jobs(blocks):
    third = {cell.in_session(3).id for cell in _drawn(blocks, 1)}
    blocks.write_study({**STUDY, "sessions": 3})
    try:
        planned = jobs_in(blocks.snakemake("-n", "generate_all").stdout)
    finally:
        blocks.write_study(STUDY)
    assert sorted(planned) == sorted(("generate", name) for name in third)


@pytest.mark.parametrize(("session", "job_fails"), [(3, False), (4, True)])
def test_a_killed_snakemake_loses_no_finished_cell(blocks, session, job_fails):
    """It is killed with the job of the second cell, or when it has deleted both cells."""
    first, second = _drawn(blocks, session)
    outputs = blocks.root / "results/small/cells" / first.id
    blocks.write_study({**STUDY, "sessions": session})
    try:
        run = blocks.start("generate_all", "--jobs", "4")
        try:
            earlier = _wait_until_measuring(blocks, second, run)
            if job_fails:
                blocks.slurm.run("scancel", earlier)
                _wait_until_deleted(outputs / "generate.json")
        finally:
            run.kill()
            run.wait()
        if not job_fails:  # before it has measured the second cell, on a slow machine too
            blocks.slurm.run("scancel", earlier)
        assert (outputs / "generate.json").exists() != job_fails
        blocks.snakemake("generate_all", "--jobs", "4")
    finally:
        blocks.write_study(STUDY)
    assert _record(blocks, first)["placement"]["slurm"]["job_id"] == earlier
    assert _record(blocks, second)["placement"]["slurm"]["job_id"] != earlier
    check_files(outputs, _record(blocks, first)["files"])
    assert not (blocks.root / "results/small/.kept").exists()


def _wait_until_deleted(path):
    deadline = time.monotonic() + PATIENCE_S
    while path.exists():
        assert time.monotonic() < deadline, f"{path} is still there"
        time.sleep(0.05)
