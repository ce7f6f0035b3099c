"""A site file against a cluster that was recorded: what does not fit is one line each."""

import pytest

from codewatt.cluster import offers as offers_module
from codewatt.cluster.check import problems
from codewatt.cluster.command import described
from codewatt.cluster.offers import Offers, minutes, read_nodes, read_offers, read_partitions
from codewatt.config.load import load_config
from codewatt.errors import CodewattError

#: Slurm 22.05's words (shortened, and with a partition and nodes that make trouble).
PARTITIONS = """\
PartitionName=cpu AllowGroups=ALL AllowAccounts=ALL Default=YES DefaultTime=NONE MaxNodes=UNLIMITED MaxTime=10:00:00 Nodes=cpu01 State=UP TotalCPUs=16 MaxMemPerNode=UNLIMITED
PartitionName=gpu AllowGroups=ALL AllowAccounts=ALL Default=NO MaxTime=1-00:00:00 Nodes=l40s[01-02],a10001 State=UP MaxMemPerNode=200000
PartitionName=old AllowGroups=ALL AllowAccounts=physics Default=NO MaxTime=UNLIMITED Nodes=v10001 State=UP MaxMemPerNode=UNLIMITED
PartitionName=shut AllowGroups=ALL AllowAccounts=ALL Default=NO MaxTime=UNLIMITED Nodes=cpu01 State=DOWN MaxMemPerNode=UNLIMITED
"""  # noqa: E501
NODE = (
    "NodeName={name} Arch=x86_64 CoresPerSocket=16  CPUAlloc=0 CPUEfctv={cpus} CPUTot={cpus} "
    "CPULoad=9.39 AvailableFeatures={features} ActiveFeatures={features} Gres={gres} "
    "OS=Linux 6.1 #1 SMP RealMemory={memory} AllocMem=0 State={state} Partitions={partitions}  "
    "CfgTRES=cpu=16\n"
)
NODES = "".join(
    NODE.format(name=name, gres=gres, partitions=where, cpus=cpus, memory=mem, features=f, state=s)
    for name, gres, where, cpus, mem, f, s in (
        ("cpu01", "(null)", "cpu,shut", 16, 64000, "(null)", "IDLE"),
        ("l40s01", "gpu:l40s:4(S:0-1),lscratch:9", "gpu", 32, 256000, "ada,ib", "MIXED"),
        ("l40s02", "gpu:l40s:4(S:0-1),lscratch:9", "gpu", 32, 256000, "ada,ib", "IDLE"),
        ("a10001", "gpu:a100-sxm4-80gb:8", "gpu", 64, 512000, "ampere,ib", "IDLE+DRAIN"),
        ("v10001", "gpu:4", "old", 8, 64000, "volta", "IDLE"),
    )
)
OFFERS = Offers(read_partitions(PARTITIONS), read_nodes(NODES), ("quant",), 300)
GOOD = {
    "account": "quant",
    "cpu": {"partition": "cpu", "threads": 8, "max_mem_mb": 64000, "max_runtime_min": 600},
    "hardware": {
        "l40s": {
            "gres": "gpu:l40s:1",
            "gpu_name": "NVIDIA L40S",
            "partition": "gpu",
            "threads": 8,
            "mem_mb": 32000,
            "max_mem_mb": 200000,
            "runtime_min": 240,
        }
    },
}


def found_in(*path, **changes):
    """The problems of the good site with some keys of one entry changed (None: taken out)."""
    site = {**GOOD, "hardware": {"l40s": dict(GOOD["hardware"]["l40s"])}, "cpu": dict(GOOD["cpu"])}
    entry = site
    for part in path:
        entry = entry[part]
    entry.update(changes)
    for key in [key for key, value in entry.items() if value is None]:
        del entry[key]
    return problems(load_config({"machine": site}).machine, OFFERS)


def gpu(**changes):
    return found_in("hardware", "l40s", **changes)


def test_what_is_read():
    cpu, fast, old, _ = OFFERS.partitions
    assert (cpu.default, cpu.max_runtime_min, cpu.max_mem_mb) == (True, 600, None)
    assert (fast.default, fast.max_runtime_min, fast.max_mem_mb) == (False, 1440, 200000)
    assert (old.max_runtime_min, old.accounts) == (None, ("physics",))
    node = OFFERS.nodes[1]
    assert (node.cpus, node.mem_mb, node.gpus, node.features) == (
        32,
        256000,
        {"l40s": 4},
        ("ada", "ib"),
    )
    assert [node.gpus for node in OFFERS.nodes[3:]] == [{"a100-sxm4-80gb": 8}, {"": 4}]
    assert [node.name for node in OFFERS.nodes if node.lost] == ["a10001"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1-00:00:00", 1440), ("2-12", 3600), ("10:00:00", 600), ("90", 90), ("90:30", 90),
        ("1-02:03", 1563), ("UNLIMITED", None), ("NONE", None),
    ],
)  # fmt: skip
def test_times(text, value):
    assert minutes(text) == value


