"""Whether a job is where its cell says: what Slurm gave it, and which GPU is really there.

A job on the wrong GPU would be a row of the tables under another GPU's name, and nothing after it
could tell. So it is told before anything is measured: from Slurm's own word on the job (node,
partition, gres) and from the name that NVML and torch give the GPU that computes.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.energy.meters.assigned_gpus import PhysicalGpu
from codewatt.energy.meters.nvml import gpus_here
from codewatt.energy.placement_record import PlacementRecord, SlurmAllocationRecord
from codewatt.errors import CodewattError

_SCONTROL_TIMEOUT_S = 60


@dataclass(frozen=True)
class Asked:
    """What the site says of a cell's hardware (its keys are those of config.machine.GpuNodes).

    named: whether the study names the hardware, so that its id stands in the cell's.
    """

    hardware: str
    named: bool
    gpu_name: str | None = None
    gres: str | None = None
    partition: str | None = None


@dataclass(frozen=True)
class Granted:
    """What Slurm gave a job on its node; gres is e.g. gpu:l40s:1, '' if it holds none."""

    job_id: str
    node: str
    partition: str
    gres: str
    gpu_indices: str
    exclusive: bool

    def record(self) -> SlurmAllocationRecord:
        """As the job's record keeps it."""
        return {
            "job_id": self.job_id,
            "node": self.node,
            "partition": self.partition,
            "gres": self.gres,
            "gpu_indices": self.gpu_indices,
            "exclusive": self.exclusive,
        }


def chosen_hardware(known: Iterable[str], default: str | None, hardware: str | None) -> str | None:
    """The hardware of a job: the study's, else the site's default, else the only one there is."""
    names = list(known)
    return hardware or default or (names[0] if len(names) == 1 else None)


def asked_hardware(machine: Mapping[str, Any], hardware: str | None) -> Asked | None:
    """What a job must find; None where neither study nor site says where GPU stages run.

    Args:
        machine: the configuration's `machine`, as Snakemake merged it.
        hardware: the id that the study names; None if it names none.
    """
    table = machine.get("hardware") or {}
    chosen = chosen_hardware(table, machine.get("default_hardware"), hardware)
    if chosen is None:
        return None
    entry = table.get(chosen) or {}
    told = {key: entry.get(key) for key in ("gpu_name", "gres", "partition")}
    return Asked(chosen, hardware is not None, **told)


