"""Which GPUs a job was given: CUDA_VISIBLE_DEVICES resolved to physical devices.

NVML and CUDA may number GPUs differently. NVML numbers them by PCI bus; CUDA numbers the fastest
first unless CUDA_DEVICE_ORDER=PCI_BUS_ID. The numbers are equal if all GPUs are the same model.
Inside a cgroup (Slurm's ConstrainDevices) both number only the GPUs that the job may open.
Rules: CUDA C++ Programming Guide, "CUDA Environment Variables".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from codewatt.gpu_uuids import nvml_uuid

SelectedBy = Literal["caller", "environment", "slurm", "all"]


class UnresolvedGpusError(Exception):
    """The GPUs of the job cannot be determined; the message has the remedy."""


@dataclass(frozen=True)
class PhysicalGpu:
    """A GPU that this process may open; `index` is NVML's number."""

    index: int
    uuid: str
    name: str


def select_gpus(
    gpus: Sequence[PhysicalGpu],
    gpu_ids: Sequence[str] | None,
    environment: dict[str, str],
    parent_of_mig: Callable[[str], str | None],
) -> tuple[list[PhysicalGpu], SelectedBy]:
    """The physical GPUs of the job, in the job's order, and the source of this information.

    Args:
        gpus: GPUs that may be opened, in NVML's order.
        gpu_ids: named by the caller (UUIDs, with or without "GPU-"; an empty list means none);
            None: by CUDA_VISIBLE_DEVICES, where that is not set by Slurm's list of the job's
            GPUs, and where there is none, all.
        environment: the job's environment variables.
        parent_of_mig: the UUID of the GPU that holds a MIG instance, None if unknown.

    Raises:
        UnresolvedGpusError: an id matches no GPU, or an index is ambiguous.
    """
    if gpu_ids is not None:
        found = [_by_name(gpus, nvml_uuid(name), parent_of_mig) for name in gpu_ids]
        return list(dict.fromkeys(found)), "caller"
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return _from_slurm(gpus, environment) or (list(gpus), "all")
    return _from_environment(gpus, visible, environment, parent_of_mig), "environment"


def _from_slurm(
    gpus: Sequence[PhysicalGpu], environment: dict[str, str]
) -> tuple[list[PhysicalGpu], SelectedBy] | None:
    """The GPUs that Slurm gave the step or job; None if it names none.

    SLURM_STEP_GPUS and SLURM_JOB_GPUS number the node's GPUs, whatever a device cgroup hides
    (man sbatch, srun). Where a cgroup leaves just as many as are named, these are they.
    """
    named = environment.get("SLURM_STEP_GPUS") or environment.get("SLURM_JOB_GPUS")
    numbers = [part.strip() for part in (named or "").split(",") if part.strip()]
    if not numbers:
        return None
    if len(numbers) == len(gpus):
        return list(gpus), "slurm"
    by_index = {str(gpu.index): gpu for gpu in gpus}
    if missing := [number for number in numbers if number not in by_index]:
        have = ", ".join(by_index) or "none"
        raise UnresolvedGpusError(
            f"Slurm gave the job GPU {', '.join(missing)}, which is not one of those that it may "
            f"open ({have}): set CUDA_VISIBLE_DEVICES"
        )
    return [by_index[number] for number in numbers], "slurm"


def _from_environment(
    gpus: Sequence[PhysicalGpu],
    visible: str,
    environment: dict[str, str],
    parent_of_mig: Callable[[str], str | None],
) -> list[PhysicalGpu]:
    found: list[PhysicalGpu] = []
    for token in (part.strip() for part in visible.split(",")):
        if not token.lstrip("-").isdigit():
            if not token.startswith(("GPU-", "MIG-")):
                break
            found.append(_by_name(gpus, token, parent_of_mig))
            continue
        # CUDA ignores the first index that is out of range and all that follow it.
        if not 0 <= int(token) < len(gpus):
            break
        order = environment.get("CUDA_DEVICE_ORDER")
        if order != "PCI_BUS_ID" and len({gpu.name for gpu in gpus}) > 1:
            raise UnresolvedGpusError(
                f"CUDA_VISIBLE_DEVICES={visible} is ambiguous among different GPU models: "
                "set CUDA_DEVICE_ORDER=PCI_BUS_ID or name the GPU by its UUID (nvidia-smi -L)"
            )
        found.append(gpus[int(token)])
    return list(dict.fromkeys(found))


def _by_name(
    gpus: Sequence[PhysicalGpu], name: str, parent_of_mig: Callable[[str], str | None]
) -> PhysicalGpu:
    """The GPU whose UUID starts with `name` (CUDA allows a unique prefix), or holds that MIG."""
    wanted: str | None = name
    if name.startswith("MIG-GPU-"):  # before driver 470: MIG-GPU-<uuid>/<instance>/<compute>
        wanted = name.removeprefix("MIG-").split("/")[0]
    elif name.startswith("MIG-"):
        wanted = parent_of_mig(name)
    matching = [gpu for gpu in gpus if wanted and gpu.uuid.lower().startswith(wanted.lower())]
    if len(matching) != 1:
        have = ", ".join(gpu.uuid for gpu in gpus) or "none"
        raise UnresolvedGpusError(f"GPU {name} is not one of this machine's GPUs: {have}")
    return matching[0]
