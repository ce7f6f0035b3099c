"""A copy of the project whose Snakemake submits to the test cluster through profiles/slurm."""

import copy
from pathlib import Path
from typing import Any

import yaml

from tests.support.slurm import ACCOUNT, MEMORY_MB, Slurm
from tests.support.workbench import SMALL, Workbench

#: The test cluster's site file. The GPUs have no name, as no NVML answers: the studies' device is
#: cpu, and Slurm's word on the job is what placement is checked by.
SITE: dict[str, Any] = {
    "machine": {
        "account": ACCOUNT,
        "cpu": {"partition": "cpu", "threads": 2, "max_mem_mb": MEMORY_MB},
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


def two_gpus() -> dict[str, Any]:
    """The small study's first model in both precisions, on each of the two GPU models."""
    study = copy.deepcopy(SMALL)
    study["models"] = study["models"][:1]
    study["prunes"] = study["prunes"][:1]
    study["exclude"] = []
    study["hardware"] = ["l40s", "a100"]
    return study


class ClusterBench(Workbench):
    """See Workbench; its Snakemake runs where sbatch would be typed.

    polls: how soon and how often the executor asks for states, in seconds.
    """

    polls = ("1", "1")

    def __init__(self, repository: Path, root: Path, slurm: Slurm) -> None:
        super().__init__(repository, root)
        self.slurm = slurm
        self.write_site(SITE)

    def write_site(self, site: dict[str, Any]) -> None:
        """Make this the cluster's site file."""
        (self.root / "site.yaml").write_text(yaml.safe_dump(site))

    def command(self, *arguments: str) -> list[str]:
        """Snakemake's command line: what docs/cluster.md says, at a test's pace."""
        first, then = self.polls
        pace = ["--slurm-init-seconds-before-status-checks", first]
        pace += ["--seconds-between-status-checks", then, "--latency-wait", "20"]
        profile = ["--profile", "profiles/slurm", "--configfile", "site.yaml"]
        return ["snakemake", *profile, *pace, *arguments, "--config", "study=study.yaml"]

    def environment(self) -> dict[str, str]:
        """With the test cluster's commands."""
        return self.slurm.environment(super().environment())
