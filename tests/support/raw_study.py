"""A finished study that never ran: raw files as the stages leave them, with drawn figures.

The cells run on GPUs and processors of two machines, so that every column of the tables has a
value in some row: energies of all boundaries, comparisons, pooled ratios, break_even, fidelity.
"""

import json
import math
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors.numpy import save_file

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.changes import ComparisonSettings
from codewatt.analysis.statistical_tests.make_tables import make_statistical_tests
from codewatt.energy.cell_energy import measure_cell
from codewatt.energy.making_energy import measure_making
from codewatt.energy.task_energy import write_task_energies
from codewatt.files import describe_files, sha256_file, write_json, write_jsonl
from tests.support.records import (
    PLACEMENT,
    PROVENANCE,
    SAMPLER,
    evaluate_record,
    fidelity_record,
    generate_record,
    infeasible_generate_record,
    layer_scores_record,
    model_record,
    variant_record,
    window,
)

TASKS, BATCH, REPEATS = 24, 4, 3
CODE = ["stage.py aaaa"]
Json = dict[str, Any]
#: (number of the task, sample) -> the tokens of its completion.
Texts = dict[tuple[int, int], list[int]]

#: The GGUF file that the model is from.
UNPACKED: Json = {
    "name": "m.gguf", "bytes": 500, "sha256": "0" * 64, "architecture": "starcoder2",
    "file_type": "Q8_0", "packed_as": "Q8_0", "tensors": {"F32": 4, "Q8_0": 8},
}  # fmt: skip

STUDY: Json = {
    "study": "drawn",
    "models": [{"id": "one"}],
    "prunes": [
        {"id": "full", "method": "none"},
        {"id": "cut1", "method": "block_influence", "layers": 1, "calibration": "corpus"},
    ],
    "precisions": [
        {"id": "fp32", "method": "none", "dtype": "float32"},
        {"id": "int8", "method": "bitsandbytes", "quant_type": "int8"},
    ],
    "benchmarks": [{"id": "nano", "kind": "nano", "tasks": TASKS}],
    "token_limits": [24],
    "batch_sizes": [BATCH],
    "engines": ["transformers", "graph"],
    "fidelity": {"corpus": "held-out"},
    "energy": {"country": "NLD", "validity": {"min_window_s": 5.0}},
    "baseline": {"precision": "fp32", "prune": "full"},
    "comparisons": {"pass_at_1_margin": 0.4, "board_spread": 0.03},
    "order_seed": 5,
}
#: Tasks without a verdict, and the reasons.
EXCLUDED = {"Nano/5": "fail: no network; no name", "Nano/17": "a library is missing"}
#: Domains of the first tasks; the others have none.
DOMAINS = {f"Nano/{n}": ["Network", "Time"] if n % 3 else ["Time"] for n in range(TASKS - 4)}
#: Watts of the baseline while it generates, and what each variant takes of them.
WATTS = {"gpu": 300.0, "cpu": 120.0, "dram": 20.0}
SHARE = {"one--full--fp32": 1.0, "one--full--int8": 0.6, "one--cut1--fp32": 0.8}


