"""A site file against a cluster that was recorded: what does not fit is one line each."""

import pytest

from codewatt.config.load_study import load_config
from codewatt.errors import CodewattError
from codewatt.placement.site_check import site_notes, site_problems
from codewatt.placement.site_command import table_of_nodes
from codewatt.slurm import scontrol
from codewatt.slurm.slurm_nodes import (
    Cluster,
    parse_minutes,
    parse_nodes,
    parse_partitions,
    read_cluster,
)

#: Slurm 22.05's words (shortened, and with a partition and nodes that make trouble).
PARTITIONS = """\
PartitionName=cpu AllowGroups=ALL AllowAccounts=ALL Default=YES DefaultTime=NONE MaxNodes=UNLIMITED MaxTime=10:00:00 Nodes=cpu01 State=UP TotalCPUs=16 MaxMemPerNode=UNLIMITED
PartitionName=gpu AllowGroups=ALL AllowAccounts=ALL Default=NO MaxTime=1-00:00:00 Nodes=l40s[01-02],a10001 State=UP MaxMemPerNode=200000
PartitionName=old AllowGroups=ALL AllowAccounts=physics Default=NO MaxTime=UNLIMITED Nodes=v10001 State=UP MaxMemPerNode=UNLIMITED
PartitionName=thin AllowGroups=ALL DenyAccounts=quant,guests Default=NO MaxTime=UNLIMITED MaxCPUsPerNode=16 Nodes=l40s[01-02] State=UP MaxMemPerNode=UNLIMITED
PartitionName=uneven AllowGroups=ALL AllowAccounts=quant Default=NO MaxTime=UNLIMITED MaxCPUsPerNode=UNLIMITED Nodes=wide01,deep01,gone01 State=UP MaxMemPerNode=UNLIMITED
PartitionName=bare AllowGroups=ALL AllowAccounts=ALL Default=NO MaxTime=UNLIMITED Nodes=(null) State=UP MaxMemPerNode=UNLIMITED
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
        ("l40s01", "gpu:l40s:4(S:0-1),lscratch:9", "gpu,thin", 32, 256000, "ada,ib", "MIXED"),
        ("l40s02", "gpu:l40s:4(S:0-1),lscratch:9", "gpu,thin", 32, 256000, "ada,ib", "IDLE"),
        ("a10001", "gpu:a100-sxm4-80gb:8", "gpu", 64, 512000, "ampere,ib", "IDLE+DRAIN"),
        ("wide01", "gpu:l40s:2", "uneven", 64, 120000, "ada", "IDLE+CLOUD+POWERED_DOWN"),
        ("deep01", "gpu:l40s:4", "uneven", 16, 500000, "ada,ib", "MIXED+PLANNED"),
        ("gone01", "gpu:h100:4", "uneven", 64, 500000, "hopper", "DOWN*+NOT_RESPONDING"),
        ("v10001", "gpu:4", "old", 8, 64000, "volta", "IDLE"),
    )
)
CLUSTER = Cluster(parse_partitions(PARTITIONS), parse_nodes(NODES), ("quant",), 300)
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
    return site_problems(load_config({"machine": site}).machine, CLUSTER)


def gpu(**changes):
    return found_in("hardware", "l40s", **changes)


def test_what_is_read():
    cpu, fast, old, thin, uneven, _, _ = CLUSTER.partitions
    assert (cpu.default, cpu.max_runtime_min, cpu.max_mem_mb) == (True, 600, None)
    assert (fast.default, fast.max_runtime_min, fast.max_mem_mb) == (False, 1440, 200000)
    assert (old.max_runtime_min, old.accounts) == (None, ("physics",))
    assert (thin.accounts, thin.denied_accounts, thin.max_cpus) == ((), ("quant", "guests"), 16)
    assert (uneven.accounts, uneven.max_cpus) == (("quant",), None)
    node = CLUSTER.nodes[1]
    assert (node.cpus, node.mem_mb, node.gpus, node.features) == (
        32,
        256000,
        {"l40s": 4},
        ("ada", "ib"),
    )
    assert CLUSTER.nodes[3].gpus == {"a100-sxm4-80gb": 8}
    assert CLUSTER.nodes[-1].gpus == {"": 4}
    assert [node.name for node in CLUSTER.nodes if node.unavailable] == ["a10001", "gone01"]


@pytest.mark.parametrize(
    ("state", "unavailable"),
    [
        ("IDLE", False), ("IDLE*", False), ("idle~", False), ("MIXED+PLANNED", False),
        ("IDLE+CLOUD+POWERED_DOWN", False), ("IDLE+POWERING_DOWN", False), ("ALLOCATED+", False),
        ("DOWN*", True), ("down$", True), ("IDLE+DRAIN", True), ("MIXED*+DRAIN", True),
        ("DRAINING@", True), ("FUTURE", True), ("IDLE+FAIL", True), ("INVAL", True),
    ],
)  # fmt: skip
def test_whether_a_node_is_unavailable(state, unavailable):
    assert (
        parse_nodes(f"NodeName=n CPUTot=1 State={state} Partitions=p")[0].unavailable == unavailable
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1-00:00:00", 1440), ("2-12", 3600), ("10:00:00", 600), ("90", 90), ("90:30", 90),
        ("1-02:03", 1563), ("UNLIMITED", None), ("NONE", None),
    ],
)  # fmt: skip
def test_times(text, value):
    assert parse_minutes(text) == value


def test_a_site_that_fits():
    assert found_in() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"partition": "gpus"}, "partition: no partition 'gpus'; did you mean 'gpu'?; allowed: c"),
        (
            {"partition": "shut", "gres": "gpu:1"},
            "partition: shut is in state DOWN; allowed: a partition in state UP",
        ),
        ({"partition": "old"}, "partition: old admits the accounts physics, not 'quant'"),
        (
            {"gres": "gpu:L40S:1"},
            "gres: any node of gpu: no GPU type 'L40S'; upper and lower case co",
        ),
        ({"gres": "gpu:l40:1"}, "no GPU type 'l40'; did you mean 'l40s'?; types there: l40s"),
        (
            {"gres": "gpu:a100_sxm4_80gb:1"},
            "executor refuses the name 'a100-sxm4-80gb'; use gpu:1 an",
        ),
        ({"gres": "gpu:l40s:1", "partition": "cpu"}, "'l40s' is on other nodes"),
        ({"gres": "gpu:l40s:5"}, "gres: 5 GPUs requested; allowed: at most 4 on any node of gpu"),
        (
            {"gres": "gpu:1"},
            "gres: a job with gpu:1 may get any of l40s, a100-sxm4-80gb; name the type, or a",
        ),
        ({"gres": None}, "gres: required on a cluster; GPU types: l40s, a100-sxm4-80gb, h100, g"),
        ({"gpu_name": None}, "gpu_name: required"),
        ({"threads": None}, "threads: required"),
        ({"threads": 33}, "threads: 33 requested; allowed: at most 32 on any node of gpu"),
        ({"mem_mb": 200001, "max_mem_mb": None}, "mem_mb: 200001 requested; allowed: at most 200"),
        ({"max_mem_mb": 256000}, "max_mem_mb: 256000 given; allowed: at most 200000 MB on any"),
        (
            {"mem_mb": 80000, "max_mem_mb": None},
            "max_mem_mb: required, because the second retry may request 240000",
        ),
        ({"runtime_min": 1441}, "runtime_min: 1441 requested; allowed: at most 1440 min per job"),
        (
            {"runtime_min": 600},
            "max_runtime_min: required, because the second retry may request 1800",
        ),
        ({"mem_mb": None, "max_mem_mb": None}, "the second retry may request more; allowed: at"),
        (
            {"max_runtime_min": 3000},
            "max_runtime_min: 3000 given; allowed: at most 1440 min per job",
        ),
        (
            {"constraint": "hopper"},
            "constraint: 'hopper' is not a feature of any node of gpu; features there",
        ),
        (
            {"gres": "gpu:1", "constraint": "ampere"},
            "every node that fits is unavailable (state IDLE+DRAIN)",
        ),
        (
            {"gres": "gpu:1", "constraint": "ada&ampere"},
            "any node of gpu must have all of ada, ampere; none has",
        ),
        ({"partition": "bare", "gres": "gpu:1"}, "any node of bare: no such node"),
        ({"partition": "thin", "threads": 33}, "threads: 33 requested; allowed: at most 16 on"),
        ({"partition": "thin"}, "thin does not admit the accounts quant, guests"),
        (
            {"estimated_as": "l4s"},
            "l40s.estimated_as: GPU 'l4s' is not in the table of GPUs",
        ),
        ({"nodes": ["l40s03"]}, "nodes: no node 'l40s03'; did you mean 'l40s0"),
        ({"nodes": ["cpu01"]}, "nodes: cpu01 is not in the partition; allowed: l40s01"),
    ],
)
def test_what_does_not_fit(changes, words):
    found = gpu(**changes)
    assert any(problem.startswith("machine.hardware.l40s") for problem in found)
    assert any(words in problem for problem in found), found
    assert not any("\n" in problem for problem in found)


def test_both_of_two_mistakes_are_told():
    assert len(gpu(partition="gpus", gres="gpu:L40S:1")) == 2


def test_nodes_of_the_cpu():
    assert "machine.cpu.threads: 17 requested" in found_in("cpu", threads=17)[0]
    assert found_in("cpu", partition=None) == [], "cpu is the default partition"


def test_an_untyped_gpu_with_a_constraint_that_tells():
    assert gpu(gres="gpu:1", constraint="ada") == []


UNEVEN = {"partition": "uneven", "max_mem_mb": None, "mem_mb": 1000}


def test_cores_and_memory_on_one_node():
    """One node has the cores, another the memory."""
    assert gpu(**UNEVEN, constraint="ada", threads=64) == []
    assert gpu(**{**UNEVEN, "mem_mb": 160000}, constraint="ada", threads=16) == []
    (problem,) = gpu(**{**UNEVEN, "mem_mb": 160000}, constraint="ada", threads=64)
    assert problem == (
        "machine.hardware.l40s.mem_mb: 160000 requested; allowed: at most 120000 MB on any node "
        "of uneven with 64 cores"
    )


def pinned(*nodes, **changes):
    """The problems of an entry that is good for deep01, without its key."""
    found = gpu(**{**UNEVEN, "threads": 16, "nodes": list(nodes), **changes})
    return [problem.removeprefix("machine.hardware.l40s.") for problem in found]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gres": "gpu:l40s:4"}, "gres: 4 GPUs requested; allowed: at most 2 on wide01"),
        ({"constraint": "ib"}, "constraint: 'ib' is not a feature of wide01; features there: ada"),
        ({"mem_mb": 150000}, "mem_mb: 150000 requested; allowed: at most 120000 MB on wide01"),
        ({"max_mem_mb": 150000}, "max_mem_mb: 150000 given; allowed: at most 120000 MB on wide01"),
    ],
)
def test_each_node_that_is_named_has_to_fit(changes, words):
    assert pinned("deep01", **changes) == []
    assert pinned("deep01", "wide01", **changes) == [words]


def test_named_nodes_that_are_too_small_lost_or_of_another_type():
    assert pinned("wide01", "deep01", threads=17) == [
        "threads: 17 requested; allowed: at most 16 on deep01"
    ]
    assert pinned("deep01", "gone01") == [
        "gres: gone01: no GPU type 'l40s'; types there: h100 ('l40s' is on other nodes)"
    ]
    assert pinned("gone01", gres="gpu:h100:1") == [
        "machine.hardware.l40s: gone01 is unavailable (state DOWN*+NOT_RESPONDING)"
    ]
    assert "may get any of l40s, h100" in pinned("deep01", "gone01", gres="gpu:1")[0]


def test_two_gpus_and_no_default():
    site = {**GOOD, "hardware": dict.fromkeys(("l40s", "other"), GOOD["hardware"]["l40s"])}
    (note,) = site_notes(load_config({"machine": site}).machine)
    assert note == (
        "machine.default_hardware: absent, and machine.hardware has l40s, other: a study that "
        "names no hardware is refused, unless its device is 'cpu'"
    )
    site["default_hardware"] = "other"
    assert site_notes(load_config({"machine": site}).machine) == []
    assert site_notes(load_config({"machine": GOOD}).machine) == []


def test_accounts_are_the_same_whatever_their_case():
    assert gpu(**UNEVEN, constraint="ada") == []
    assert (
        found_in(account="Quant", hardware={"l40s": {**GOOD["hardware"]["l40s"], **UNEVEN}}) == []
    )


def test_the_account():
    assert found_in(account="quants") == [
        "machine.account: 'quants' is not one of your Slurm accounts; allowed: quant"
    ]
    assert "machine.account: required" in found_in(account=None)[0]


def test_the_table_of_what_there_is():
    lines = list(table_of_nodes(CLUSTER))
    assert lines[0].split() == [
        "partition", "nodes", "cores", "memory", "MB", "time", "min", "GPUs", "features",
    ]  # fmt: skip
    assert lines[2].split() == ["gpu", "2", "32", "256000", "1440", "gpu:l40s:4", "ada,ib"]
    forgetful = Cluster(CLUSTER.partitions, CLUSTER.nodes, None, 30)
    assert "MinJobAge" in list(table_of_nodes(forgetful))[-1]


def test_no_slurm_here(monkeypatch):
    monkeypatch.setattr(scontrol.shutil, "which", lambda name: None)
    with pytest.raises(CodewattError, match="scontrol: not found"):
        read_cluster()
