"""What jobs request of Slurm, and which settings would override it."""

import copy
from types import SimpleNamespace

import pytest
from snakemake.settings.types import ResourceSettings

from codewatt.cells import Grid
from codewatt.config.load_study import load_config, validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.paths import Paths
from codewatt.placement.job_requests import (
    ModelJob,
    check_hardware,
    cpu_request,
    judge_request,
    model_request,
)
from codewatt.placement.job_sizes import JobSizes
from codewatt.placement.profile_checks import refuse_overrides, refuse_run
from codewatt.slurm.job_environment import prepare_job
from tests.support.workbench import SMALL

SITE = {
    "account": "quant",
    "cpu": {"partition": "cpu", "threads": 4, "max_mem_mb": 9000, "max_runtime_min": 100},
    "hardware": {
        "l40s": {
            "gres": "gpu:l40s:1",
            "gpu_name": "NVIDIA L40S",
            "partition": "gpu",
            "constraint": "new",
            "threads": 8,
            "mem_mb": 4000,
            "runtime_min": 30,
            "exclusive": True,
            "nodes": ["g1", "g2"],
        },
        "a100": {"gres": "gpu:1", "threads": 8, "gpu_name": "NVIDIA A100.*"},
    },
}


def machine_of(**changes):
    return load_config({"machine": {**copy.deepcopy(SITE), **changes}}).machine


def study_of(**changes):
    return validate(Study, {**copy.deepcopy(SMALL), **changes}, "study.yaml")


def asked(machine, hardware, number=0, attempt=1, on_gpu=True, size=None, **study):
    job = ModelJob("generate", "x", "one", hardware, on_gpu)
    return model_request(study_of(**study), machine, job, number, attempt, size)


def test_a_gpu_job():
    assert asked(machine_of(), "l40s") == {
        "mem_mb": 4000,
        "runtime": 30,
        "cpus_per_task": 8,
        "gres": "gpu:l40s:1",
        "slurm_partition": "gpu",
        "constraint": "new",
        "slurm_account": "quant",
        "slurm_extra": "--nodelist=g1 --exclusive",
    }


def test_each_model_has_its_node():
    extra = [asked(machine_of(), "l40s", number)["slurm_extra"] for number in range(3)]
    assert [words.split()[0] for words in extra] == [
        "--nodelist=g1",
        "--nodelist=g2",
        "--nodelist=g1",
    ]


def test_a_retry_asks_for_more_up_to_what_there_is():
    machine = machine_of()
    tries = [asked(machine, "l40s", attempt=attempt) for attempt in (1, 2, 3)]
    assert [(t["mem_mb"], t["runtime"]) for t in tries] == [(4000, 30), (8000, 60), (12000, 90)]
    tries = [cpu_request(machine, 4000, 60, attempt) for attempt in (1, 2, 3)]
    assert [(t["mem_mb"], t["runtime"]) for t in tries] == [(4000, 60), (8000, 100), (9000, 100)]


def test_a_job_is_sized_by_its_model_unless_the_site_file_says_otherwise():
    size = {"mem_mb": 20000, "runtime_min": 99, "vram_bytes": 1}
    known = asked(machine_of(), "a100", size=size)
    assert (known["mem_mb"], known["runtime"]) == (20000, 99)
    tiny = asked(machine_of(), "a100", size={"mem_mb": 5, "runtime_min": 11})
    assert (tiny["mem_mb"], tiny["runtime"]) == (3000, 11), "Python and torch are there as well"
    unknown = asked(machine_of(), "a100")
    assert (unknown["mem_mb"], unknown["runtime"]) == (32000, 240)
    site = asked(machine_of(), "l40s", size=size)
    assert (site["mem_mb"], site["runtime"]) == (4000, 30)


def test_a_study_on_the_cpu_takes_a_gpu_only_where_it_names_one():
    assert asked(machine_of(), "l40s", device="cpu")["gres"] == "gpu:l40s:1"
    machine = machine_of(default_hardware="l40s")
    assert "gres" not in asked(machine, None, device="cpu")
    assert asked(machine, None, device="auto")["gres"] == "gpu:l40s:1"


def test_a_job_without_a_gpu_asks_for_none():
    for request in (
        cpu_request(machine_of(), 2000, 60, 1),
        asked(machine_of(), "l40s", on_gpu=False),
    ):
        assert "gres" not in request
        assert request["slurm_partition"] == "cpu"


