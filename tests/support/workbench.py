"""A copy of the project in a directory of its own, in which Snakemake runs for real."""

import copy
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.dry_runs import dry_run

#: A run of Snakemake that takes longer hangs.
TIMEOUT_S = 1800
_COPIED = ("Snakefile", "config", "workflow", "src", "envs", "profiles", "requirements")
_JOB = re.compile(r"^ *(?:local)?(?:rule|checkpoint) (?P<rule>\w+):")
_WILDCARD = re.compile(r"^ +wildcards: \w+=(?P<value>[^\s,]+)")
_PRIORITY = re.compile(r"^ +priority: (?P<value>\d+)")
TARGETS = {
    "report",
    "quantise_all",
    "quantise_autoawq",
    "quantise_auto_gptq",
    "fidelity_all",
    "generate_all",
    "generate_aa",
    "evaluate_all",
    "energy_all",
    "aggregate_all",
    "plot_all",
}

#: So many that a repeat outlasts CodeCarbon's 0.1 s a few times on a fast machine too.
TASKS = 12

SMALL: dict[str, Any] = {
    "study": "small",
    "title": "A study small enough for tests",
    "models": [
        {"id": "one", "source": "nano", "architecture": "starcoder2", "steps": 110},
        {"id": "two", "source": "nano", "architecture": "qwen2", "steps": 110, "seed": 1},
    ],
    "prunes": [
        {"id": "full", "method": "none"},
        {"id": "last1", "method": "last", "layers": 1},
    ],
    "precisions": [
        {"id": "fp32", "method": "none", "dtype": "float32"},
        {"id": "int8", "method": "bitsandbytes", "quant_type": "int8", "compute_dtype": "float32"},
    ],
    "benchmarks": [{"id": "nano", "kind": "nano", "tasks": TASKS}],
    "token_limits": [24],
    "batch_sizes": [2],
    "device": "cpu",
    "decoding": {"repeats": 2},
    "evaluation": {"sanitize": False},
    "energy": {
        "idle_s": 0.3,
        "codecarbon_interval_s": 0.1,
        "validity": {"min_window_s": 0.05, "min_readings": 1},
    },
    "baseline": {"precision": "fp32", "prune": "full"},
    "exclude": [
        {"precision": "int8", "prune": "last1"},
        {"model": "two", "precision": "int8"},
        {"model": "two", "prune": "last1"},
    ],
}

#: Columns of the tables that are the same wherever and however often a study is run.
SAME: dict[str, list[str]] = {
    "task": [
        "cell_id",
        "session",
        "repeat",
        "sample",
        "task_id",
        "prompt_tokens",
        "new_tokens",
        "stop_reason",
        "base_status",
        "plus_status",
    ],
    "cell": [
        "cell_id",
        "status",
        "sessions",
        "repeats",
        "tasks",
        "pass_at_1_base",
        "pass_at_1_plus",
    ],
    "variant": ["variant_id", "method", "dtype", "layers", "parameters", "size_bytes"],
}


class Workbench:
    """A copy of the project, one study file, and Snakemake on them."""

    def __init__(self, repository: Path, root: Path) -> None:
        self.root = root
        for name in _COPIED:
            source = repository / name
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=ignored)
            else:
                shutil.copyfile(source, root / name)
        self.study_file = root / "study.yaml"

    @classmethod
    def at(cls, root: Path) -> "Workbench":
        """The copy of the project that is in a directory already."""
        bench = cls.__new__(cls)
        bench.root, bench.study_file = root, root / "study.yaml"
        return bench

    def copied(self, root: Path) -> "Workbench":
        """The same with its results and all that Snakemake knows of them, elsewhere."""
        other = copy.copy(self)
        shutil.copytree(self.root, root)
        other.root, other.study_file = root, root / self.study_file.name
        return other

    def write_study(self, study: dict[str, Any]) -> None:
        """Make this the study that runs."""
        self.study_file.write_text(yaml.safe_dump(study, sort_keys=False))

    def command(self, *arguments: str) -> list[str]:
        """Snakemake's command line for this study."""
        return ["snakemake", *arguments, "--config", "study=study.yaml"]

    def environment(self) -> dict[str, str]:
        """Without what an outer Snakemake or a cluster would have left."""
        dropped = ("SNAKEMAKE", "SLURM_", "CODEWATT_RUN", "PYTHONPATH")
        return {k: v for k, v in os.environ.items() if not k.startswith(dropped)}

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end; its output is in .stdout."""
        program, *rest = self.command(*arguments)
        if program == "snakemake" and "-n" in rest:
            done = dry_run(rest, self.root, self.environment(), TIMEOUT_S)
        else:
            done = subprocess.run(
                [program, *rest],
                cwd=self.root,
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT_S,
            )
        assert not check or done.returncode == 0, done.stdout[-6000:]
        return done

    def would_run(self, *arguments: str) -> set[tuple[str, str]]:
        """(rule, wildcard value or '') of each job that a run would start, targets aside."""
        return set(jobs_in(self.snakemake("-n", *arguments).stdout))

    @contextmanager
    def appended(self, path: str, text: str = "EDITED = 1\n") -> Iterator[None]:
        """One file of the copy with text at its end, put back afterwards."""
        file = self.root / path
        before = file.read_text()
        file.write_text(before + text)
        try:
            yield
        finally:
            file.write_text(before)

    @contextmanager
    def edited(self, path: str, old: str, new: str) -> Iterator[None]:
        """One file of the copy with a change in it, put back afterwards."""
        file = self.root / path
        before = file.read_text()
        assert old in before, f"{path} does not hold {old!r}"
        file.write_text(before.replace(old, new, 1))
        try:
            yield
        finally:
            file.write_text(before)


def jobs_in(output: str) -> list[tuple[str, str]]:
    """(rule, wildcard value or '') of each job in Snakemake's output, in order, targets aside."""
    return [job for job, _ in _printed_jobs(output)]


def priorities_in(output: str) -> dict[tuple[str, str], int]:
    """(rule, wildcard value or '') -> priority of each job in Snakemake's output."""
    return dict(_printed_jobs(output))


def _printed_jobs(output: str) -> Iterator[tuple[tuple[str, str], int]]:
    """(rule, wildcard value or ''), and the priority, of each job that Snakemake printed."""
    rule, value, priority = "", "", 0
    for line in [*output.splitlines(), "rule end_of_output:"]:
        if match := _JOB.match(line):
            if rule and rule not in TARGETS:
                yield (rule, value), priority
            rule, value, priority = match["rule"], "", 0
        elif match := _WILDCARD.match(line):
            value = match["value"]
        elif match := _PRIORITY.match(line):
            priority = int(match["value"])
