"""Where Snakemake is started, where results go, and what the user's text holds change no job."""

import copy
import os
import subprocess

import pytest
import yaml

from tests.support.patience import PATIENCE_S
from tests.support.workbench import SMALL, Workbench, jobs_in

pytestmark = pytest.mark.dag


@pytest.fixture(scope="module")
def bench(repository, tmp_path_factory):
    """A copy of the project, under a path with a space, in which nothing has run."""
    made = Workbench(repository, tmp_path_factory.mktemp("a checkout"))
    made.write_study(SMALL)
    return made


@pytest.fixture(scope="module")
def planned(bench):
    """The jobs of the small study, started in the checkout."""
    return bench.would_run()


def _run(bench, folder, *arguments, **environment):
    """A dry run that is started elsewhere."""
    return subprocess.run(
        ["snakemake", "-s", str(bench.root / "Snakefile"), "-n", *arguments],
        cwd=folder,
        env={**bench.environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
    )


def test_another_working_directory_plans_the_same_jobs(bench, planned, tmp_path):
    folder = tmp_path / "work {x} here"
    folder.mkdir()
    (folder / "study.yaml").write_text(yaml.safe_dump(SMALL))
    done = _run(bench, folder, "--cores", "1", "--config", "study=study.yaml")
    assert set(jobs_in(done.stdout)) == planned, done.stdout
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text("study: study.yaml\nresults: there\n")
    done = _run(bench, tmp_path, "--cores", "1", "--directory", str(folder))
    assert set(jobs_in(done.stdout)) == planned, done.stdout
    assert "there/small/summary.html" in done.stdout


def test_the_default_study_is_found_from_elsewhere(bench, tmp_path):
    done = _run(bench, tmp_path, "--cores", "1")
    assert done.returncode == 0, done.stdout
    assert "results/nano/summary.html" in done.stdout


def test_the_home_directory_is_put_in(bench, planned, tmp_path):
    done = _run(
        bench,
        bench.root,
        *("--cores", "1", "--config", "study=~/study.yaml", "results=~/out"),
        HOME=str(tmp_path),
    )
    assert f"codewatt: {tmp_path}/study.yaml: no such file" in done.stdout
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(SMALL))
    done = _run(
        bench,
        bench.root,
        *("--cores", "1", "--config", "study=~/study.yaml", "results=~/out"),
        HOME=str(tmp_path),
    )
    assert set(jobs_in(done.stdout)) == planned, done.stdout
    assert f"{tmp_path}/out/small/summary.html" in done.stdout
    assert not (bench.root / "~").exists()


TEXT = "{model} {{x}} {0} {wildcards.cell} $(touch here) `touch here` %s <b> \N{GRINNING FACE}"


def test_users_text_is_no_wildcard(bench, planned):
    study = copy.deepcopy(SMALL)
    study["title"] = TEXT
    for kind in ("models", "prunes", "precisions", "benchmarks"):
        for entry in study[kind]:
            entry["label"] = f"{entry['id']} {TEXT}"
    bench.write_study(study)
    assert bench.would_run() == planned
    assert not (bench.root / "here").exists()


REFUSED = {
    "results that are a wildcard": (("results=out{x}",), "results: 'out{x}' contains a brace"),
    "results below a file": (("results=study.yaml/x",), "study.yaml is a file; allowed: a direc"),
    "a study that is a directory": (("study=config",), "config: is a directory; allowed: a file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_place_that_cannot_be_is_one_line(bench, name):
    config, said = REFUSED[name]
    bench.write_study(SMALL)
    chosen = config if config[0].startswith("study=") else ("study=study.yaml", *config)
    done = _run(bench, bench.root, "--cores", "1", "--config", *chosen)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("codewatt: ")]
    assert said in line
    assert done.returncode != 0
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"energy": {"country": "ZZZ"}},
            "study.yaml: energy.country: no carbon intensity for 'ZZZ",
        ),
        ({"evaluation": {"k": [2]}}, "study.yaml: evaluation.k: pass@2 needs 2 completions"),
        (
            {"token_limits": [24, 256]},
            "study.yaml: token_limits: 256: the context of model 'one' has 256",
        ),
        (
            {"energy": {"idle_s": float("inf")}},
            "study.yaml: energy.idle_s: inf: a number must be f",
        ),
    ],
)
def test_what_a_job_would_refuse_is_refused_before_any(bench, change, said):
    bench.write_study({**SMALL, **change})
    done = _run(bench, bench.root, "--cores", "1", "--config", "study=study.yaml")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("codewatt: ")]
    assert line.startswith(f"codewatt: {said}")
    assert jobs_in(done.stdout) == []


def test_a_python_under_a_path_with_a_space_is_refused(bench, tmp_path):
    """A link to this Python's environment, under such a path."""
    import sys

    (tmp_path / "my venv").symlink_to(sys.prefix, target_is_directory=True)
    bench.write_study(SMALL)
    done = subprocess.run(
        [
            str(tmp_path / "my venv" / "bin" / os.path.basename(sys.executable)),
            *("-m", "snakemake", "-n", "--cores", "1", "--config", "study=study.yaml"),
        ],
        cwd=bench.root,
        env=bench.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
    )
    assert "cannot start jobs with this Python, because its path contains spaces" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_model_that_is_not_pinned_is_planned_but_nothing_runs(bench):
    hub = {"id": "one", "source": "hub", "repo": "a/b", "revision": "main"}
    bench.write_study({**copy.deepcopy(SMALL), "models": [hub], "exclude": []})
    assert ("download_model", "one") in bench.would_run()
    done = bench.snakemake("--cores", "1", check=False)
    assert done.returncode != 0
    assert (
        "is not a commit; allowed: 40 hex digits; on a machine with a network, `codewatt pin"
        in (done.stdout)
    )
    assert not (bench.root / "results").exists()
