"""Rows of the cell table, over all sessions; `compare` sets them beside their baselines."""

import math

import numpy as np
import pandas as pd

from recomputed import bootstrap, judging, statistics
from recomputed.energy import (
    COMPONENTS,
    FIGURES,
    GPU_METERS,
    PARTS,
    figures,
    joules_of,
    seconds,
    spans,
)
from recomputed.runs import (
    JOULES_PER_KWH,
    PHASES,
    ROOFLINE,
    SHARES,
    TESTS,
    by_task,
    id_columns,
    mean,
    over,
)
from recomputed.sessions import MEASURED

POSITIVE = (
    "duration_s",
    "tokens_per_s",
    "latency_s",
    "ttft_s",
    "tpot_s",
    "decode_tokens_per_s",
    "decode_roofline_tokens_per_s",
    "j_per_token",
    "j_per_task",
    "co2e_kg",
    *(f"{phase}_s" for phase in PHASES),
    *(f"{phase}_roofline_{kind}" for phase in PHASES for kind in ("s", "share")),
    *(f"{prefix}{part}_j" for prefix in ("", "prefill_", "decode_") for part in FIGURES),
    f"{judging.BOTH}energy_j",
)
#: Columns of a run that rest on one judging of the whole cell: the cell has their mean only.
JUDGING = (
    *(f"evaluate_{part}_j" for part in judging.PARTS),
    *(f"{judging.BOTH}{part}_j" for part in judging.PARTS if part != "energy"),
    "evaluate_unshared_energy_j",
    "evaluate_energy_uncertainty_j",
    f"{judging.BOTH}energy_uncertainty_j",
    f"{judging.BOTH}j_per_task",
)
NET = tuple(f"net_{part}" for part in FIGURES)
BOUNDS = tuple(f"{prefix}energy_uncertainty_j" for prefix in ("", "prefill_", "decode_"))
IDLE = ("idle_unloaded", "idle_loaded", "idle_after", "idle")


def values_of(cell, name):
    """A run column's values over the cell's repeats, where there are any."""
    return [row[name] for row in cell.rows if row[name] is not None]


def ends(name, interval):
    """The two columns of an interval; both absent without one."""
    return {f"{name}_low": interval and interval[0], f"{name}_high": interval and interval[1]}


def exps(interval):
    """An interval of logarithms, in the metric's unit."""
    return interval and tuple(math.exp(end) for end in interval)


def cell_row(cell, study, variant):
    """All columns of a cell of the design but its comparisons; over all its sessions.

    One that ran in no session has ids and reason only.
    """
    row = {
        **id_columns(cell),
        "status": "ok" if cell.ran else "infeasible",
        "status_reason": _reason(cell),
        "size_bytes": variant["size_bytes"],
        "parameters": variant["parameters"],
        "weights_origin": variant["weights_origin"],
    }
    if not cell.ran:
        return row
    first = cell.rows[0]
    judged = min(r["tasks_judged"] for r in cell.rows)
    several = len(cell.measured) > 1
    row |= {
        **_over_sessions([(one.session, _of_session(one, study)) for one in cell.measured]),
        **_checks(cell),
        "interval_scope": "between sessions" if several else "within one job",
        "sessions": len(cell.measured),
        "repeats": len(cell.rows),
        "tasks": first["tasks"],
        "tasks_judged": judged,
        "excluded_tasks": _excluded(cell),
        "samples_per_task": first["samples_per_task"],
        **_identical(cell),
        "accuracy_note": None
        if cell.meaningful
        else "random weights: pass@1 says nothing about this model",
        **{f"{name}_mean": mean(values_of(cell, name)) for name in ROOFLINE},
        **{f"{name}_mean": mean(values_of(cell, name)) for name in JUDGING},
    }
    for name, kind in SHARES.items():
        row |= _share(by_task(cell.tasks, name), name, kind)
    for name in POSITIVE:
        row |= _positive(cell, name)
    for name in BOUNDS:
        known = values_of(cell, name)
        row |= {f"{name}_mean": mean(known), f"{name}_max": max(known, default=None)}
    for name in NET:
        row |= _net(cell, name)
    for tests in TESTS:
        row |= _accuracy(cell, study, tests)
        for of in ("", judging.BOTH):
            row |= _pooled(cell, row, tests, of)
    return row