def test_a_site_that_fits():
    assert found_in() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"partition": "gpus"}, "partition: there is no 'gpus'; did you mean 'gpu'?; there: c"),
        ({"partition": "shut", "gres": "gpu:1"}, "partition: shut is DOWN"),
        ({"partition": "old"}, "partition: old is for accounts physics, not for 'quant'"),
        ({"gres": "gpu:L40S:1"}, "gres: there is no 'L40S': case counts, it is 'l40s', in gpu"),
        ({"gres": "gpu:l40:1"}, "gres: there is no 'l40'; did you mean 'l40s'?; types: l40s"),
        ({"gres": "gpu:a100_sxm4_80gb:1"}, "cannot be named to Snakemake's executor: gpu:1 an"),
        ({"gres": "gpu:l40s:1", "partition": "cpu"}, "'l40s' is in other partitions"),
        ({"gres": "gpu:l40s:5"}, "gres: 5 asked for, but no node of gpu has over 4"),
        ({"gres": "gpu:1"}, "gres: gpu:1 may get any of l40s, a100-sxm4-80gb; name the type, or a"),
        ({"gres": None}, "gres: required on a cluster; types here: l40s, a100-sxm4-80gb, gpu wi"),
        ({"gpu_name": None}, "gpu_name: required"),
        ({"threads": None}, "threads: required"),
        ({"threads": 33}, "threads: 33 asked for, the largest node has 32"),
        ({"mem_mb": 200001, "max_mem_mb": None}, "mem_mb: 200001 asked for, there is at most 200"),
        ({"max_mem_mb": 256000}, "max_mem_mb: 256000, but there is at most 200000 MB a node"),
        ({"mem_mb": 80000, "max_mem_mb": None}, "max_mem_mb: required: the second retry may ask f"),
        ({"runtime_min": 1441}, "runtime_min: 1441 asked for, there is at most 1440 min a job"),
        ({"runtime_min": 600}, "max_runtime_min: required: the second retry may ask for 1800"),
        ({"mem_mb": None, "max_mem_mb": None}, "the second retry may ask for more, there is at"),
        ({"max_runtime_min": 3000}, "max_runtime_min: 3000, but there is at most 1440 min a job"),
        ({"constraint": "hopper"}, "constraint: no node of gpu has 'hopper'; there: ada, ampere"),
        ({"gres": "gpu:1", "constraint": "ampere"}, "every node that fits is IDLE+DRAIN"),
        ({"nodes": ["l40s03"]}, "nodes: there is no node 'l40s03'; did you mean 'l40s0"),
        ({"nodes": ["cpu01"]}, "nodes: cpu01 is not in the partition; there: l40s01"),
    ],
)  # fmt: skip
def test_what_does_not_fit(changes, words):
    found = gpu(**changes)
    assert any(problem.startswith("machine.hardware.l40s") for problem in found)
    assert any(words in problem for problem in found), found
    assert not any("\n" in problem for problem in found)


def test_both_of_two_mistakes_are_told():
    assert len(gpu(partition="gpus", gres="gpu:L40S:1")) == 2


def test_nodes_of_the_cpu():
    assert "machine.cpu.threads: 17 asked for" in found_in("cpu", threads=17)[0]
    assert found_in("cpu", partition=None) == [], "cpu is the default partition"


def test_an_untyped_gpu_with_a_constraint_that_tells():
    assert gpu(gres="gpu:1", constraint="ada") == []


def test_the_account():
    assert found_in(account="quants") == ["machine.account: 'quants' is not yours; quant is"]
    assert "machine.account: required" in found_in(account=None)[0]


def test_the_table_of_what_there_is():
    lines = list(described(OFFERS))
    assert lines[0].split() == [
        "partition", "nodes", "cores", "memory", "MB", "time", "min", "GPUs", "features",
    ]  # fmt: skip
    assert lines[2].split() == ["gpu", "2", "32", "256000", "1440", "gpu:l40s:4", "ada,ib"]
    forgetful = Offers(OFFERS.partitions, OFFERS.nodes, None, 30)
    assert "MinJobAge" in list(described(forgetful))[-1]


def test_no_slurm_here(monkeypatch):
    monkeypatch.setattr(offers_module.shutil, "which", lambda name: None)
    with pytest.raises(CodewattError, match="scontrol: not found"):
        read_offers()
