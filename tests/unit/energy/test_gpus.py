"""The GPU is the one that the job was given, whoever numbers it."""

from collections.abc import Sequence

import pytest

from codewatt.energy.meters.assigned_gpus import PhysicalGpu, UnresolvedGpusError, select_gpus

SAME = [PhysicalGpu(i, f"GPU-{i}aaa", "H200") for i in range(4)]
MIXED = [PhysicalGpu(0, "GPU-0aaa", "T4"), PhysicalGpu(1, "GPU-1aaa", "H200")]


def chosen(
    gpus: Sequence[PhysicalGpu], visible: str | None = None, order: str | None = None
) -> list[int]:
    """NVML's numbers of the GPUs that CUDA_VISIBLE_DEVICES names."""
    variables = {"CUDA_VISIBLE_DEVICES": visible, "CUDA_DEVICE_ORDER": order}
    environment = {name: value for name, value in variables.items() if value is not None}
    found, _ = select_gpus(gpus, None, environment, lambda mig: {"MIG-x": "GPU-2aaa"}.get(mig))
    return [gpu.index for gpu in found]


@pytest.mark.parametrize(
    ("visible", "indices"),
    [
        (None, [0, 1, 2, 3]),
        ("2", [2]),
        ("3,0", [3, 0]),
        (" 1 , 2", [1, 2]),
        ("1,1", [1]),
        ("GPU-3aaa", [3]),
        ("GPU-3", [3]),
        ("MIG-x", [2]),
        ("MIG-GPU-1aaa/3/0", [1]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1,7,2", [1]),
        ("0,-1,2", [0]),
    ],
)
def test_cuda_visible_devices(visible: str | None, indices: list[int]) -> None:
    assert chosen(SAME, visible) == indices


def test_an_index_among_different_models_needs_pci_order() -> None:
    with pytest.raises(UnresolvedGpusError, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        chosen(MIXED, "0")
    assert chosen(MIXED, "1", order="PCI_BUS_ID") == [1]
    assert chosen(MIXED, "GPU-0aaa") == [0]


@pytest.mark.parametrize("name", ["GPU-9", "GPU-", "MIG-unknown"])
def test_an_unknown_or_ambiguous_name_is_refused(name: str) -> None:
    with pytest.raises(UnresolvedGpusError, match=r"is not one of this machine's GPUs: GPU-0aaa"):
        chosen(SAME, name)


def test_the_caller_outweighs_the_environment() -> None:
    environment = {"CUDA_VISIBLE_DEVICES": "0"}
    found, by = select_gpus(SAME, ["2aaa", "GPU-1aaa"], environment, lambda _: None)
    assert ([gpu.index for gpu in found], by) == ([2, 1], "caller")
    assert select_gpus(SAME, [], environment, lambda _: None) == ([], "caller")
    assert select_gpus(SAME, None, {}, lambda _: None)[1] == "all"


@pytest.mark.parametrize(
    ("environment", "indices"),
    [
        ({"SLURM_JOB_GPUS": "2"}, [2]),
        ({"SLURM_STEP_GPUS": "3,1", "SLURM_JOB_GPUS": "0"}, [3, 1]),
        ({"SLURM_JOB_GPUS": "4,5,6,7"}, [0, 1, 2, 3]),  # a cgroup shows the job's own four
        ({"SLURM_JOB_GPUS": "2", "CUDA_VISIBLE_DEVICES": "0"}, [0]),
    ],
)
def test_slurms_numbers_count_where_cuda_is_told_nothing(
    environment: dict[str, str], indices: list[int]
) -> None:
    found, by = select_gpus(SAME, None, environment, lambda _: None)
    assert [gpu.index for gpu in found] == indices
    assert by == ("environment" if "CUDA_VISIBLE_DEVICES" in environment else "slurm")


def test_a_gpu_of_slurms_that_cannot_be_opened_is_refused() -> None:
    with pytest.raises(UnresolvedGpusError, match="Slurm gave the job GPU 6"):
        select_gpus(SAME, None, {"SLURM_JOB_GPUS": "6"}, lambda _: None)