def _reason(cell):
    """Why sessions are infeasible; the sessions are named where they differ."""
    reasons = [one.generate.get("reason") for one in cell.sessions]
    if len(set(reasons)) == 1:
        return reasons[0]
    before = "infeasible: " if cell.ran else ""
    told = zip(cell.sessions, reasons, strict=True)
    return "; ".join(f"session {one.session}: {before}{why}" for one, why in told if why)


def _of_session(cell, study):
    """What is known of one session's job, but not of its runs."""
    return {
        **_machine(cell),
        **cell.status,
        **{f"{part}_energy_method": cell.meter.method(part) for part in COMPONENTS},
        "grid_country": cell.grid["country"],
        "grid_gco2e_per_kwh": cell.grid["g_per_kwh"],
        "cpu_share": cell.meter.share,
        "sampler_cpu_share": (cell.generate.get("sampler") or {}).get("cpu_share"),
        **_phases(cell, study),
        **_judging(cell, study),
    }


def _over_sessions(sessions):
    """Numbers: their mean. Statuses: the worst. Notes: by session. Texts: each one once."""
    if len(sessions) == 1:
        return sessions[0][1]
    order = ("unavailable", "modelled", "measured")
    row = {}
    for name in sessions[0][1]:
        found = [of_one[name] for _, of_one in sessions]
        known = [value for value in found if value is not None]
        if name.endswith("_note"):
            told = [f"session {n}: {one[name]}" for n, one in sessions if one[name]]
            row[name] = found[0] if len(set(found)) == 1 else "; ".join(told)
        elif name.endswith("_status"):
            row[name] = min(found, key=order.index) if len(known) == len(found) else None
        elif any(isinstance(value, str) for value in known):
            row[name] = "; ".join(pd.unique(pd.Series(known)))
        elif name in ("step_weight_bytes", "kv_bytes_per_token"):
            row[name] = found[0] if len(set(found)) == 1 else None
        else:
            row[name] = float(np.mean(known)) if len(known) == len(found) else None
    return row


def _excluded(cell):
    """Excluded tasks and their reasons, in the order of their first verdicts."""
    reasons = dict(zip(cell.tasks["task_id"], cell.tasks["excluded"], strict=True))
    names = dict.fromkeys(
        verdict["task_id"] for one in cell.measured for verdict in one.evaluate["verdicts"]
    )
    listed = "; ".join(
        f"{name}: {reasons[name].replace(';', ',')}"
        for name in names
        if isinstance(reasons[name], str)
    )
    return listed or None


def _machine(cell):
    generate = cell.generate
    boards = [d for m in generate["meters"] if m["name"] in GPU_METERS for d in m["devices"]]
    made = generate.get("provenance") or {}
    described = generate.get("roofline") or {}
    machine, asked = described.get("machine") or {}, described.get("demand") or {}
    return {
        "asked": generate["prompt"]["asked"],
        "host": made.get("host"),
        "cpu_name": made.get("cpu"),
        "gpu_uuids": ", ".join(sorted(str(d.get("device")) for d in boards)) or None,
        "gpu_names": ", ".join(sorted(str(d.get("name")) for d in boards)) or None,
        "bandwidth_bytes_per_s": machine.get("bandwidth_bytes_per_s"),
        "matmul_flops_per_s": machine.get("matmul_flops_per_s"),
        "step_weight_bytes": asked.get("step_weight_bytes"),
        "kv_bytes_per_token": asked.get("kv_bytes_per_token"),
    }


