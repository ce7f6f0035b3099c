"""Where a result was made: versions, machine, accelerator and commit, inside every manifest."""

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

from typing_extensions import TypedDict

from codewatt.gpu_uuids import torch_uuid

_PACKAGES = (
    "codewatt",
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "gguf",
    "llama-cpp-python",
    "bitsandbytes",
    "torchao",
    "gptqmodel",
    "autoawq",
    "auto-gptq",
    "evalplus",
    "codecarbon",
    "nvidia-ml-py",
    "numpy",
    "pandas",
    "pyarrow",
    "snakemake",
)
_ENVIRONMENT = (
    "CUDA_VISIBLE_DEVICES",
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_ID",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_PARTITION",
    "SLURM_CPUS_ON_NODE",
    "SLURMD_NODENAME",
    "SLURM_STEP_GPUS",
)


class TorchGpuRecord(TypedDict):
    """The CUDA device of a job, as torch describes it; cuda: torch's CUDA version."""

    name: str
    uuid: str
    memory_bytes: int
    cuda: str | None


class ProvenanceRecord(TypedDict):
    """Where a result was made.

    versions: package -> version, None if it is not installed. cpu: model name, None if unknown.
    gpu: None where torch was not loaded or sees no GPU. commit: of the checkout, "+" appended where
    tracked files were changed; None outside a checkout. environment: CUDA's and Slurm's variables.
    """

    python: str
    versions: dict[str, str | None]
    host: str
    kernel: str
    cpu: str | None
    cpu_count: int | None
    memory_bytes: int
    gpu: TorchGpuRecord | None
    commit: str | None
    environment: dict[str, str]


class CodeRecord(TypedDict):
    """The code that made a record: a line "module digest" for each module that the rule reached."""

    code: list[str]


class MadeRecord(CodeRecord):
    """The fields that `rule_io.write_record` adds to a record: provenance and code digests."""

    provenance: ProvenanceRecord


def provenance() -> ProvenanceRecord:
    """Versions, host, processor, accelerator (if torch is loaded and sees one) and commit."""
    return {
        "python": platform.python_version(),
        "versions": _versions(),
        "host": socket.gethostname(),
        "kernel": platform.release(),
        "cpu": _cpu_name(),
        "cpu_count": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": _gpu(),
        "commit": _commit(),
        "environment": {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    }


@cache
def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _cpu_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or None


def _gpu() -> TorchGpuRecord | None:
    """The current CUDA device; None where torch is not loaded or sees none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "name": properties.name,
        "uuid": torch_uuid(properties.uuid, torch.version.hip),
        "memory_bytes": properties.total_memory,
        "cuda": torch.version.cuda,
    }


@cache
def _commit() -> str | None:
    """The checkout's commit, with '+' where files differ from it; None outside a checkout."""
    root = Path(__file__).resolve().parent
    git = ["git", "-C", str(root)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
        status = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if status.stdout.strip() else "")
