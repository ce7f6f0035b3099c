"""Check that a job runs on the hardware that its cell names, before anything is measured.

A job on another GPU would become a row of the tables under the wrong GPU's name, and no later stage
could notice. The check compares the site file with what Slurm gave the job (node, partition, GRES)
and with the name that NVML, or else torch, gives the GPU that computes.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.energy.meters.assigned_gpus import PhysicalGpu
from codewatt.energy.meters.nvml import visible_gpus
from codewatt.energy.placement_record import PlacementRecord, SlurmAllocationRecord
from codewatt.errors import CodewattError
from codewatt.slurm.gres import gpu_counts, gpu_request, parse_indices
from codewatt.slurm.slurm_nodes import Allocation, read_allocation


@dataclass(frozen=True)
class RequestedHardware:
    """What the site file says about the hardware of a cell (see `config.site.GpuNodes`).

    Attributes:
        hardware: the id of the hardware.
        named: whether the study names the hardware, so that the cell's id contains it.
    """

    hardware: str
    named: bool
    gpu_name: str | None = None
    gres: str | None = None
    partition: str | None = None


def choose_hardware(known: Iterable[str], default: str | None, hardware: str | None) -> str | None:
    """The hardware that a job runs on; None where neither study nor site file says.

    Args:
        known: the ids of the site file.
        default: machine.default_hardware.
        hardware: the id that the study names; it goes before the default, and the default before
            the only entry of the site file.
    """
    names = list(known)
    return hardware or default or (names[0] if len(names) == 1 else None)


def requested_hardware(
    machine: Mapping[str, Any], hardware: str | None
) -> RequestedHardware | None:
    """The hardware that a job must find; None where neither study nor site file names any.

    Args:
        machine: `machine` of the configuration, as Snakemake merged it.
        hardware: the id that the study names; None if it names none.
    """
    table = machine.get("hardware") or {}
    chosen = choose_hardware(table, machine.get("default_hardware"), hardware)
    if chosen is None:
        return None
    entry = table.get(chosen) or {}
    known = {key: entry.get(key) for key in ("gpu_name", "gres", "partition")}
    return RequestedHardware(chosen, hardware is not None, **known)


def check_placement(
    requested: RequestedHardware | None,
    study_device: str,
    device: str,
    gpu_ids: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> PlacementRecord:
    """Refuse a job that does not run on the requested hardware, and describe where it runs.

    Outside of Slurm only the GPU's name can be checked. A study whose device is 'cpu' uses no GPU:
    then only Slurm's allocation can be checked, and without Slurm a cell that names its hardware is
    refused.

    Args:
        requested: see `requested_hardware`.
        study_device: 'auto', 'cpu' or 'cuda', as the study says.
        device: 'cpu' or 'cuda': where the job computes.
        gpu_ids: UUIDs of the GPUs that it computes on.
        environment: the job's; None: this process's.

    Returns:
        Where the job runs, for its record.

    Raises:
        CodewattError: the job has another GPU, GRES or partition than requested, or no GPU.
    """
    environment = os.environ if environment is None else environment
    allocation = read_allocation(environment)
    here = visible_gpus()
    used = _used(here, gpu_ids)
    default = (
        allocation is not None and study_device != "cpu"
    )  # the site file binds Slurm jobs only
    if requested is not None and (requested.named or default):
        if device == "cuda":
            _check_name(requested, used)
        elif study_device != "cpu":
            raise _refusal(
                requested, f"torch finds no GPU here, although device is {study_device!r}"
            )
        elif allocation is None:
            raise _refusal(
                requested, "it cannot be checked: this is not a Slurm job and device is 'cpu'"
            )
        if allocation is not None:
            _check_allocation(requested, allocation)
            _check_visible(requested, allocation, environment.get("CUDA_VISIBLE_DEVICES"), here)
            _check_used(requested, allocation, used, here)
    return {
        "hardware": None if requested is None else requested.hardware,
        "slurm": None if allocation is None else _slurm_record(allocation),
        "gpus": [{"index": gpu.index, "uuid": gpu.uuid, "name": gpu.name} for gpu in used],
    }


def _slurm_record(allocation: Allocation) -> SlurmAllocationRecord:
    return {
        "job_id": allocation.job_id,
        "node": allocation.node,
        "partition": allocation.partition,
        "gres": allocation.gres,
        "gpu_indices": allocation.gpu_indices,
        "exclusive": allocation.exclusive,
    }


def _used(here: Sequence[PhysicalGpu] | None, gpu_ids: Sequence[str]) -> list[PhysicalGpu]:
    """The GPUs that the job computes on, with the names of NVML, or of torch where NVML fails."""
    known = {gpu.uuid: gpu for gpu in here or ()}
    return [known.get(uuid) or PhysicalGpu(-1, uuid, _torch_name()) for uuid in gpu_ids]


def _torch_name() -> str:
    import torch

    return str(torch.cuda.get_device_name(torch.cuda.current_device()))


def _check_name(requested: RequestedHardware, used: Sequence[PhysicalGpu]) -> None:
    for gpu in used:
        if requested.gpu_name is not None and not re.fullmatch(requested.gpu_name, gpu.name):
            raise _refusal(requested, f"the GPU here is {gpu.name!r}, not {requested.gpu_name!r}")


def _check_allocation(requested: RequestedHardware, allocation: Allocation) -> None:
    """Compare the GRES (type and number) and the partition that Slurm gave with the site file."""
    if requested.gres is not None:
        wanted, held = gpu_request(requested.gres), gpu_counts(allocation.gres)
        other_type = wanted.type is not None and set(held) != {wanted.type}
        if other_type or sum(held.values()) < wanted.count:
            found = f"holds {allocation.gres or 'no GPU'}, not {requested.gres}"
            raise _refusal(requested, f"job {allocation.job_id} on {allocation.node} {found}")
    if requested.partition is not None and allocation.partition not in requested.partition.split(
        ","
    ):
        found = f"runs in partition {allocation.partition}, not {requested.partition}"
        raise _refusal(requested, f"job {allocation.job_id} {found}")


def _check_visible(
    requested: RequestedHardware,
    allocation: Allocation,
    visible: str | None,
    here: Sequence[PhysicalGpu] | None,
) -> None:
    """Check that CUDA_VISIBLE_DEVICES names the job's own GPUs; a shell's start-up file may set it.

    With ConstrainDevices a job can open its own GPUs only and counts them from 0. Without it, the
    numbers are those of the node, and the GPUs of other jobs can be opened.
    """
    numbers = parse_indices(allocation.gpu_indices)
    tokens = [token.strip() for token in (visible or "").split(",") if token.strip()]
    if not numbers or not all(token.isdigit() for token in tokens):
        return
    constrained = here is None or len(here) == len(numbers)
    if set(map(int, tokens)) <= numbers or (
        constrained and all(int(token) < len(numbers) for token in tokens)
    ):
        return
    raise _refusal(
        requested,
        f"CUDA_VISIBLE_DEVICES is {visible}, but Slurm gave job {allocation.job_id} GPU "
        f"{allocation.gpu_indices} of {allocation.node}",
    )


def _check_used(
    requested: RequestedHardware,
    allocation: Allocation,
    used: Sequence[PhysicalGpu],
    here: Sequence[PhysicalGpu] | None,
) -> None:
    """Check that the job computes on its own GPU where it can open those of other jobs too.

    CUDA_VISIBLE_DEVICES may be unset, hold a UUID, or count GPUs in another order than Slurm. Slurm
    numbers the GPUs of a node as NVML does, by PCI bus.
    """
    numbers = parse_indices(allocation.gpu_indices)
    if not numbers or here is None or len(here) <= len(numbers):
        return
    for gpu in used:
        if gpu.index >= 0 and gpu.index not in numbers:
            raise _refusal(
                requested,
                f"the job computes on GPU {gpu.index} (NVML's number), but Slurm gave job "
                f"{allocation.job_id} GPU {allocation.gpu_indices} of {allocation.node}; set "
                "CUDA_VISIBLE_DEVICES to Slurm's number, with CUDA_DEVICE_ORDER=PCI_BUS_ID",
            )


def _refusal(requested: RequestedHardware, why: str) -> CodewattError:
    return CodewattError(f"hardware {requested.hardware!r}: {why}; nothing was measured")
