"""The raw files of a study: its YAML, the cells that it asks for, and what each stage left."""

import gzip
import hashlib
import itertools
import json
from pathlib import Path

import pandas as pd
import yaml

from recomputed.soundness import Limits

#: Axis of the grid -> key of the study that lists its values, and the default.
AXES = {
    "model": ("models", None),
    "prune": ("prunes", None),
    "precision": ("precisions", None),
    "benchmark": ("benchmarks", None),
    "prompt": ("prompts", ["stripped"]),
    "token_limit": ("token_limits", None),
    "batch_size": ("batch_sizes", [1]),
    "engine": ("engines", ["transformers"]),
    "hardware": ("hardware", [None]),
}


def read_json(path):
    """A JSON file, gzipped if its name says so."""
    content = Path(path).read_bytes()
    return json.loads(gzip.decompress(content) if str(path).endswith(".gz") else content)


class Study:
    """A study's YAML and its results folder."""

    def __init__(self, yaml_path, results):
        self.yaml = yaml.safe_load(Path(yaml_path).read_text())
        self.results = Path(results)
        self.baseline = self.yaml["baseline"]
        self.sessions = self.yaml.get("sessions", 1)
        self.order_seed = self.yaml.get("order_seed", 0)
        energy = self.yaml.get("energy") or {}
        self.boundary, self.country = energy.get("boundary", "node"), energy.get("country", "NLD")
        self.limits = Limits(energy)
        comparisons = self.yaml.get("comparisons") or {}
        self.margin = comparisons.get("pass_at_1_margin", 0.02)
        self.board_spread = comparisons.get("board_spread", 0.12)
        self.equivalence_margin = comparisons.get("equivalence_margin", 0.05)
        self.pairs = comparisons.get("pairs", [])
        self.ks = (self.yaml.get("evaluation") or {}).get("k", [1])
        self.fidelity = self.yaml.get("fidelity")
        self.prunes = {p["id"]: p for p in self.yaml["prunes"]}
        self.precisions = {p["id"]: p for p in self.yaml["precisions"]}

    def file(self, recorded):
        """A file of this study by the path that a manifest has of it, wherever results are now."""
        parts = Path(recorded).parts
        name = self.results.name
        if name in parts:
            here = self.results.joinpath(*parts[parts.index(name) + 1 :])
            if here.exists():
                return here
        return Path(recorded)

    def layers_removed(self, prune):
        """How many layers a prune setting removes; `last-3` is a depth of the series `last`."""
        if prune in self.prunes:
            return self.prunes[prune].get("layers", 0)
        return int(prune.rpartition("-")[2])

    def cells(self):
        """The cells of the grid that ran, read, each in each session.

        A series ends where nothing was solved in the first session.
        """
        asked = {
            axis: [v["id"] if isinstance(v, dict) else v for v in self.yaml.get(key) or default]
            for axis, (key, default) in AXES.items()
        }
        found = {}
        for folder in sorted((self.results / "cells").iterdir()):
            if folder.name.endswith("--again") or not (folder / "generate.json").is_file():
                continue
            cell = Cell(self, folder)
            if self._in_grid(cell.ids, asked) and cell.session <= self.sessions:
                found[folder.name] = cell
        first = {cell.key: cell for cell in found.values() if cell.session == 1}
        kept = [cell for cell in found.values() if self._reached(cell, first)]
        there = {(*cell.key, cell.session) for cell in kept}
        wanted = {
            (*key, session) for key in self._fixed(asked) for session in range(1, self.sessions + 1)
        }
        kept.sort(key=lambda cell: (self._place(cell.ids, asked), cell.session))
        return kept, [
            f"a cell of the grid has no results: {key}" for key in sorted(wanted - there, key=str)
        ]

    def _place(self, ids, asked):
        """Where a cell stands in the grid: the last axis varies first."""
        places = []
        for axis, values in asked.items():
            series = self._series(ids["prune"]) if axis == "prune" else None
            depth = self.layers_removed(ids["prune"]) if series else 0
            places.append((values.index(series or ids[axis]), depth))
        return places

    def _in_grid(self, ids, asked):
        prune = ids["prune"]
        series = self._series(prune)
        on_axes = all(
            value in asked[axis] or (axis == "prune" and series is not None)
            for axis, value in ((axis, ids[axis]) for axis in AXES)
        )
        whole = prune in self.prunes and self.prunes[prune].get("layers") == "until_zero"
        return on_axes and not whole and not self._excluded(ids)

    def _series(self, prune):
        """The id of the series that a depth is of; None for a single setting."""
        name, _, depth = prune.rpartition("-")
        series = self.prunes.get(name, {}).get("layers") == "until_zero" and depth.isdigit()
        return name if series and prune not in self.prunes else None

    def _excluded(self, ids):
        def matches(entry):
            for axis, wanted in entry.items():
                values = wanted if isinstance(wanted, list) else [wanted]
                if ids[axis] not in values and not (
                    axis == "prune" and self._series(ids["prune"]) in values
                ):
                    return False
            return True

        return any(matches(entry) for entry in self.yaml.get("exclude") or [])

    def _fixed(self, asked):
        """The cells of settings that are no series, by their ids on the axes."""
        every = (
            dict(zip(AXES, values, strict=True)) for values in itertools.product(*asked.values())
        )
        return {
            tuple(ids.values())
            for ids in every
            if self.prunes[ids["prune"]].get("layers") != "until_zero" and not self._excluded(ids)
        }

    def _reached(self, cell, by_key):
        """Whether all shallower depths of a series solved a task.

        Args:
            by_key: the cells of the first session by their ids on the axes.
        """
        series = self._series(cell.ids["prune"])
        if series is None:
            return True
        full = [p for p, setting in self.prunes.items() if setting["method"] == "none"]
        depths = range(1, self.layers_removed(cell.ids["prune"]))
        for prune in [*full, *(f"{series}-{depth}" for depth in depths)]:
            other = by_key.get(tuple({**cell.ids, "prune": prune}[axis] for axis in AXES))
            if other is None:
                if prune in full:
                    continue
                return False
            if not other.ran or not (other.tasks["base_status"] == "pass").any():
                return False
        return True