def check_placement(
    asked: Asked | None,
    study_device: str,
    device: str,
    gpu_ids: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> PlacementRecord:
    """Refuse a job that is not where its cell says, and tell where it is.

    Outside of Slurm a GPU is known by its name alone. A study whose device is 'cpu' has no GPU to
    look at: then Slurm's word on the job is all there is, and without Slurm a cell that names its
    hardware is refused.

    Args:
        asked: see `asked_hardware`.
        study_device: 'auto', 'cpu' or 'cuda', as the study says.
        device: 'cpu' or 'cuda': where the job computes.
        gpu_ids: UUIDs of the GPUs that it computes on.
        environment: the job's; None: this process's.

    Returns:
        What manifests keep: hardware, slurm (Granted, or None) and gpus (index, uuid, name).

    Raises:
        CodewattError: another GPU, gres or partition than asked for, or none.
    """
    environment = os.environ if environment is None else environment
    granted = granted_by_slurm(environment)
    here = gpus_here()
    used = _used(here, gpu_ids)
    default = granted is not None and study_device != "cpu"  # the site's word binds jobs of Slurm
    if asked is not None and (asked.named or default):
        if device == "cuda":
            _check_name(asked, used)
        elif study_device != "cpu":
            raise _refusal(asked, f"torch sees no GPU here; device is {study_device!r}")
        elif granted is None:
            raise _refusal(asked, "this is no Slurm job and device is 'cpu': nothing shows it")
        if granted is not None:
            _check_granted(asked, granted)
            _check_visible(asked, granted, environment.get("CUDA_VISIBLE_DEVICES"), here)
            _check_used(asked, granted, used, here)
    return {
        "hardware": None if asked is None else asked.hardware,
        "slurm": None if granted is None else granted.record(),
        "gpus": [{"index": gpu.index, "uuid": gpu.uuid, "name": gpu.name} for gpu in used],
    }


def granted_by_slurm(environment: Mapping[str, str]) -> Granted | None:
    """What Slurm says that this job holds on this node; None outside of Slurm.

    Raises:
        CodewattError: scontrol does not answer.
    """
    if not (job_id := environment.get("SLURM_JOB_ID")):
        return None
    command = ["scontrol", "show", "job", "-d", "-o", job_id]
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_SCONTROL_TIMEOUT_S
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        raise CodewattError(
            f"{' '.join(command)}: {' '.join(reason.split())}; what the job was given is unknown"
        ) from None
    return read_granted(job_id, told, environment.get("SLURMD_NODENAME"))


def read_granted(job_id: str, told: str, node: str | None) -> Granted:
    """`scontrol show job -d -o`, read: one JOB_GRES for the job, one GRES=... for each node."""
    gres = re.search(r"\sJOB_GRES=(\S+)", told)
    indices = re.search(r"\sGRES=\S*?\(IDX:([^)]*)\)", told)
    partition = re.search(r"\sPartition=(\S+)", told)
    nodes = re.search(r"\sNodeList=(\S+)", told)
    return Granted(
        job_id=job_id,
        node=node or (nodes[1] if nodes else ""),
        partition=partition[1] if partition else "",
        gres=gres[1] if gres and gres[1] != "(null)" else "",
        gpu_indices=indices[1] if indices else "",
        exclusive=bool(re.search(r"\sOverSubscribe=NO\b", told)),
    )


def _used(here: Sequence[PhysicalGpu] | None, gpu_ids: Sequence[str]) -> list[PhysicalGpu]:
    """The GPUs that the job computes on, with NVML's names; torch's where NVML is silent."""
    known = {gpu.uuid: gpu for gpu in here or ()}
    return [known.get(uuid) or PhysicalGpu(-1, uuid, _torch_name()) for uuid in gpu_ids]


def _torch_name() -> str:
    import torch

    return str(torch.cuda.get_device_name(torch.cuda.current_device()))


def _check_name(asked: Asked, used: Sequence[PhysicalGpu]) -> None:
    for gpu in used:
        if asked.gpu_name is not None and not re.fullmatch(asked.gpu_name, gpu.name):
            raise _refusal(asked, f"the GPU here is {gpu.name!r} and not {asked.gpu_name!r}")


def _check_granted(asked: Asked, granted: Granted) -> None:
    """Slurm's word against the site's: type and number of the gres, and partition."""
    if asked.gres is not None:
        kind, number = _gpus(asked.gres)
        held = [_gpus(part) for part in granted.gres.split(",") if part.startswith("gpu")]
        other = kind is not None and {name for name, _ in held} != {kind}
        if other or sum(count for _, count in held) < number:
            found = f"holds {granted.gres or 'no GPU'} and not {asked.gres}"
            raise _refusal(asked, f"job {granted.job_id} on {granted.node} {found}")
    if asked.partition is not None and granted.partition not in asked.partition.split(","):
        found = f"partition {granted.partition} and not {asked.partition}"
        raise _refusal(asked, f"job {granted.job_id} runs in {found}")


def _gpus(gres: str) -> tuple[str | None, int]:
    """(type, number) of gpu:TYPE:N or gpu:N, as sbatch takes it and scontrol shows it."""
    parts = gres.partition("(")[0].split(":")
    return (parts[1] if len(parts) == 3 else None), int(parts[-1])


def _check_visible(
    asked: Asked, granted: Granted, visible: str | None, here: Sequence[PhysicalGpu] | None
) -> None:
    """CUDA_VISIBLE_DEVICES must name the job's own GPUs; a shell's start-up file may change it.

    With ConstrainDevices the job may open its own GPUs alone and counts them from 0; without,
    the numbers are the node's, and those of others can be opened.
    """
    numbers = _expanded(granted.gpu_indices)
    tokens = [token.strip() for token in (visible or "").split(",") if token.strip()]
    if not numbers or not all(token.isdigit() for token in tokens):
        return
    constrained = here is None or len(here) == len(numbers)
    if set(map(int, tokens)) <= numbers or (
        constrained and all(int(token) < len(numbers) for token in tokens)
    ):
        return
    raise _refusal(
        asked,
        f"CUDA_VISIBLE_DEVICES is {visible}, but Slurm gave job {granted.job_id} GPU "
        f"{granted.gpu_indices} of {granted.node}",
    )


def _check_used(
    asked: Asked,
    granted: Granted,
    used: Sequence[PhysicalGpu],
    here: Sequence[PhysicalGpu] | None,
) -> None:
    """Where the job may open more GPUs than are its own, what it computes on must be its own.

    CUDA_VISIBLE_DEVICES may be unset there, hold a UUID, or mean another GPU than Slurm's number
    does. Slurm numbers a node's GPUs as NVML does, by PCI bus.
    """
    numbers = _expanded(granted.gpu_indices)
    if not numbers or here is None or len(here) <= len(numbers):
        return
    for gpu in used:
        if gpu.index >= 0 and gpu.index not in numbers:
            raise _refusal(
                asked,
                f"the job computes on GPU {gpu.index} (NVML's number), but Slurm gave job "
                f"{granted.job_id} GPU {granted.gpu_indices} of {granted.node}; set "
                "CUDA_VISIBLE_DEVICES to Slurm's, with CUDA_DEVICE_ORDER=PCI_BUS_ID",
            )


def _expanded(indices: str) -> set[int]:
    """Slurm's list of numbers, e.g. 0-2,5."""
    found: set[int] = set()
    for part in filter(None, indices.split(",")):
        first, _, last = part.partition("-")
        if not (first.isdigit() and (last or first).isdigit()):
            return set()
        found.update(range(int(first), int(last or first) + 1))
    return found


def _refusal(asked: Asked, why: str) -> CodewattError:
    return CodewattError(f"hardware {asked.hardware!r}: {why}; nothing was measured")
