"""A job that is not where its cell says measures nothing; one that is says where."""

import re

import pytest

from codewatt.energy import placement_check
from codewatt.energy.meters.assigned_gpus import PhysicalGpu
from codewatt.energy.placement_check import (
    RequestedHardware,
    check_placement,
    requested_hardware,
)
from codewatt.errors import CodewattError
from codewatt.models.loading import used_gpu_uuids
from codewatt.slurm import scontrol
from codewatt.slurm.slurm_nodes import parse_allocation

L40S = RequestedHardware("l40s", True, "NVIDIA L40S", "gpu:l40s:1", "gpu_l40s")
#: What Slurm 22.05 says of a job with one L40S (shortened).
TOLD = (
    "JobId=7 JobName=x UserId=me(1) JobState=RUNNING Partition=gpu_l40s AllocNode:Sid=login:1 "
    "ReqNodeList=(null) ExcNodeList=(null) NodeList=l40s01 BatchHost=l40s01 NumNodes=1 NumCPUs=2 "
    "TRES=cpu=2,mem=600M,node=1,billing=2,gres/gpu=1,gres/gpu:l40s=1 JOB_GRES=gpu:l40s:1   "
    "Nodes=l40s01 CPU_IDs=0-1 Mem=600 GRES=gpu:l40s:1(IDX:2) MinCPUsNode=2 Features=(null) "
    "OverSubscribe=OK Contiguous=0 Command=x WorkDir=/w TresPerNode=gres:gpu:l40s:1 \n"
)
IN_JOB = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "l40s01", "CUDA_VISIBLE_DEVICES": "2"}


@pytest.fixture
def machine(monkeypatch):
    """machine(told, names): what scontrol and NVML say; names None: NVML does not answer."""

    def say(told=TOLD, names=("NVIDIA L40S",)):
        gpus = (
            None if names is None else [PhysicalGpu(n, f"GPU-{n}", x) for n, x in enumerate(names)]
        )

        def run(command, **_):
            assert list(command) == ["scontrol", "show", "job", "-d", "-o", "7"]
            return type("Done", (), {"stdout": told})

        monkeypatch.setattr(scontrol.subprocess, "run", run)
        monkeypatch.setattr(placement_check, "visible_gpus", lambda: gpus)

    say()
    return say


def refused(words, requested=L40S, study_device="cuda", device="cuda", environment=None):
    gpu_ids = ["GPU-0"] if device == "cuda" else []
    with pytest.raises(CodewattError, match=words) as caught:
        check_placement(requested, study_device, device, gpu_ids, environment or {})
    assert "\n" not in str(caught.value)


def test_the_right_gpu_in_the_right_job(machine):
    found = check_placement(L40S, "cuda", "cuda", ["GPU-0"], IN_JOB)
    assert found["hardware"] == "l40s"
    assert found["gpus"] == [{"index": 0, "uuid": "GPU-0", "name": "NVIDIA L40S"}]
    assert found["slurm"] == {
        "job_id": "7",
        "node": "l40s01",
        "partition": "gpu_l40s",
        "gres": "gpu:l40s:1",
        "gpu_indices": "2",
        "exclusive": False,
    }


def test_a_wrong_gpu_behind_the_right_gres(machine):
    machine(names=["NVIDIA A100-SXM4-80GB"])
    refused("'NVIDIA A100-SXM4-80GB', not 'NVIDIA L40S'", environment=IN_JOB)


def test_a_name_counts_in_full(machine):
    machine(names=["NVIDIA L40S"])
    refused("'NVIDIA L40S', not 'NVIDIA L40'", RequestedHardware("l40", True, "NVIDIA L40"))
    machine(names=["NVIDIA A100 80GB PCIe"])
    check_placement(RequestedHardware("a100", True, "NVIDIA A100.*"), "auto", "cuda", ["GPU-0"], {})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("JOB_GRES=gpu:l40s:1", "JOB_GRES=gpu:a100:1", "holds gpu:a100:1, not gpu:l40s:1"),
        ("JOB_GRES=gpu:l40s:1", "JOB_GRES=(null)", "holds no GPU, not gpu:l40s:1"),
        ("JOB_GRES=gpu:l40s:1", "JOB_GRES=gpu:l40s:1,gpu:a100:1", "holds gpu:l40s:1,gpu:a100:1"),
        ("Partition=gpu_l40s", "Partition=cpu", "partition cpu, not gpu_l40s"),
    ],
)
def test_another_grant_than_asked_for(machine, old, new, words):
    machine(TOLD.replace(old, new))
    refused(words, environment=IN_JOB)


def test_a_whole_node_holds_more_than_was_asked_for(machine):
    machine(
        TOLD.replace("gpu:l40s:1", "gpu:l40s:4").replace("(IDX:2)", "(IDX:0-3)")
        .replace("OverSubscribe=OK", "OverSubscribe=NO")
    )  # fmt: skip
    found = check_placement(L40S, "cuda", "cuda", ["GPU-0"], IN_JOB)
    assert found["slurm"]["exclusive"] is True