@dataclass
class RawStudy:
    """Writes a study's raw files below a folder.

    Attributes:
        samples: completions a task and repeat; more than one are drawn anew in each.
        elsewhere: cells that ran on the second machine.
        judged_elsewhere: cells that were judged on a machine of another model.
        untimed: cells whose judge did not record when programs ran.
        infeasible: cells that could not run.
        boundary: the study's energy boundary.
        sessions: sessions of every cell. Later sessions of engine `transformers` write what the
            first one wrote; those of `graph` write anew.
        pairs: `comparisons.pairs` of the study, on the axes model, prune, precision and engine.
        power: cell -> its power as a share of what it takes otherwise.

    In `elsewhere` and the next three, and in `power`, a cell ends in "--s2" for its second session.
    """

    root: Path
    samples: int = 1
    elsewhere: tuple[str, ...] = ()
    judged_elsewhere: tuple[str, ...] = ()
    untimed: tuple[str, ...] = ()
    infeasible: tuple[str, ...] = ()
    boundary: str = "node"
    sessions: int = 1
    pairs: tuple[Json, ...] = ()
    power: dict[str, float] = field(default_factory=dict)
    cells: list[Json] = field(default_factory=list)
    variants: list[Json] = field(default_factory=list)
    texts: dict[str, Texts] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        """The study's folder."""
        return self.root / "results" / "drawn"

    @property
    def yaml(self) -> Path:
        """The study's file."""
        return self.root / "study.yaml"

    def write(self) -> "RawStudy":
        """Write everything, the tables last."""
        self.results.mkdir(parents=True)
        energy = {**STUDY["energy"], "boundary": self.boundary}
        exclude = [{"prune": "cut1", "precision": "int8"}]
        ks = [k for k in (1, 2, 5) if k <= self.samples]
        study = {**STUDY, "energy": energy, "exclude": exclude, "evaluation": {"k": ks}}
        study["comparisons"] = {**STUDY["comparisons"], "pairs": list(self.pairs)}
        if self.sessions > 1:
            study["sessions"] = self.sessions
        self.yaml.write_text(yaml.safe_dump(study))
        draw = np.random.default_rng(7)
        self._model(draw)
        for number, variant in enumerate(SHARE):
            self._variant(variant, np.random.default_rng(number))
            for engine in STUDY["engines"]:
                for session in range(1, self.sessions + 1):
                    # Engines write the same but for a task or two.
                    draw = np.random.default_rng(1000 * (session - 1) + 100 + number)
                    self._cell(variant, engine, session, draw)
        self.aggregate(energy["boundary"])
        return self

    def aggregate(self, boundary: str) -> None:
        """Make the tables."""
        names = (
            "task",
            "run",
            "session",
            "cell",
            "comparison",
            "variant",
            "domain",
            "domain_comparison",
            "check",
        )
        out = {name: self.results / "tables" / f"{name}.parquet" for name in names}
        out |= {f"{name}_csv": self.results / "tables" / f"{name}.csv" for name in names}
        (self.results / "tables").mkdir(exist_ok=True)
        comparisons = ComparisonSettings(**STUDY["comparisons"], pairs=self._named_pairs())
        base = STUDY["baseline"]
        seed = STUDY["order_seed"]
        aggregate(self.cells, self.variants, base, out, boundary, comparisons, seed)
        tests = ("statistical_test", "regression")
        made = {name: self.results / "tables" / f"{name}.parquet" for name in tests}
        made |= {f"{name}_csv": self.results / "tables" / f"{name}.csv" for name in tests}
        make_statistical_tests(out["cell"], out["run"], out["task"], made)

    def _named_pairs(self) -> list[tuple[str, str]]:
        """Ids of the cells of `pairs` and of their references."""
        axes = ("model", "prune", "precision", "engine")
        designs = {entry["cell"]["design_id"]: entry["cell"] for entry in self.cells}
        by_axes = {tuple(cell[axis] for axis in axes): name for name, cell in designs.items()}
        return [
            (name, by_axes[tuple({**cell, **pair["reference"]}[axis] for axis in axes)])
            for pair in self.pairs
            for name, cell in designs.items()
            if all(cell[axis] == value for axis, value in pair["cell"].items())
        ]

    def _model(self, draw: np.random.Generator) -> None:
        folder = self.results / "models" / "one"
        folder.mkdir(parents=True)
        write_json(folder / "manifest.json", model_record(layers=4, unpacked_from=UNPACKED))
        making = self._making("score_layers", folder, 1.5, draw)
        write_json(folder / "layers.json", layer_scores_record(**making))

    def _making(self, phase: str, folder: Path, seconds: float, draw: np.random.Generator) -> Json:
        """What a manifest says of a job with one window, whose timeline is written."""
        path = folder / f"{phase}.parquet"
        meters = _timeline(path, seconds + 2, [(1.0, seconds + 1, 0.3)], draw, "A")
        return {
            "device": "cuda",
            "windows": [window(phase, 1.0, seconds + 1)],
            "duration_s": seconds,
            "timeline": str(path),
            "meters": meters,
            "sampler": {**SAMPLER, "meters": {}},
        }

    def _variant(self, name: str, draw: np.random.Generator) -> None:
        model, prune, precision = name.split("--")
        ids = {"model": model, "prune": prune, "precision": precision}
        folder = self.results / "variants" / name
        (folder / "weights").mkdir(parents=True)
        dtype = np.int8 if precision == "int8" else np.float32
        layers = 4 - (prune == "cut1")
        tensors = {f"layer{i}": np.zeros((16, 32), dtype) for i in range(layers)}
        save_file(tensors, folder / "weights" / "model.safetensors")
        made = name != "one--full--fp32"
        none: Json = {"windows": [], "duration_s": 0.0, "timeline": None, "sampler": None}
        scores = self.results / "models" / "one" / "layers.json"
        cut = {"path": str(scores), "sha256": sha256_file(scores)} if prune == "cut1" else None
        counts = {
            "quantised_modules": layers, "quantised_weights": layers * 512,
            "unquantised_weights": 0, "packed_bytes": layers * 512,
        }  # fmt: skip
        manifest = variant_record(
            variant=ids,
            method="bitsandbytes" if precision == "int8" else "none",
            weights={
                "directory": str((folder / "weights").relative_to(self.root)),
                "files": describe_files(folder / "weights"),
            },
            size_bytes=sum(tensor.nbytes for tensor in tensors.values()),
            layers=layers,
            base={**variant_record()["base"], "packed_as": UNPACKED["packed_as"]},
            parameters=layers * 512,
            quantised=counts if precision == "int8" else None,
            scores=cut,
            code=CODE,
            **(self._making("quantise", folder, 3.0, draw) if made else none),
        )
        write_json(folder / "manifest.json", manifest)
        write_json(folder / "fidelity.json", _fidelity(ids, draw))
        settings = {**STUDY["energy"], "boundary": self.boundary}
        paths = (folder / "quantise.parquet", scores, scores.with_name("score_layers.parquet"))
        making = measure_making(manifest, *paths, settings)
        write_json(folder / "making_energy.json", {**making, "code": CODE})
        self.variants.append(
            {
                "variant": {"id": name, **ids},
                "manifest": folder / "manifest.json",
                "making_energy": folder / "making_energy.json",
                "fidelity": folder / "fidelity.json",
            }
        )

    def _cell(self, variant: str, engine: str, session: int, draw: np.random.Generator) -> None:
        model, prune, precision = variant.split("--")
        design = f"{variant}--nano--stripped--t24--b{BATCH}--{engine}"
        name = design if session == 1 else f"{design}--s{session}"
        ids = {
            "id": name, "design_id": design, "session": session, "variant": variant,
            "model": model, "prune": prune,
            "precision": precision, "benchmark": "nano", "prompt": "stripped", "token_limit": 24,
            "batch_size": BATCH, "engine": engine, "hardware": None,
        }  # fmt: skip
        folder = self.results / "cells" / name
        folder.mkdir(parents=True)
        files = ("generate", "evaluate", "energy")
        paths = {file: folder / f"{file}.json" for file in files}
        tables = {"tasks": "tasks", "task_energy": "task_energy"}
        paths |= {file: folder / f"{file_name}.parquet" for file, file_name in tables.items()}
        paths["completions"] = folder / "completions.jsonl.gz"
        entry = {"cell": ids, "prune_layers": int(prune == "cut1"), **paths}
        self.cells.append(entry)
        if name in self.infeasible:
            record = infeasible_generate_record(cell=ids, reason="out of memory", code=CODE)
            record["epoch_offset_s"] = self._epoch_s()
            write_json(paths["generate"], record)
            return
        board = "B" if name in self.elsewhere else "A"
        texts = dict(self.texts.get(design, {})) if engine == "transformers" else {}
        windows, load, tasks = _generated(draw, SHARE[variant], self.samples, engine, texts)
        self.texts[design] = texts
        end_s = windows[-1]["end_s"] + 1
        power = self.power.get(name, 1.0)
        meters = _timeline(folder / "timeline.parquet", end_s, load, draw, board, power)
        pq.write_table(pa.Table.from_pylist(tasks), paths["tasks"])
        keys = ("task_id", "repeat", "sample")
        lines = [{**{k: t[k] for k in keys}, "completion": _text(t["tokens"])} for t in tasks]
        write_jsonl(paths["completions"], lines)
        generate = generate_record(
            cell=ids, repeats=REPEATS, windows=windows, meters=meters, roofline=_ROOFLINE,
            sampler={**SAMPLER, "meters": {}}, code=CODE,
            provenance={**PROVENANCE, "host": f"host-{board}", "cpu": "Xeon"},
            files={n: d for n, d in describe_files(folder).items() if n != "task_energy.parquet"},
            placement={**PLACEMENT, "gpus": [{"index": 0, "uuid": f"GPU-{board}", "name": "H100"}]},
        )  # fmt: skip
        _rested(generate, np.random.default_rng(len(self.cells)))
        generate["model"]["device"] = "cuda"
        generate["epoch_offset_s"] = self._epoch_s()
        write_json(paths["generate"], generate)
        evaluate = _evaluated(folder, tasks, draw, SHARE[variant], self.samples)
        cpu = ("host-C", "EPYC") if name in self.judged_elsewhere else ("host-A", "Xeon")
        evaluate["provenance"] = {**PROVENANCE, "host": cpu[0], "cpu": cpu[1]}
        if name in self.untimed:
            for verdict in evaluate["verdicts"]:
                verdict |= {"start_s": None, "end_s": None, "cpu_s": None}
        write_json(paths["evaluate"], evaluate)
        settings = {**STUDY["energy"], "boundary": self.boundary}
        judged = folder / "evaluate_timeline.parquet"
        timeline = folder / "timeline.parquet"
        energy = measure_cell(generate, timeline, evaluate, judged, settings, paths["tasks"])
        write_json(paths["energy"], {**energy.record, "code": CODE})
        write_task_energies(paths["task_energy"], energy.tasks)

    def _epoch_s(self) -> float:
        """Unix time minus CLOCK_MONOTONIC of the last cell's job: jobs ran in a random order."""
        return 1.7e9 + float(np.random.default_rng(len(self.cells)).uniform(0, 1e5))


