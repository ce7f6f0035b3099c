"""The wall time of a study: its jobs on some cards, in the order that they need."""

from pathlib import Path

import pytest

from codewatt.config.load_study import load_study
from codewatt.estimate.job_plan import Job, Plan
from codewatt.estimate.job_sums import wall_h
from codewatt.estimate.list_schedule import makespan_s
from codewatt.grid import Grid
from codewatt.paths import Paths
from codewatt.sizing.gpu_datasheets import get_gpu
from codewatt.sizing.job_costs import JobSize
from tests.support.estimates import HUB, ON_A_GPU, planned, study

REPOSITORY = Path(__file__).resolve().parents[3]


def test_more_cards_shorten_the_wall_time_down_to_the_longest_chain(tmp_path):
    plan = planned(study(**ON_A_GPU, token_limits=[64, 128, 256]), tmp_path)
    one, two, four, many = (wall_h(plan.jobs, plan, gpus) for gpus in (1, 2, 4, 1000))
    assert one == pytest.approx(sum(job.size.job_s for job in plan.jobs) / 3600)
    assert one > two > four > many
    longest = max(job.size.job_s for job in plan.jobs if job.rule == "generate")
    assert many > longest / 3600
    gpu_s = sum(j.size.job_s for j in plan.jobs if j.rule in ("quantise", "generate"))
    assert two > gpu_s / 2 / 3600, "two cards do no more than twice as much"


def scored(**changes):
    """Variants that wait for the scores of their model's layers."""
    prunes = [
        {"id": "full", "method": "none"},
        {"id": "sleb", "method": "sleb", "layers": 1, "calibration": "corpus"},
    ]
    return study(
        **{**ON_A_GPU, "prunes": prunes, "corpora": [{"id": "corpus", "source": "nano"}], **changes}
    )


def deep(**changes):
    """A series of 27 depths of a model of 28 layers."""
    prunes = [
        {"id": "full", "method": "none"},
        {"id": "last", "method": "last", "layers": "until_zero"},
    ]
    models, precisions = [{**HUB, "layers": 28}], ON_A_GPU["precisions"][:1]
    return study(
        **{**ON_A_GPU, "models": models, "precisions": precisions, "prunes": prunes, **changes}
    )


def lasting_h(jobs, rules, more_s=7.0):
    """Hours of those of these rules, one after the other, under Slurm."""
    sizes = [job.size for job in jobs if job.rule in rules]
    return sum(size.job_s + more_s for size in sizes) / 3600


TABLES = ("aggregate", "plot", "summarise")


def test_scores_come_before_the_variants_that_are_pruned_by_them(tmp_path):
    exclude = [{"prune": "full", "precision": "nf4"}, {"prune": "sleb", "precision": "fp32"}]
    plan = planned(scored(exclude=exclude), tmp_path)
    pruned = [job for job in plan.jobs if "full" not in job.id]
    fetched_h = next(job.size.job_s for job in pruned if job.rule == "download_model") / 3600
    line = ("score_layers", "quantise", "generate", "evaluate", "measure_energy", *TABLES)
    assert all(sum(job.rule == rule for job in pruned) == 1 for rule in line)
    assert wall_h(plan.jobs, plan, 1000) == pytest.approx(fetched_h + lasting_h(pruned, line))


def test_depths_of_a_series_follow_each_other_whatever_the_cards(tmp_path):
    plan = planned(deep(), tmp_path)
    assert len(plan.grid.cells) == 28
    one, two, many = (wall_h(plan.jobs, plan, gpus) for gpus in (1, 2, 1000))
    assert two == many
    judged = sum(job.size.job_s for job in plan.jobs if job.rule == "judge_depth") / 3600
    line = lasting_h(plan.jobs, ("quantise", "generate", "evaluate")) + judged
    assert line < many < line + 0.05
    assert many > one, "Slurm's seconds come on top"


def test_chains_run_beside_each_other(tmp_path):
    """A variant is made when the first of its chains gets there, and serves both."""
    plan = planned(deep(token_limits=[64, 512]), tmp_path)
    short = planned(deep(token_limits=[64]), tmp_path)
    long = planned(deep(token_limits=[512]), tmp_path)
    one, two, three = (wall_h(plan.jobs, plan, gpus) for gpus in (1, 2, 3))
    assert two == three == pytest.approx(wall_h(long.jobs, long, 2), rel=0.03)
    assert two < one < wall_h(long.jobs, long, 2) + wall_h(short.jobs, short, 2)


def test_what_a_job_needs_is_among_the_jobs_of_every_study(tmp_path):
    for path in (REPOSITORY / "config/studies").glob("*.yaml"):
        grid = Grid(load_study(path))
        cards = {None: None if grid.study.device == "cpu" else get_gpu("h200")}
        jobs = Plan(grid, Paths.of(tmp_path, grid.study), cards, 8).jobs
        keys = {(job.rule, job.id) for job in jobs}
        assert len(keys) == len(jobs)
        assert {key for job in jobs for key in (*job.needs, *job.needs_one)} <= keys


def timed(name, *needs, one=(), computes=True):
    """A job that takes as many seconds as its name says."""
    size = JobSize(float(name[0]), 0.0, 0.0, 0, 0, 0)
    all_of, one_of = (tuple(("r", other) for other in names) for names in (needs, one))
    return Job("r", name, None, None, size, False, computes, None, all_of, one_of)


@pytest.mark.parametrize(
    ("cards", "seconds"),
    [
        (1, 12.0),  # 3a 2b 3c 2e, and 9d from 3 to 12
        (2, 11.0),  # 9d from 2 to 11: 2b is enough
        (10**30, 11.0),
    ],
)
def test_a_schedule_that_was_made_by_hand(cards, seconds):
    jobs = [
        timed("9d", one=("3a", "2b"), computes=False),
        timed("2e", "3a", "2b"),
        timed("3a"),
        timed("2b"),
        timed("3c", "2b"),
    ]
    assert makespan_s(jobs, cards, lambda job: job.size.job_s) == seconds
    without = makespan_s(jobs[1:], cards, lambda job: job.size.job_s)
    assert without == (10.0 if cards == 1 else 5.0)


def test_the_longest_line_goes_first():
    """Not the longest job: 4x has 5 s behind 1a."""
    jobs = [timed("4x"), timed("1a"), timed("5b", "1a", computes=False)]
    assert makespan_s(jobs, 1, lambda job: job.size.job_s) == 6.0
