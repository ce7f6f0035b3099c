"""Rows of the run table."""

import math

import numpy as np

from recomputed import energy, judging, repetition, soundness
from recomputed.energy import FIGURES, phase_joules, seconds, spans

JOULES_PER_KWH = 3.6e6
TESTS = ("base", "plus")
SHARES = {
    "repeated_4grams_share": "ci95",
    "repeated_lines_share": "ci95",
    "loops_share": "wilson95",
}
PHASES = ("prefill", "decode")
IDS = ("model", "prune", "precision")
SETTING = ("benchmark", "prompt", "token_limit", "batch_size", "engine", "hardware")


def over(value, by):
    """value / by; None where one is absent or nothing is divided by."""
    return None if value is None or by is None or by == 0 else value / by


def id_columns(cell):
    """The ids of a cell, under the names of the tables."""
    return {
        "cell_id": cell.id,
        "variant_id": cell.variant,
        "prune_layers": cell.removed,
        **cell.ids,
    }


def session_columns(cell):
    """The ids of a cell, and the session that measured it."""
    return {**id_columns(cell), "session": cell.session}


def add_repetition(cell):
    """What each completion repeats, as columns of the cell's tasks."""
    kept = "tokens" in cell.tasks.columns
    grams, lines, loop = [], [], []
    for row in cell.tasks.itertuples():
        tokens = None
        if kept and row.tokens is not None:
            tokens = list(row.tokens)[: len(row.tokens) - (row.stop_reason == "eos")]
        grams.append(None if tokens is None else repetition.repeated_4grams(tokens))
        loop.append(None if tokens is None else float(repetition.loops(tokens)))
        lines.append(repetition.repeated_lines(row.completion))
    for name, values in zip(SHARES, (grams, lines, loop), strict=True):
        cell.tasks[name] = np.array(values, dtype=float)


def by_task(tasks, name):
    """Means of a figure over each task's completions that have one."""
    return tasks.groupby("task_id")[name].mean().dropna().to_numpy()


def mean(values):
    """The mean of the values that are there."""
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else None


def measure(cell, study):
    """Joules and idle power of a cell, from its timelines."""
    generate = cell.generate
    windows = generate["windows"]
    device = generate["model"]["device"]
    cell.meter = energy.Meter(cell.folder / "timeline.parquet", device, generate.get("meters"))
    at_rest = spans(windows, "idle_loaded"), spans(windows, "idle_after")
    cell.idle_w = {
        **{
            phase: energy.idle_watts(cell.meter, spans(windows, phase))
            for phase in ("idle_unloaded", "idle_loaded", "idle_after")
        },
        "idle": energy.idle_watts(cell.meter, [*at_rest[0], *at_rest[1]]),
    }
    bounds = {(w["phase"], w["start_s"]): w["uncertainty_j"] for w in cell.energy["windows"]}
    cell.at_rest = soundness.idle_power(cell.meter, windows, bounds, study.limits)
    cell.status = {
        "energy_boundary": study.boundary,
        "energy_status": cell.meter.status()[study.boundary],
        **{f"{part}_energy_status": s for part, s in cell.meter.status().items()},
    }