def _checks(cell):
    several = len(cell.measured) > 1
    checks = [
        {**check, "session": one.session if several else None}
        for one in cell.measured
        for check in one.energy["checks"]
    ]

    def listed(chosen):
        return "; ".join(_in_words(e) for e in chosen) or None

    failed = [e for e in checks if e["passed"] is False]
    errors = [e for e in failed if e["severity"] == "error"]
    return {
        "valid": not errors,
        "failed_checks": listed(errors),
        "warnings": listed(e for e in failed if e["severity"] == "warning"),
        "skipped_checks": listed(e for e in checks if e["passed"] is None),
    }


def _in_words(check):
    """E.g. `window_long_enough (repeat 1): 0.4 s, limit 1 s`, with four significant digits."""
    unit = f" {check['unit']}" if check["unit"] else ""
    told = []
    for word, key in (("", "observed"), ("limit ", "limit")):
        value = check[key]
        if value is not None:
            told.append(f"{word}{f'{value:.4g}' if isinstance(value, float) else value}{unit}")
    of = [f"{key} {check[key]}" for key in ("session", "repeat") if check[key] is not None]
    where = f" ({', '.join(of)})" if of else ""
    return check["name"] + where + (": " if told else "") + ", ".join(told)


def _identical(cell):
    """Whether completions are the same in all repeats of a session, and in all sessions."""

    def same(tasks, among):
        return bool(
            (tasks.groupby([*among, "sample", "task_id"])["completion"].nunique() == 1).all()
        )

    first = cell.tasks[cell.tasks["repeat"] == 0]
    several = cell.tasks["repeat"].nunique() > 1
    return {
        "completions_identical": same(cell.tasks, ["session"]) if several else None,
        "completions_identical_between_sessions": same(first, [])
        if len(cell.measured) > 1
        else None,
    }


def _phases(cell, study):
    """Idle power; loading, warming up and judging."""
    windows = cell.generate["windows"]
    row = {f"{phase}_{part}_w": cell.idle_w[phase][part] for phase in IDLE for part in COMPONENTS}
    for phase in ("load", "warmup"):
        joules = figures(joules_of(cell.meter, spans(windows, phase)), study.boundary)
        row |= {f"{phase}_{part}_j": joules[part] for part in FIGURES}
    judged = spans(cell.evaluate.get("windows") or [], "evaluate")
    meter = cell.judging
    joules = figures(meter and joules_of(meter, judged), study.boundary)
    status = meter.status() if meter else {}
    return row | {
        "evaluate_s": seconds(judged),
        **{f"evaluate_{part}_j": joules[part] for part in FIGURES},
        **{f"evaluate_{part}_energy_status": status.get(part) for part in PARTS},
    }


def _judging(cell, study):
    """Where a cell was judged, and its runs' energies of judging; the bound is energy.json's."""
    made, told = cell.evaluate["provenance"], cell.energy["evaluate"]
    statuses = [cell.status["energy_status"]]
    if study.boundary != "gpu":
        status = cell.judging.status() if cell.judging else {}
        statuses.append(status.get(study.boundary, "unavailable"))
    order = ("unavailable", "modelled", "measured")
    return {
        "evaluate_host": made["host"],
        "evaluate_cpu_name": made["cpu"],
        "evaluate_note": judging.note(cell),
        "evaluate_energy_uncertainty_j": told and told["uncertainty_j"].get(study.boundary),
        f"{judging.BOTH}energy_status": min(statuses, key=order.index),
    }


def _share(values, name, kind):
    """A mean over tasks, with an interval that is a part of [0, 1]."""
    share = mean(values)
    if kind == "wilson95":
        interval = None if share is None else statistics.wilson(share, len(values))
    else:
        interval = statistics.t_ends(values)
    cut = interval and (max(interval[0], 0.0), min(interval[1], 1.0))
    return {name: share, **ends(f"{name}_{kind}", cut)}


