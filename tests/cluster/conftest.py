"""One cluster and one finished study for all tests here; without Slurm each says how to get it."""

import time

import pytest
from filelock import FileLock
from xdist.scheduler import LoadScopeScheduling

from tests.support.cluster import ClusterBench, one_model
from tests.support.slurm import Slurm, missing


class ByStudy(LoadScopeScheduling):
    """Tests that share a finished study run in one process.

    pytest-xdist 3.8 has the mark xdist_group for this, which does nothing under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "blocks" if "test_blocks.py" in nodeid else "cluster"


def pytest_xdist_make_scheduler(config, log):
    """Two processes: one for the tests of blocks, one for all others."""
    return ByStudy(config, log)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """The test cluster; each process of pytest-xdist has one of its own."""
    if (why := missing()) is not None:
        pytest.skip(why)
    # Until its daemons listen, another process could choose the same ports.
    with FileLock(tmp_path_factory.getbasetemp().parent / "slurm.lock"):
        cluster = Slurm(tmp_path_factory.mktemp("slurm"))
        cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def bench(slurm, repository, tmp_path_factory):
    """A study over two GPU models, run to its end; slurmctld is restarted on the way."""
    bench = ClusterBench(repository, tmp_path_factory.mktemp("cluster"), slurm)
    bench.write_study(one_model("l40s", "a100"))
    earlier = {job.id for job in slurm.accounts()}
    run = bench.start("--jobs", "4")
    try:
        bench.wait_for(bench.cell("fp32", "l40s"))
        slurm.stop_controller()
        time.sleep(5)
        slurm.start_controller()
        assert run.wait(timeout=1500) == 0, bench.said()
    finally:
        run.kill()
    bench.jobs = [job for job in slurm.accounts() if job.id not in earlier]
    return bench