def run_row(cell, study, repeat):
    """One repeat."""
    tasks = cell.tasks[cell.tasks["repeat"] == repeat]
    windows = cell.generate["windows"]
    ((start_s, end_s),) = spans(windows, "repeat", repeat)
    counts = tasks.groupby("task_id").size()
    row = {
        **session_columns(cell),
        "repeat": repeat,
        "valid": is_valid(cell, repeat),
        "tasks": len(counts),
        "tasks_judged": int(tasks[tasks["excluded"].isna()]["task_id"].nunique()),
        "samples_per_task": int(counts.iloc[0]) if counts.nunique() == 1 else None,
        "prompt_tokens": int(tasks["prompt_tokens"].sum()),
        "new_tokens": int(tasks["new_tokens"].sum()),
        **{name: mean(by_task(tasks, name)) for name in SHARES},
        "duration_s": end_s - start_s,
        **{f"{phase}_s": seconds(spans(windows, phase, repeat)) for phase in PHASES},
        **cell.status,
    }
    row["tokens_per_s"] = over(row["new_tokens"], row["duration_s"])
    row |= _times(tasks) | _joules(cell, study, repeat, (start_s, end_s))
    row |= roofline(cell, tasks, row)
    row |= _judging(cell, study, repeat, row)
    joules = row["energy_j"]
    row[f"{judging.BOTH}j_per_task"] = over(row[f"{judging.BOTH}energy_j"], len(tasks))
    row["j_per_token"] = over(joules, row["new_tokens"])
    row["j_per_task"] = over(joules, len(tasks))
    row["co2e_kg"] = (
        None if joules is None else joules / JOULES_PER_KWH * cell.grid["g_per_kwh"] / 1000
    )
    # Excluded tasks cost energy, but none of it went into tasks that could be solved.
    judged = row["tasks_judged"] / row["tasks"]
    for tests in TESTS:
        known = cell.meaningful and tests in cell.tests
        solved = tasks[f"solved_{tests}"]
        correct = int(solved.sum()) if known else None
        share = float(solved.groupby(tasks["task_id"]).mean().mean()) if known else None
        row[f"correct_{tests}"], row[f"pass_at_1_{tests}"] = correct, share
        for of in ("", judging.BOTH):
            joules = row[f"{of}energy_j"]
            excluded = None if joules is None else (1 - judged) * row["energy_j"]
            row[f"{of}j_per_correct_task_{tests}"] = over(
                None if joules is None else joules - excluded, correct
            )
            kwh = None if joules is None else joules / JOULES_PER_KWH
            row[f"{of}pass_at_1_{tests}_per_kwh"] = over(share, kwh)
    return row


def is_valid(cell, repeat):
    """Whether no check of severity error failed, of the repeat or of the whole cell."""
    return not any(
        e["severity"] == "error" and e["passed"] is False and e["repeat"] in (None, repeat)
        for e in cell.energy["checks"]
    )


def _times(tasks):
    several = tasks[tasks["new_tokens"] > 1]
    after_first = several["end_s"] - several["first_token_s"]
    return {
        "latency_s": mean(tasks["end_s"] - tasks["start_s"]),
        "ttft_s": mean(tasks["first_token_s"] - tasks["start_s"]),
        "tpot_s": mean(after_first / (several["new_tokens"] - 1)),
    }


def _joules(cell, study, repeat, edges):
    """Energies of a repeat and of its phases; bounds on them are energy.json's."""
    windows, meter = cell.generate["windows"], cell.meter
    (bounds,) = [run for run in cell.energy["runs"] if run["repeat"] == repeat]
    long_s = edges[1] - edges[0]
    of_run = meter.energy(*edges)
    edges_j = bounds["uncertainty_j"]
    net, net_bounds = soundness.net_joules(meter, of_run, edges_j, cell.at_rest, long_s)
    joules = {
        "": of_run,
        "net_": net,
        **{f"{phase}_": phase_joules(meter, spans(windows, phase, repeat)) for phase in PHASES},
    }
    row = {
        f"{prefix}{name}_j": value
        for prefix, found in joules.items()
        for name, value in energy.figures(found, study.boundary).items()
    }
    for prefix in ("", *(f"{phase}_" for phase in PHASES)):
        bound = bounds.get(f"{prefix}uncertainty_j") or {}
        row[f"{prefix}energy_uncertainty_j"] = bound.get(study.boundary)
    net_bounds = energy.figures(net_bounds, study.boundary)
    return row | {f"net_{name}_uncertainty_j": net_bounds[name] for name in FIGURES}