def _positive(cell, name):
    """Statistics over all runs; the interval is over the runs of a session, or over sessions."""
    values = values_of(cell, name)
    logs = statistics.logs(values)
    several = logs is not None and len(logs) > 1
    band = None
    if several:
        band = logs.mean() - 1.96 * logs.std(ddof=1), logs.mean() + 1.96 * logs.std(ddof=1)
    independent = None if logs is None else cell.independent(name, statistics.logs)
    row = {
        f"{name}_mean": mean(values),
        f"{name}_sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        f"{name}_n": len(values),
        f"{name}_geomean": None if logs is None else math.exp(logs.mean()),
        **ends(f"{name}_ci95", exps(statistics.t_ends(independent))),
        **ends(f"{name}_sd_band", exps(band)),
    }
    if name in MEASURED:
        known = independent is not None and len(cell.measured) > 1 and len(independent) > 1
        spread = float(np.std(independent, ddof=1)) if known else None
        row[f"{name}_log_sd_between_sessions"] = spread
    return row


def _net(cell, name):
    """A net energy: on the linear scale, the meters' bounds added to its interval."""
    values = values_of(cell, f"{name}_j")
    bound = mean(values_of(cell, f"{name}_uncertainty_j"))
    interval = statistics.t_ends(cell.independent(f"{name}_j"))
    known = interval is not None and bound is not None
    return {
        f"{name}_j_mean": mean(values),
        f"{name}_j_sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        f"{name}_j_n": len(values),
        **ends(f"{name}_j_ci95", (interval[0] - bound, interval[1] + bound) if known else None),
        f"{name}_uncertainty_j_mean": bound,
    }


def _accuracy(cell, study, tests):
    name = f"pass_at_1_{tests}"
    share = mean(values_of(cell, name))
    tasks = min(r["tasks_judged"] for r in cell.rows)
    row = {
        name: share,
        **ends(f"{name}_wilson95", None if share is None else statistics.wilson(share, tasks)),
    }
    for k in sorted({5, 10, 100, *study.ks} - {1}):
        row[f"pass_at_{k}_{tests}"] = None
        judged = cell.tasks[cell.tasks["excluded"].isna()]
        counts = judged.groupby(["session", "repeat", "task_id"])[f"solved_{tests}"].agg(
            ["size", "sum"]
        )
        if share is not None and k in study.ks and counts["size"].min() >= k:
            each = [statistics.pass_at_k(int(n), int(c), k) for n, c in counts.to_numpy()]
            by_repeat = counts.assign(each=each).groupby(["session", "repeat"])["each"].mean()
            row[f"pass_at_{k}_{tests}"] = float(by_repeat.mean())
    return row


def _pooled(cell, row, tests, of):
    """Joules per correct task and pass@kWh, over all repeats that have an energy.

    Args:
        of: "" for generating, judging.BOTH for generating and judging.
    """
    joules, per_kwh = f"{of}j_per_correct_task_{tests}", f"{of}pass_at_1_{tests}_per_kwh"
    energy_j = f"{of}energy_j"
    known = [r for r in cell.rows if r[energy_j] is not None and r[f"correct_{tests}"] is not None]
    share = row[f"pass_at_1_{tests}"]
    spent = math.fsum(r[energy_j] for r in known)
    excluded = math.fsum(r["energy_j"] * (1 - r["tasks_judged"] / r["tasks"]) for r in known)
    pooled = over(spent - excluded, sum(r[f"correct_{tests}"] for r in known)) if known else None
    rate = over(share, spent / len(known) / JOULES_PER_KWH) if known else None
    row = {joules: pooled, per_kwh: rate, **row}
    row |= {**ends(f"{joules}_ci95", None), **ends(f"{per_kwh}_ci95", None)}
    values = cell.independent(energy_j, statistics.logs)
    if share is None or not pooled or values is None or len(values) < 2:
        return row
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    of_cell = bootstrap.task_totals(cell.task_rows, energy_j, tests)
    low, high = bootstrap.Ratio(of_cell, None, error, len(values) - 1).ends()
    return {
        **row,
        **ends(f"{joules}_ci95", bootstrap.scaled(pooled, low, high)),
        **ends(f"{per_kwh}_ci95", bootstrap.inverse(rate, low, high)),
    }
