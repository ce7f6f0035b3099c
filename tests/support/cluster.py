"""A copy of the project whose Snakemake submits to the test cluster through profiles/slurm."""

import copy
import subprocess
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from tests.support.slurm import ACCOUNT, MEMORY_MB, Job, Slurm
from tests.support.workbench import SMALL, Workbench

#: The test cluster's site file. The GPUs have no name, as no NVML answers: the studies' device is
#: cpu, and Slurm's word on the job is what placement is checked by.
SITE: dict[str, Any] = {
    "machine": {
        "account": ACCOUNT,
        "cpu": {
            "partition": "cpu", "threads": 2, "mem_mb": 4000, "max_mem_mb": MEMORY_MB,
            "runtime_min": 20,
        },
        "hardware": {
            "l40s": {
                "gres": "gpu:l40s:1", "partition": "gpu_l40s", "threads": 2, "mem_mb": 4000,
                "runtime_min": 20, "max_mem_mb": MEMORY_MB,
            },
            "a100": {
                "gres": "gpu:a100:1", "partition": "gpu_a100", "threads": 2, "mem_mb": 4000,
                "runtime_min": 20, "max_mem_mb": MEMORY_MB,
            },
        },
    }
}  # fmt: skip


def one_model(*hardware: str) -> dict[str, Any]:
    """The small study's first model, unpruned, in both precisions, on each of some hardware."""
    study = copy.deepcopy(SMALL)
    study["models"], study["prunes"] = study["models"][:1], study["prunes"][:1]
    study["exclude"], study["hardware"] = [], list(hardware)
    return study


class ClusterBench(Workbench):
    """See Workbench; its Snakemake runs where sbatch would be typed.

    polls: how soon and how often the executor asks for states, in seconds.
    jobs: what sacct told when the study was first done.
    """

    polls = ("1", "1")
    jobs: list[Job]

    def __init__(self, repository: Path, root: Path, slurm: Slurm) -> None:
        super().__init__(repository, root)
        self.slurm = slurm
        self.write_site(SITE)

    def write_site(self, site: dict[str, Any]) -> None:
        """Make this the cluster's site file."""
        self.site = site
        (self.root / "site.yaml").write_text(yaml.safe_dump(site))

    def command(self, *arguments: str) -> list[str]:
        """Snakemake's command line: what docs/how-to/slurm.md says, at a test's pace."""
        first, then = self.polls
        pace = ["--slurm-init-seconds-before-status-checks", first]
        pace += ["--seconds-between-status-checks", then, "--latency-wait", "20"]
        profile = ["--profile", "profiles/slurm", "--configfile", "site.yaml"]
        return ["snakemake", *profile, *pace, *arguments, "--config", "study=study.yaml"]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Snakemake in the background; its output goes to run.log of the copy."""
        with (self.root / "run.log").open("w") as log:
            return subprocess.Popen(
                self.command(*arguments),
                cwd=self.root,
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def said(self) -> str:
        """The end of what the Snakemake in the background printed."""
        return (self.root / "run.log").read_text()[-6000:]

    def cell(self, precision: str, hardware: str, name: str = "generate.json") -> Path:
        """A file of a cell, below the copy."""
        asked = "nano--stripped--t24--b2--transformers"
        return Path(f"results/small/cells/one--full--{precision}--{asked}--{hardware}") / name

    def forget(self, *cells: Path) -> None:
        """Take away the manifests of cells, so that they have to be generated again."""
        for path in cells:
            (self.root / path).unlink()

    def wait_for(self, path: Path, earlier: Collection[str] = (), tries: int = 1) -> Job:
        """Wait until a cell's script is at work; its job.

        earlier: ids of jobs that count for nothing; tries: which of the others is waited for.
        """
        deadline = time.monotonic() + 600
        while (job := self._at_work(path, earlier, tries)) is None:
            assert time.monotonic() < deadline, f"{path} was not begun"
            time.sleep(0.2)
        return job

    def _at_work(self, path: Path, earlier: Collection[str], tries: int) -> Job | None:
        log = self.root / "results/small/logs/generate" / f"{path.parent.name}.log"
        queue = self.slurm.queue("--states=all")
        jobs = [j for j in queue if path.parent.name in j.comment and j.rule == "generate"]
        tried = sorted(int(job.id) for job in jobs if job.id not in earlier)
        for job in jobs:
            if job.state == "RUNNING" and tried[tries - 1 :] == [int(job.id)]:
                started = log.exists() and log.stat().st_mtime >= (job.start_s or 0)
                return job if started else None
        return None

    def environment(self) -> dict[str, str]:
        """With the test cluster's commands."""
        return self.slurm.environment(super().environment())