def _judging(cell, study, repeat, row):
    """Judging the completions of a repeat: the sum over them; bounds are energy.json's."""
    of_run = cell.judged.loc[[repeat]]
    told = cell.energy["evaluate"] or {"runs": []}
    bounds = [one["uncertainty_j"] for one in told["runs"] if one["repeat"] == repeat]
    bound = bounds[0].get(study.boundary) if bounds else None
    generated = {part: row[f"{part}_j"] for part in energy.PARTS}
    alone = {**judging.joules_of(cell, of_run, "_alone"), "gpu": None}
    both = judging.both_bound(row["energy_uncertainty_j"], bound, study.boundary)
    return {
        **judging.columns(generated, judging.joules_of(cell, of_run), study.boundary),
        "evaluate_energy_uncertainty_j": bound,
        "evaluate_unshared_energy_j": alone[study.boundary],
        f"{judging.BOTH}energy_uncertainty_j": both,
        "evaluate_note": judging.note(cell),
    }


ROOFLINE = tuple(
    f"{phase}_{kind}" for phase in PHASES for kind in ("bytes", "flops", "bandwidth_s", "compute_s")
)


def roofline(cell, tasks, row):
    """The least that a repeat had to move and compute (docs/explanation/roofline.md)."""
    decoded = int((tasks["new_tokens"] - 1).clip(lower=0).sum())
    found = dict.fromkeys(
        (
            *ROOFLINE,
            *(f"{phase}_roofline_{kind}" for phase in PHASES for kind in ("s", "share")),
            "decode_roofline_tokens_per_s",
        )
    )
    found["decode_tokens_per_s"] = over(decoded or None, row["decode_s"])
    described = cell.generate.get("roofline") or {}
    asked, machine = described.get("demand"), described.get("machine") or {}
    if not asked:
        return found
    work = dict.fromkeys(ROOFLINE, 0)
    for _, batch in tasks.groupby("batch"):
        for phase, (moved, done) in _batch_work(batch, asked).items():
            work[f"{phase}_bytes"] += moved
            work[f"{phase}_flops"] += done
    for phase in PHASES:
        moved, done = work[f"{phase}_bytes"], work[f"{phase}_flops"]
        times = (
            over(moved, machine.get("bandwidth_bytes_per_s")),
            over(done, machine.get("matmul_flops_per_s")),
        )
        least_s = None if None in times else max(times)
        found |= {
            f"{phase}_bytes": moved,
            f"{phase}_flops": done,
            f"{phase}_bandwidth_s": times[0],
            f"{phase}_compute_s": times[1],
            f"{phase}_roofline_s": least_s,
            f"{phase}_roofline_share": over(least_s, row[f"{phase}_s"]) if done else None,
        }
    found["decode_roofline_tokens_per_s"] = over(decoded, found["decode_roofline_s"])
    return found


def _batch_work(batch, asked):
    """Phase -> (bytes, operations) of a batch: every layer of every token, one by one."""
    layers, window = asked["layers"], asked["window"] or math.inf
    plain = layers - asked["windowed_layers"]
    kv, attention = asked["kv_bytes_per_token"], asked["attention_flops"]

    def attended(contexts):
        """Layers x tokens attended to, over contexts of so many tokens."""
        windowed = np.minimum(contexts, window) * asked["windowed_layers"]
        return int((plain * contexts + windowed).sum())

    prompts, steps = batch["prompt_tokens"], (batch["new_tokens"] - 1).clip(lower=0)
    kept = attended(prompts.to_numpy())
    reading = sum(attended(np.arange(1, prompt + 1)) for prompt in prompts)
    writing = sum(
        attended(np.arange(prompt + 1, prompt + count + 1))
        for prompt, count in zip(prompts, steps, strict=True)
    )
    token, head = asked["flops_per_token"], asked["head_flops"]
    weights, rows = asked["step_weight_bytes"], len(batch)
    return {
        "prefill": (
            weights + kept * kv // layers,
            int(prompts.sum()) * token + rows * head + reading * attention // layers,
        ),
        "decode": (
            int(steps.max()) * weights + writing * kv // layers,
            int(steps.sum()) * (token + head) + writing * attention // layers,
        ),
    }