def test_a_measured_job_has_the_nodes_cores():
    assert cpu_request(machine_of(), 2000, 60, 1)["cpus_per_task"] == 1
    assert cpu_request(machine_of(), 2000, 60, 1, measured=True)["cpus_per_task"] == 4


def judged(attempt=1, **cpu):
    request = judge_request(machine_of(cpu={"partition": "cpu", "threads": 4, **cpu}), attempt)
    return request["mem_mb"], request["runtime"], request["cpus_per_task"]


def test_a_job_that_judges_has_what_its_sandboxes_may_hold():
    """4 GiB a sandbox and one a core, beside 4000 MB; from 128 cores on no more of them."""
    assert judged() == (4000 + 4 * 4295, 60, 4)
    assert judged(threads=1)[0] == 4000 + 4295
    assert judged(threads=128)[0] == judged(threads=192)[0] == 4000 + 549_756
    assert judged(attempt=2) == (2 * 21180, 120, 4)
    assert judged(attempt=2, max_mem_mb=30000, max_runtime_min=90) == (30000, 90, 4)


def test_the_sites_memory_and_time_reach_the_jobs_that_judge():
    assert judged(mem_mb=50000, runtime_min=240) == (50000, 240, 4)
    assert judged(mem_mb=1000, runtime_min=10) == (21180, 60, 4), "less than they need"


def test_without_a_site_nothing_is_placed():
    assert set(asked(load_config({}).machine, None, device="auto")) == {"mem_mb", "runtime"}


def test_hardware_without_an_entry():
    with pytest.raises(CodewattError, match=r"s.yaml: hardware: 'h100' has no entry .*l40s, a100"):
        check_hardware(study_of(hardware=["l40s", "h100"]), machine_of(), "s.yaml")
    check_hardware(study_of(hardware=["l40s"]), machine_of(), "s.yaml")


def test_a_gpu_to_be_estimated_as_one_that_is_not_in_the_table():
    """Its jobs would ask for what a job of unknown size does, and nobody would know why."""
    wrong = machine_of(hardware={"a100": {"gres": "gpu:1", "estimated_as": "a100-08"}})
    with pytest.raises(
        CodewattError, match=r"machine.hardware.a100.estimated_as: GPU 'a100-08' is"
    ):
        check_hardware(study_of(), wrong, "s.yaml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"gres": "gpu:a100-sxm4:1"},
            "'gpu:a100-sxm4:1' is not allowed; allowed: gpu:TYPE:N .*gpu:N with a constr",
        ),
        ({"gres": "gpu:l40s:1,lscratch:10"}, "is not allowed; allowed: gpu:TYPE:N"),
        ({"gres": "gpu:l40s"}, "is not allowed; allowed: gpu:TYPE:N"),
        ({"gres": "gpu:l40s:0"}, "is not allowed; allowed: gpu:TYPE:N"),
        ({"gpu_name": "NVIDIA ("}, "is not a regular expression"),
        (
            {"gpu_name": ""},
            "machine.hardware.l40s.gpu_name: '' is not the name of a GPU; allowed: a name",
        ),
        ({"nodes": ["gpu[01-04]"]}, "is not the name of a node"),
        (
            {"partion": "gpu"},
            "machine.hardware.l40s.partion: unknown key; did you mean 'partition'",
        ),
        ({"mem_mb": 100}, "machine.hardware.l40s.mem_mb: 100"),
        ({"threads": "8"}, "machine.hardware.l40s.threads: '8'"),
        ({"max_mem_mb": 3000}, "machine.hardware.l40s: mem_mb 4000 is more than max_mem_mb 3000"),
        ({"max_runtime_min": 29}, "hardware.l40s: runtime_min 30 is more than max_runtime_min 29"),
    ],
)
def test_a_mistake_in_the_site_file(changes, words):
    with pytest.raises(CodewattError, match=words):
        machine_of(hardware={"l40s": {**SITE["hardware"]["l40s"], **changes}})


def test_a_default_that_is_not_listed():
    with pytest.raises(
        CodewattError, match="default_hardware: no entry 'h100' in hardware; allowed: l40s, a100"
    ):
        machine_of(default_hardware="h100")


def settings_of(set_resources=None, default_resources=None, **others):
    """Of Snakemake's own ResourceSettings, so that a name that it drops fails here."""
    return ResourceSettings(
        overwrite_resources=set_resources or {}, default_resources=default_resources, **others
    )


def run_of(study=None, machine=None, resources=None, groups=None, **executor):
    refuse_run(
        study or study_of(hardware=["l40s"]),
        machine or machine_of(),
        ["quantise", "generate", "evaluate"],
        ["quantise", "generate"],
        resources or settings_of(),
        SimpleNamespace(**{"array_jobs": None, "requeue": False, **executor}),
        groups or {},
    )


