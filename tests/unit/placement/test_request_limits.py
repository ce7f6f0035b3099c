"""Jobs that need more than the site allows are told before they run: a line a rule and maximum."""

import copy

from codewatt.config.load_study import load_config, validate
from codewatt.config.study import Study
from codewatt.placement.job_requests import ModelJob
from codewatt.placement.request_limits import requests_above_limit
from tests.support.workbench import SMALL

SITE = {
    "cpu": {"partition": "cpu", "threads": 4, "max_mem_mb": 9000},
    "hardware": {
        "l40s": {"gres": "gpu:l40s:1", "max_mem_mb": 60000, "max_runtime_min": 240},
        "a100": {"gres": "gpu:a100:1"},
    },
}


def told(*jobs, overridden=None, **entry):
    """What is said of jobs: (rule, id, hardware, MB, min); entry: of the L40S."""
    site = copy.deepcopy(SITE)
    site["hardware"]["l40s"].update(entry)
    study = validate(Study, {**copy.deepcopy(SMALL), "hardware": ["l40s", "a100"]}, "study.yaml")
    sized = [
        (
            ModelJob(rule, name, "one", hardware, hardware is not None),
            None if mem_mb is None else {"mem_mb": mem_mb, "runtime_min": runtime_min},
        )
        for rule, name, hardware, mem_mb, runtime_min in jobs
    ]
    return requests_above_limit(
        study, load_config({"machine": site}).machine, sized, overridden or {}
    )


LARGE = ("generate", "large", "l40s", 84790, 414)


def test_the_largest_job_stands_for_all():
    others = (("generate", "less", "l40s", 70000, 10), ("generate", "fits", "l40s", 60000, 240))
    assert told(others[0], LARGE, others[1]) == [
        "generate: 2 of 3 jobs are estimated to need more than 60000 MB, up to 84790 (large), but "
        "every attempt requests 60000; raise machine.hardware.l40s.max_mem_mb",
        "generate: 1 of 3 jobs are estimated to need more than 240 min, up to 414 (large), but "
        "every attempt requests 240; raise machine.hardware.l40s.max_runtime_min",
    ]


def test_what_fits_or_has_no_maximum_is_not_told():
    assert (
        told(("generate", "fits", "l40s", 60000, 240), ("generate", "x", "a100", 10**6, 9999)) == []
    )


def test_a_job_without_a_gpu_is_cut_by_the_cpus_maximum():
    (line,) = told(("quantise", "v", None, 9001, 10))
    assert line.endswith("raise machine.cpu.max_mem_mb")


def test_what_is_not_known_or_not_asked_for_is_not_told():
    assert told(("generate", "x", "l40s", None, None)) == []
    assert told(LARGE, mem_mb=30000, runtime_min=60) == [], "the site file says it itself"
    (line,) = told(LARGE, overridden={"generate": {"mem_mb": 90000}})
    assert "max_runtime_min" in line