_ROOFLINE: Json = {
    "machine": {
        "bandwidth_bytes_per_s": 2.0e12, "matmul_flops_per_s": 3.0e14,
        "matrix_dtype": "float32", "copied_bytes": 1 << 29, "matrix_edge": 1024,
    },
    "reason": None,
    "demand": {
        "step_weight_bytes": 3_000_000_000, "kv_bytes_per_token": 4096,
        "flops_per_token": 6_000_000_000, "head_flops": 100_000_000,
        "attention_flops": 8192, "layers": 4, "windowed_layers": 2, "window": 20,
    },
}  # fmt: skip


def _generated(
    draw: np.random.Generator, share: float, samples: int, engine: str, texts: Texts
) -> tuple[list[Json], list[tuple[float, float, float]], list[Json]]:
    """(windows, [(start, end, load)], rows of tasks.parquet) of one cell.

    Args:
        texts: tokens that are known already; what is drawn is added.
    """
    windows: list[Json] = []
    load: list[tuple[float, float, float]] = []
    tasks: list[Json] = []
    now = 2.0

    def run(phase: str, seconds: float, watts: float, **of: int) -> tuple[float, float]:
        nonlocal now
        known = {"repeat": None, "batch": None, **of}
        windows.append({"phase": phase, **known, "start_s": now, "end_s": now + seconds})
        load.append((now, now + seconds, watts))
        start, now = now, now + seconds
        return start, now

    run("rest", draw.uniform(1.0, 3.0), 0.0)
    for phase, seconds in (("idle_unloaded", 2.0), ("load", 3.0), ("idle_loaded", 3.0)):
        run(phase, seconds, 0.3 if phase == "load" else 0.0)
        now += 0.5
    run("warmup", 2.0, share)
    for repeat in range(REPEATS):
        begun = now
        for batch in range(TASKS // BATCH):
            prefill = run("prefill", draw.uniform(0.3, 0.5), share, repeat=repeat, batch=batch)
            decode = run("decode", draw.uniform(1.4, 1.8), share, repeat=repeat, batch=batch)
            for n in range(BATCH):
                for sample in range(samples):
                    number = batch * BATCH + n
                    key = number, sample if samples == 1 else sample + repeat * samples
                    if key not in texts:
                        texts[key] = _tokens(draw, number)
                    tokens = texts[key] if engine == "graph" or number else [*texts[key][:-1], 9]
                    tasks.append(
                        {
                            "repeat": repeat, "sample": sample, "task_id": f"Nano/{number}",
                            "batch": batch, "prompt_tokens": 10 + number,
                            "new_tokens": len(tokens), "start_s": prefill[0],
                            "first_token_s": prefill[1],
                            "end_s": decode[1] - 0.1 * (len(tokens) < 20),
                            "stop_reason": "eos" if number % 3 else "limit", "tokens": tokens,
                        }
                    )  # fmt: skip
        edges = {"start_s": begun, "end_s": now + 0.01}
        windows.append({"phase": "repeat", "repeat": repeat, "batch": None, **edges})
        now += 0.02
    now += 0.5
    run("idle_after", 3.0, 0.0)
    return windows, load, tasks


def _rested(generate: Json, draw: np.random.Generator) -> None:
    """Set start and warm-up of a cell that rested and repeated a batch until it was steady."""
    (rest,) = [one for one in generate["windows"] if one["phase"] == "rest"]
    generate["start"] = {
        "conditions": {"below_c": 45.0, "steady_w": 3.0, "for_s": 1.0, "at_most_s": 60.0},
        "rest_s": rest["end_s"] - rest["start_s"], "condition_met": True, "reason": None,
        "sensor": "nvml", "temperature_c": float(draw.integers(30, 45)),
        "power_w": float(draw.uniform(60, 70)), "initial_temperature_c": 60.0,
        "initial_power_w": 90.0,
    }  # fmt: skip
    asked = {"batches": 1, "max_cv": 0.05, "window_batches": 3, "max_batches": 9}
    times = [2.0, *(float(time) for time in draw.normal(1.0, 0.01, 4))]
    generate["decoding"]["warmup"] = asked
    varied = statistics.stdev(times[-3:]) / statistics.mean(times[-3:])
    generate["warmup"] = {
        "batches": 1 + len(times), "repeated_batch_s": times, "cv": varied,
        "steady": varied <= asked["max_cv"],
    }  # fmt: skip


def _tokens(draw: np.random.Generator, number: int) -> list[int]:
    """New tokens of a completion; those of every fourth task end in a loop."""
    if number % 4 == 0:
        return [1, 2, *[3, 4, 5] * 5]
    return [int(token) for token in draw.integers(1, 6, draw.integers(2, 24))]


def _text(tokens: list[int]) -> str:
    """Lines that repeat where tokens do."""
    return "\n".join(f"    line {token}" for token in tokens)


def _evaluated(
    folder: Path, tasks: list[Json], draw: np.random.Generator, share: float, samples: int
) -> Json:
    """evaluate.json, with eval_results.json.gz and the timeline of judging."""
    verdicts, statuses = [], {}
    for task in tasks:
        if task["task_id"] in EXCLUDED:
            ids = {name: task[name] for name in ("task_id", "repeat", "sample")}
            why = f"excluded: {EXCLUDED[task['task_id']]}"
            program = 1000 + int(task["task_id"].partition("/")[2])
            verdicts.append({**ids, "base": None, "plus": None, "why": why, "program": program})
            continue
        key = task["task_id"], (task["repeat"], task["sample"]) if samples > 1 else 0
        if key not in statuses:
            plus, base = draw.uniform() < 0.6 * share, draw.uniform() < 0.9 * share
            statuses[key] = ["pass" if solved else "fail" for solved in (base, plus)]
        base, plus = statuses[key]
        ids = {name: task[name] for name in ("task_id", "repeat", "sample")}
        program = list(statuses).index(key)
        verdicts.append({**ids, "base": base, "plus": plus, "why": None, "program": program})
    times = _judging_times(len(statuses))
    not_run = {"start_s": None, "end_s": None, "cpu_s": None}
    verdicts = [v | (times[v["program"]] if v["base"] else not_run) for v in verdicts]
    verdicts.sort(key=lambda v: (v["repeat"], v["sample"]))
    recorded: dict[str, list[Json]] = {}
    for v in verdicts:
        said = {"base_status": v["base"], "plus_status": v["plus"]}
        recorded.setdefault(v["task_id"], []).append(said)
    _write_gz(folder / "eval_results.json.gz", {"eval": recorded})
    path = folder / "evaluate_timeline.parquet"
    meters = _timeline(path, 6.0, [(1.0, 5.0, 0.4)], draw, "A")
    solved = pd.DataFrame([verdict for verdict in verdicts if verdict["base"] is not None])
    solved["base_solved"] = solved["base"] == "pass"
    solved["plus_solved"] = solved["base_solved"] & (solved["plus"] == "pass")
    return evaluate_record(
        verdicts=verdicts,
        domains=DOMAINS,
        by_repeat=[
            {
                "repeat": repeat,
                **{t: _pass_at(rows, f"{t}_solved", samples) for t in ("base", "plus")},
            }
            for repeat, rows in solved.groupby("repeat")
        ],
        windows=[window("evaluate", 1.0, 5.0)],
        meters=meters,
        sampler={**SAMPLER, "meters": {}},
        code=CODE,
    )


def _judging_times(programs: int) -> list[Json]:
    """When each program ran: on two workers that begin at 1.3 and 1.4 s and end before 5 s."""
    draw = np.random.default_rng(11)
    free_s, times = [1.3, 1.4], []
    for _ in range(programs):
        worker = int(np.argmin(free_s))
        start_s = free_s[worker] + draw.uniform(0, 0.5) / programs
        end_s = free_s[worker] = start_s + draw.uniform(0.5, 6.0) / programs
        times.append({"start_s": start_s, "end_s": end_s, "cpu_s": 0.7 * (end_s - start_s)})
    return times


def _pass_at(rows: pd.DataFrame, name: str, samples: int) -> Json:
    """pass@1, 2 and 5, up to the number of samples: 1 - the chance that all of k are wrong."""
    wrong = samples - rows.groupby("task_id")[name].sum()
    return {
        str(k): float(1 - wrong.map(lambda w, k=k: math.comb(w, k) / math.comb(samples, k)).mean())
        for k in (1, 2, 5)
        if k <= samples
    }


def _fidelity(ids: Json, draw: np.random.Generator) -> Json:
    sizes = [int(size) for size in draw.integers(10, 30, 8)]
    theirs = [1.1 * size + float(draw.normal()) for size in sizes]
    ours = [nats + float(draw.normal(1.0)) for nats in theirs]

    def model(nats: list[float]) -> Json:
        perplexity = float(np.exp(sum(nats) / sum(sizes)))
        return {
            **fidelity_record()["model"],
            "sequence_nats": nats,
            "sequence_positions": sizes,
            "perplexity": perplexity,
        }

    comparison = {
        "logits_cosine_mean": 0.98, "logits_cosine_min": 0.7, "kl_nats_per_token": 0.03,
        "top1_agreement_share": 0.9,
    }  # fmt: skip
    return fidelity_record(
        variant=ids,
        corpus={**fidelity_record()["corpus"], "id": "held-out"},
        baseline="one--full--fp32",
        positions=sum(sizes),
        model=model(ours),
        baseline_model=model(theirs),
        comparison=fidelity_record()["comparison"] | comparison,
        code=CODE,
    )


def _timeline(
    path: Path,
    seconds: float,
    load: list[tuple[float, float, float]],
    draw: np.random.Generator,
    board: str,
    power: float = 1.0,
) -> list[Json]:
    """Write readings every 0.1 s of a machine under a load; its meters.

    Args:
        power: what the machine takes of WATTS.
    """
    t_s = np.arange(0.0, seconds + 1, 0.1)
    share = np.zeros_like(t_s)
    for start_s, end_s, of_full in load:
        share[(t_s >= start_s) & (t_s < end_s)] = of_full * draw.normal(1.0, 0.02)
    frames = []

    def add(meter: str, component: str, quantity: str, values: np.ndarray) -> None:
        device = f"GPU-{board}" if component == "gpu" else "machine"
        labels = {"meter": meter, "component": component, "device": device}
        frames.append(pd.DataFrame({"t_s": t_s, **labels, "quantity": quantity, "value": values}))

    for component, full_w in WATTS.items():
        watts = power * full_w * (0.2 + 0.8 * share) * draw.normal(1.0, 0.01, len(t_s))
        joules = np.concatenate(([0.0], np.cumsum(watts[1:] * np.diff(t_s))))
        add("nvml" if component == "gpu" else "rapl", component, "energy_j", 5e3 + joules)
        if component == "gpu":
            add("nvml", component, "power_w", watts)
    measured = {"status": "measured", "method": "counters", "detail": None}
    card = {"device": f"GPU-{board}", "component": "gpu", "name": "H100", "power_limit_w": 700.0}
    meters = [
        {
            "name": "nvml", "version": None, "interval_s": 0.02, "components": {"gpu": measured},
            "devices": [card], "facts": {"selected_by": "cuda"},
        },
        {
            "name": "rapl", "version": None, "interval_s": 0.1, "devices": [], "facts": {},
            "components": {"cpu": measured, "dram": measured},
        },
        {
            "name": "host", "version": None, "interval_s": 0.5, "components": {}, "devices": [],
            "facts": {"allocation": {"share": 0.25}},
        },
    ]  # fmt: skip
    table = pa.Table.from_pandas(pd.concat(frames), preserve_index=False)
    described = {b"codewatt.meters": json.dumps(meters).encode()}
    pq.write_table(table.replace_schema_metadata(described), path)
    return meters


def _write_gz(path: Path, content: Json) -> None:
    import gzip

    with gzip.open(path, "wt") as file:
        json.dump(content, file)