def test_a_good_run():
    run_of(
        resources=settings_of({"generate": {"mem_mb": 1}}, {"mem_mb": 1, "runtime": 1}),
        groups={"evaluate": "judged"},
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"array_jobs": "generate"}, "slurm-array-jobs is refused"),
        ({"requeue": True}, "slurm-requeue is refused"),
        ({"groups": {"generate": "g"}}, "groups: generate is refused"),
        ({"resources": settings_of({"genrate": {"mem_mb": 1}})}, "no rule 'genrate'"),
        ({"resources": settings_of(resources={"mem_mb": 4000})}, "resources: mem_mb is refused"),
        ({"resources": settings_of(resources={"runtime": 5})}, "resources: runtime is refused"),
        ({"resources": settings_of(overwrite_threads={"generate": 1})}, "set-threads is refused"),
        ({"resources": settings_of(max_threads=2)}, "max-threads is refused"),
        ({"study": study_of(device="auto")}, "machine.default_hardware: required"),
    ],
)
def test_what_would_misplace_a_job(arguments, words):
    with pytest.raises(CodewattError, match=words):
        run_of(**arguments)


@pytest.mark.parametrize("name", ["gres", "gpu", "slurm_partition", "constraint", "cpus_per_task"])
def test_resources_that_say_where(name):
    with pytest.raises(CodewattError, match=f"set-resources: generate:{name} is refused"):
        refuse_overrides(settings_of({"generate": {name: "x"}}))
    with pytest.raises(CodewattError, match=f"default-resources: {name} is refused"):
        refuse_overrides(settings_of(None, {name: "x"}))


@pytest.mark.parametrize("key", ["gres", "threads", "gpu_name"])
def test_what_a_cluster_needs(key):
    entry = {name: value for name, value in SITE["hardware"]["l40s"].items() if name != key}
    machine = machine_of(hardware={"l40s": entry})
    with pytest.raises(CodewattError, match=f"machine.hardware.l40s.{key}: required on a cluster"):
        run_of(study_of(device="auto"), machine)


def test_a_study_on_the_cpu_needs_no_gpus_name():
    entry = {k: v for k, v in SITE["hardware"]["l40s"].items() if k != "gpu_name"}
    run_of(study_of(hardware=["l40s"]), machine_of(hardware={"l40s": entry}))
    run_of(study_of(), machine_of(hardware={}))


def test_a_jobs_environment():
    environment = {"CODEWATT_RUN": "login:1:2", "SLURM_JOB_CPUS_PER_NODE": "16(x1)"}
    prepare_job(environment)
    assert "CODEWATT_RUN" not in environment
    assert (environment["HF_HUB_OFFLINE"], environment["CODEWATT_JOB_CPUS"]) == ("1", "16(x1)")


def sizes_of(study, machine, results):
    """Hardware -> what the study's first cell on it asks for."""
    grid = Grid(study)
    sizes = JobSizes(grid, Paths.of(results, study), machine, 8)
    cells = {cell.hardware: cell for cell in reversed(grid.cells)}
    return {
        name: sizes.size(ModelJob("generate", cell.id, cell.model, name))
        for name, cell in cells.items()
    }


def test_sizes_come_from_the_estimate_of_each_gpu(tmp_path):
    """By the hardware's own name or the one that the site file says; of no card, no size."""
    table = {"t4": {}, "fast": {"estimated_as": "h200"}, "unheard-of": {}}
    machine = machine_of(hardware={name: {"gres": "gpu:1", **e} for name, e in table.items()})
    study = study_of(hardware=list(table), device="cuda", token_limits=[2048], batch_sizes=[64])
    asked = sizes_of(study, machine, tmp_path)
    assert asked["t4"]["mem_mb"] == asked["fast"]["mem_mb"] > 0
    assert asked["unheard-of"] is None


def test_sizes_of_a_study_without_hardware_are_those_of_the_sites_own(tmp_path):
    machine = machine_of(hardware={"a100": {"gres": "gpu:1"}})
    assert sizes_of(study_of(device="cuda"), machine, tmp_path)[None]["runtime_min"] > 0
    assert sizes_of(study_of(device="cuda"), machine_of(), tmp_path) == {None: None}, "one of two"
    assert sizes_of(study_of(device="cpu"), machine_of(), tmp_path)[None]["runtime_min"] > 0
