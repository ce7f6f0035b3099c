"""The record of where a job ran: the study's hardware, what Slurm gave, and the GPUs in use."""

from typing_extensions import TypedDict


class SlurmAllocationRecord(TypedDict):
    """What Slurm gave a job on its node (`slurm.slurm_nodes.Allocation`)."""

    job_id: str
    node: str
    partition: str
    gres: str
    gpu_indices: str
    exclusive: bool


class GpuRecord(TypedDict):
    """A GPU that the job computed on; index: NVML's number, -1 where NVML does not answer."""

    index: int
    uuid: str
    name: str


class PlacementRecord(TypedDict):
    """Where a job ran.

    hardware: id of the site's hardware; None where neither study nor site names any.
    slurm: None outside Slurm.
    """

    hardware: str | None
    slurm: SlurmAllocationRecord | None
    gpus: list[GpuRecord]
