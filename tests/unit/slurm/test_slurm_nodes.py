"""Nodes by scontrol's JSON and by its text: the same nodes, and no wrong ones."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from codewatt.errors import CodewattError
from codewatt.slurm import scontrol
from codewatt.slurm.slurm_nodes import Node, read_node_cpus, read_nodes

TEXT = (
    "NodeName=g1 Arch=x86_64 CoresPerSocket=32 CPUAlloc=8 CPUEfctv=62 CPUTot=64 CPULoad=1.0 "
    "AvailableFeatures=ada,ib ActiveFeatures=ada,ib Gres=gpu:l40s:4(S:0-1) RealMemory=256000 "
    "State=IDLE+DRAIN Partitions=gpu,thin  Reason=new fan\n"
)
#: As data_parser v0.0.40 writes it, shortened.
JSON = {
    "name": "g1",
    "partitions": ["gpu", "thin"],
    "cpus": 64,
    "effective_cpus": 62,
    "real_memory": 256000,
    "gres": "gpu:l40s:4(S:0-1)",
    "features": ["ada", "ib"],
    "state": ["IDLE", "DRAIN"],
}
NODE = Node("g1", ("gpu", "thin"), 62, 256000, {"l40s": 4}, ("ada", "ib"), "IDLE+DRAIN")


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """slurm(version, json): a cluster of one node; the commands that are run are returned."""

    def cluster(version: str, told: Any = None, text: str = TEXT) -> list[str]:
        commands: list[str] = []

        def run(command: tuple[str, ...], **_: Any) -> Any:
            commands.append(" ".join(command))
            if "--version" in command:
                return type("Done", (), {"stdout": f"slurm {version}\n"})
            if "--json" in command and told is None:
                raise subprocess.CalledProcessError(1, command, stderr="no serializer plugin")
            shown = told if isinstance(told, str) else json.dumps(told)
            return type("Done", (), {"stdout": shown if "--json" in command else text})

        monkeypatch.setattr(scontrol.subprocess, "run", run)
        return commands

    return cluster


def test_json_where_slurm_writes_it(slurm: Callable[..., list[str]]) -> None:
    commands = slurm("23.11.10", {"nodes": [JSON]}, text="")
    assert read_nodes("g1") == (NODE,)
    assert commands == ["scontrol --version", "scontrol show node g1 --json"]


def test_text_where_slurm_is_older(slurm: Callable[..., list[str]]) -> None:
    commands = slurm("22.05.8", {"nodes": []})
    assert read_nodes() == (NODE,)
    assert commands == ["scontrol --version", "scontrol show node -o"]


@pytest.mark.parametrize(
    "told",
    [
        None,
        "not JSON",
        {"nodes": []},
        {"errors": []},
        {"nodes": [{k: v for k, v in JSON.items() if k != "effective_cpus"}]},
        {"nodes": [{**JSON, "state": None}]},
    ],
)
def test_text_where_the_json_is_of_no_use(slurm: Callable[..., list[str]], told: Any) -> None:
    slurm("23.02.1", told)
    assert read_nodes() == (NODE,)


def test_features_as_one_string(slurm: Callable[..., list[str]]) -> None:
    slurm("23.02.1", {"nodes": [{**JSON, "features": "ada,ib"}]}, text="")
    assert read_nodes() == (NODE,)


def test_cpus_that_slurm_has_for_jobs(slurm: Callable[..., list[str]]) -> None:
    here = {"SLURMD_NODENAME": "g1"}
    slurm("22.05.8")
    assert read_node_cpus(here) == 62
    slurm("22.05.8", text=TEXT.replace("CPUEfctv=62 ", ""))
    assert read_node_cpus(here) == 64
    slurm("22.05.8", text="slurm_load_node error")
    assert read_node_cpus(here) is None
    assert read_node_cpus({}) is None, "outside of Slurm"


def test_a_cluster_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: tuple[str, ...], **_: Any) -> Any:
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(scontrol.subprocess, "run", run)
    assert read_node_cpus({"SLURMD_NODENAME": "g1"}) is None
    with pytest.raises(CodewattError, match=r"scontrol show node -o: .*timed out"):
        read_nodes()