class Cell:
    """The files of one cell in one session; `problems`: where they contradict each other."""

    def __init__(self, study, folder):
        self.folder, self.problems = folder, []
        self.generate = read_json(folder / "generate.json")
        self.session = self.generate["cell"].get("session", 1)
        self.suffix = "" if self.session == 1 else f"--s{self.session}"
        self.id = folder.name.removesuffix(self.suffix)
        self.ids = {axis: self.generate["cell"].get(axis) for axis in AXES}
        self.key = tuple(self.ids.values())
        self.variant = "--".join(self.ids[axis] for axis in ("model", "prune", "precision"))
        self.removed = study.layers_removed(self.ids["prune"]) if study is not None else 0
        self._check_name()
        self.ran = self.generate["status"] == "ok"
        if self.ran:
            self._read_results()

    def _check_name(self):
        ids = self.ids
        hardware = [ids["hardware"]] if ids["hardware"] else []
        asked = f"t{ids['token_limit']}", f"b{ids['batch_size']}", ids["engine"], *hardware
        name = "--".join((self.variant, ids["benchmark"], ids["prompt"], *asked))
        if name + self.suffix != self.folder.name:
            self.problems.append(f"generate.json is of {name}{self.suffix}")
        for file, described in self.generate["files"].items():
            digest = hashlib.sha256((self.folder / file).read_bytes()).hexdigest()
            if digest != described["sha256"]:
                self.problems.append(f"{file} is not the one that generate.json describes")

    def _read_results(self):
        key = ["repeat", "sample", "task_id"]
        self.evaluate = read_json(self.folder / "evaluate.json")
        self.energy = read_json(self.folder / "energy.json")
        tasks = pd.read_parquet(self.folder / "tasks.parquet")
        tasks["place"] = range(len(tasks))  # the order in which they were generated
        verdicts = pd.DataFrame(self.evaluate["verdicts"])
        with gzip.open(self.folder / "completions.jsonl.gz", "rt") as lines:
            completions = pd.DataFrame([json.loads(line) for line in lines])
        named = verdicts.rename(columns={"base": "base_status", "plus": "plus_status"})
        named = named[[*key, "base_status", "plus_status", "why"]]
        merged = tasks.merge(named, on=key, how="outer")
        merged = merged.merge(completions[[*key, "completion"]], on=key, how="outer")
        if not len(tasks) == len(named) == len(completions) == len(merged):
            self.problems.append("tasks, verdicts and completions are not of the same tasks")
        self.tasks = merged.sort_values(key).reset_index(drop=True)
        base, plus = self.tasks["base_status"], self.tasks["plus_status"]
        # Excluded tasks have no verdict; nothing is known by plus tests that a benchmark lacks.
        judged = base.notna()
        self.tests = ("base", "plus") if plus[judged].notna().all() else ("base",)
        self.tasks["solved_base"] = (base == "pass").astype(float).where(judged)
        both = (base == "pass") & (plus == "pass")
        self.tasks["solved_plus"] = both.astype(float).where(judged)
        domains = self.evaluate["domains"]
        self.tasks["domains"] = [", ".join(domains.get(t, [])) for t in self.tasks["task_id"]]
        self.tasks["excluded"] = [
            None if known else why.removeprefix("excluded: ")
            for known, why in zip(judged, self.tasks["why"], strict=True)
        ]
        self._check_verdicts()

    def _check_verdicts(self):
        """The evaluator's file against evaluate.json: statuses of each task, in order of repeats.

        BigCodeBench's file has one status; excluded tasks are in neither file.
        """
        recorded = read_json(self.folder / "eval_results.json.gz")["eval"]
        judged = self.tasks[self.tasks["excluded"].isna()].sort_values(["repeat", "sample"])
        wanted = {}
        for row in judged[["task_id", "base_status", "plus_status"]].to_dict("records"):
            statuses = [row["base_status"], row["plus_status"]]
            told = tuple(None if pd.isna(status) else status for status in statuses)
            wanted.setdefault(row["task_id"], []).append(told)
        for task in sorted(wanted):
            theirs = [
                (v["status"], None) if "status" in v else (v["base_status"], v["plus_status"])
                for v in recorded.get(task, [])
            ]
            if theirs != wanted[task]:
                self.problems.append(f"{task}: eval_results.json.gz and evaluate.json differ")