def test_more_gpus_asked_for_than_given(machine):
    refused(
        "not gpu:l40s:2", RequestedHardware("l40s", True, None, "gpu:l40s:2"), environment=IN_JOB
    )


def test_any_type_will_do_where_none_is_asked_for(machine):
    check_placement(
        RequestedHardware("l40s", True, None, "gpu:1"), "cuda", "cuda", ["GPU-0"], IN_JOB
    )


def test_a_shell_that_names_another_gpu(machine):
    """Four GPUs can be opened, Slurm gave the third, and a start-up file says the first."""
    machine(names=["NVIDIA L40S"] * 4)
    refused("CUDA_VISIBLE_DEVICES is 0, but", environment={**IN_JOB, "CUDA_VISIBLE_DEVICES": "0"})
    check_placement(L40S, "cuda", "cuda", ["GPU-2"], IN_JOB)


@pytest.mark.parametrize("visible", [None, "", "GPU-0", "2"])
def test_what_computes_is_the_jobs_own_whatever_the_variable_says(machine, visible):
    """Four can be opened, Slurm gave the third, and torch took the first all the same."""
    machine(names=["NVIDIA L40S"] * 4)
    environment = {k: v for k, v in IN_JOB.items() if k != "CUDA_VISIBLE_DEVICES"}
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    refused(
        r"computes on GPU 0 \(NVML's number\), but Slurm gave job 7 GPU 2", environment=environment
    )
    check_placement(L40S, "cuda", "cuda", ["GPU-2"], environment)


def test_a_job_that_can_open_its_own_gpu_only_counts_from_zero(machine):
    check_placement(L40S, "cuda", "cuda", ["GPU-0"], {**IN_JOB, "CUDA_VISIBLE_DEVICES": "0"})


def test_a_gpu_that_torch_does_not_see(machine):
    refused("torch finds no GPU here, although device is 'auto'", study_device="auto", device="cpu")


def test_a_study_on_the_cpu_rests_on_slurms_word(machine):
    machine(names=None)
    found = check_placement(L40S, "cpu", "cpu", [], IN_JOB)
    assert (found["slurm"]["gres"], found["gpus"]) == ("gpu:l40s:1", [])
    refused("cannot be checked: this is not a Slurm job and device is 'cpu'", L40S, "cpu", "cpu")


def test_scontrol_that_does_not_answer(machine, monkeypatch):
    def run(command, **_):
        raise FileNotFoundError(2, "No such file or directory: 'scontrol'")

    monkeypatch.setattr(scontrol.subprocess, "run", run)
    refused(
        "scontrol show job -d -o 7: .*; the allocation of this job is unknown", environment=IN_JOB
    )


def test_nobody_says_where_it_is_to_run(machine):
    machine(names=None)
    assert check_placement(None, "cpu", "cpu", [], {}) == {
        "hardware": None,
        "slurm": None,
        "gpus": [],
    }


def test_the_sites_default_binds_jobs_of_slurm_only(machine):
    machine(names=["NVIDIA A100-SXM4-80GB"])
    default = RequestedHardware("l40s", False, "NVIDIA L40S")
    check_placement(default, "auto", "cuda", ["GPU-0"], {})
    refused(", not 'NVIDIA L40S'", default, environment=IN_JOB)
    machine(TOLD.replace("JOB_GRES=gpu:l40s:1", "JOB_GRES=(null)"), names=None)
    check_placement(default, "cpu", "cpu", [], IN_JOB)  # a study on the CPU asks for no GPU


def test_what_is_asked_for():
    table = {"l40s": {"gres": "gpu:l40s:1", "gpu_name": "NVIDIA L40S"}, "a100": {}}
    assert requested_hardware({"hardware": table}, "l40s") == RequestedHardware(
        "l40s", True, "NVIDIA L40S", "gpu:l40s:1"
    )
    assert requested_hardware({"hardware": table}, None) is None, "two, and no default"
    assert requested_hardware({"hardware": {"a100": {}}}, None) == RequestedHardware("a100", False)
    assert (
        requested_hardware({"hardware": table, "default_hardware": "a100"}, None).hardware == "a100"
    )
    assert requested_hardware({}, None) is None


def test_a_job_without_a_gpu():
    told = TOLD.replace(" JOB_GRES=gpu:l40s:1  ", "").replace(" GRES=gpu:l40s:1(IDX:2)", "")
    granted = parse_allocation("7", told, None)
    assert (granted.node, granted.gres, granted.gpu_indices) == ("l40s01", "", "")


def test_gpu_of_this_machine_by_its_real_name():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU here")
    ids, name = used_gpu_uuids("cuda"), torch.cuda.get_device_name(torch.cuda.current_device())
    found = check_placement(
        RequestedHardware("here", True, re.escape(name)), "cuda", "cuda", ids, {}
    )
    assert [(gpu["uuid"], gpu["name"]) for gpu in found["gpus"]] == [(ids[0], name)]
    with pytest.raises(CodewattError, match=", not 'NVIDIA L4000'"):
        check_placement(RequestedHardware("there", True, "NVIDIA L4000"), "cuda", "cuda", ids, {})
