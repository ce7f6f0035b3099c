"""Comparisons of cells with their baselines, and of engines."""

import math

import numpy as np

from recomputed import judging, resampling, statistics
from recomputed.cells import JOULES_PER_KWH, NET, POSITIVE, ends, values_of
from recomputed.energy import COMPONENTS
from recomputed.runs import SETTING, TESTS, over
from recomputed.sessions import board

#: Note on a break-even point without an interval.
NO_INTERVAL = "no interval: fewer than two repeats"
CLAIMED = ("energy_j", "duration_s", "j_per_token", "tokens_per_s")


#: Note on changes that are withheld because variant and board cannot be told apart.
CONFOUNDED = "variant and board are confounded: the cell never ran on a board of its baseline"


def is_energy(metric):
    """Whether a metric is an energy or follows from one."""
    return metric.endswith("_j") or metric.startswith("j_per_") or metric == "co2e_kg"


def compare(cells, rows, study, making):
    """Fill in every row's comparisons, in place; id of each cell -> its baseline.

    Args:
        rows: cell id -> row. making: variant id -> what its making took (variants.Making).
    """
    baselines = {_comparison_key(c): c for c in cells if _is_baseline(c, study)}
    pairs = []
    for cell in cells:
        base = baselines.get(_comparison_key(cell))
        row = rows[cell.id]
        row["baseline_cell_id"] = base and base.id
        row["change_note"] = _change_note(row, base and rows[base.id], cell, base)
        _confounding(row, cell, base)
        row["same_host_and_gpus"] = row["board_spread"] = row["pass_at_1_margin"] = None
        if base is not None and cell.ran and base.ran:
            pairs.append((cell, base))
            row["same_host_and_gpus"] = _same_boards(cell, base)
    _metrics(cells, pairs, rows, study)
    for tests in TESTS:
        _accuracy(cells, pairs, rows, study, tests)
        for cell in cells:
            for of in ("", judging.BOTH):
                _pooled(rows, cell, baselines.get(_comparison_key(cell)), tests, of)
    for cell in cells:
        _break_even(rows, cell, baselines.get(_comparison_key(cell)), making[cell.variant])
    _engines(cells, rows)
    _frontier(cells, rows)
    return {cell.id: baselines.get(_comparison_key(cell)) for cell in cells}


def _same_boards(cell, base):
    """Whether both ran on the same boards, session by session, or on one board altogether."""
    ours, theirs = ({one.session: board(one) for one in c.measured} for c in (cell, base))
    every = {*ours.values(), *theirs.values()}
    return (ours == theirs or len(every) == 1) and all(host is not None for host, _ in every)


def _confounding(row, cell, base):
    """Note the sessions in which a cell and its baseline ran on different boards.

    Where that were all of at least two sessions, and they never had a board in common, changes are
    withheld. The board is that of `placement`; virtual nodes of Slurm count as hosts.
    """
    if base is None or base is cell:
        return
    ours, theirs = ({one.session: _placed(one) for one in each.measured} for each in (cell, base))
    both = sorted(set(ours) & set(theirs))
    apart = [session for session in both if ours[session] != theirs[session]]
    several = len(cell.measured) > 1
    told = [
        "variant_not_confounded"
        + (f" (session {session})" if several else "")
        + f": {ours[session]}, limit {theirs[session]}"
        for session in apart
    ]
    row["warnings"] = "; ".join(([row["warnings"]] if row.get("warnings") else []) + told) or None
    confounded = len(both) > 1 and not set(ours.values()) & set(theirs.values())
    if confounded and row["change_note"] is None:
        row["change_note"] = CONFOUNDED


def _placed(cell):
    placement = cell.generate["placement"]
    slurm = placement["slurm"]
    host = cell.generate["provenance"]["host"] if slurm is None else slurm["node"]
    return ", ".join([host, *sorted(gpu["uuid"] for gpu in placement["gpus"])])


def _comparison_key(cell):
    return tuple(cell.ids[axis] for axis in ("model", *SETTING))


def _is_baseline(cell, study):
    return all(cell.ids[axis] == study.baseline[axis] for axis in ("precision", "prune"))


def _inside(row):
    return ("gpu",) if row["energy_boundary"] == "gpu" else COMPONENTS


def energy_origin(row):
    """The origin of an energy; for modelled parts only the status counts."""
    origin = [row["energy_boundary"]]
    if origin[0] == "job" and row["cpu_share"] is not None:
        origin.append(f"CPU share {row['cpu_share']:.3g}")
    origin += [row["gpu_names"]] if row["gpu_names"] else []
    for part in _inside(row):
        status, method = row[f"{part}_energy_status"], row[f"{part}_energy_method"]
        origin.append(f"{part} {status}" + (f" ({method})" if status == "measured" else ""))
    return ", ".join(origin)


def _hardware(row):
    return row["gpu_names"], row["cpu_name"]


def _change_note(row, base_row, cell, base):
    if base is None:
        return "no baseline cell in the study"
    if not base.ran:
        return "baseline cell is infeasible"
    if not cell.ran:
        return None
    if not base_row["valid"]:
        return "baseline cell failed a validity check"
    if not row["valid"]:
        return "this cell failed a validity check"
    if _hardware(row) != _hardware(base_row):
        pair = [", ".join(str(x) for x in _hardware(r) if x) for r in (row, base_row)]
        return f"measured on different hardware: {pair[0]}; baseline: {pair[1]}"
    if energy_origin(row) != energy_origin(base_row):
        pair = energy_origin(row), energy_origin(base_row)
        return f"energy of different origin: {pair[0]}; baseline: {pair[1]}"
    return None


def _timed(row, base_row):
    """Whether times and rates of two cells that ran may be compared."""
    valid = row["valid"] and base_row["valid"] and row["change_note"] != CONFOUNDED
    return valid and _hardware(row) == _hardware(base_row)


def _metrics(cells, pairs, rows, study):
    for cell in cells:
        row = rows[cell.id]
        for metric in POSITIVE:
            row |= {f"{metric}_change": None, **ends(f"{metric}_change_ci95", None)}
        for metric in NET:
            row |= {f"{metric}_j_difference": None, **ends(f"{metric}_j_difference_ci95", None)}
        for metric in CLAIMED:
            row |= dict.fromkeys(
                f"{metric}_{end}" for end in ("change_p", "change_p_holm", "comparisons")
            )
            row |= ends(f"{metric}_change_simultaneous95", None)
    family = {metric: [] for metric in CLAIMED}
    for cell, base in pairs:
        row, base_row = rows[cell.id], rows[base.id]
        if not _timed(row, base_row):
            continue
        row["board_spread"] = 0.0 if row["same_host_and_gpus"] else study.board_spread
        same_origin = energy_origin(row) == energy_origin(base_row)
        for metric in POSITIVE:
            if metric.startswith(judging.BOTH) and not judging.same_judging(row, base_row):
                continue
            if same_origin or not is_energy(metric):
                apart = _change(row, metric, cell, base)
                if metric in CLAIMED and apart is not None and cell is not base:
                    family[metric].append((row, apart))
        for metric in NET if same_origin else ():
            _difference(row, base_row, metric, cell, base)
    for metric, compared in family.items():
        adjusted = statistics.holm([apart.p() for _, apart in compared])
        for (row, apart), p_holm in zip(compared, adjusted, strict=True):
            m = len(compared)
            row[f"{metric}_change_p"], row[f"{metric}_change_p_holm"] = apart.p(), p_holm
            row[f"{metric}_comparisons"] = m
            simultaneous = tuple(map(math.expm1, apart.ends(1 - 0.05 / m)))
            row |= ends(f"{metric}_change_simultaneous95", simultaneous)


def log_difference(metric, row, cell, base):
    """(difference, its statistics) of ln x with the baseline's; None without a common session."""
    sides = [c.logs_by_session(metric) for c in (base, cell)]
    if None in sides:
        return None
    return statistics.apart(*sides, math.log1p(row["board_spread"]))


def _change(row, metric, cell, base):
    found = log_difference(metric, row, cell, base)
    if found is None:
        return None
    row[f"{metric}_change"] = math.expm1(found[0])
    if found[1] is not None and cell is not base:
        row |= ends(f"{metric}_change_ci95", tuple(map(math.expm1, found[1].ends())))
    return found[1]


def _difference(row, base_row, metric, cell, base):
    found = statistics.apart(*(c.by_session(f"{metric}_j") for c in (base, cell)))
    if found is None:
        return
    row[f"{metric}_j_difference"], apart = found
    bounds = [r[f"{metric}_uncertainty_j_mean"] for r in (row, base_row)]
    if apart is not None and None not in bounds and cell is not base:
        low, high = apart.ends()
        whole = f"{metric.removeprefix('net_')}_j_mean"
        wide = sum(bounds) + row["board_spread"] * max(row[whole], base_row[whole])
        row |= ends(f"{metric}_j_difference_ci95", (low - wide, high + wide))


def _accuracy(cells, pairs, rows, study, tests):
    name = f"pass_at_1_{tests}"
    tails = ("lost", "gained")
    for cell in cells:
        row = rows[cell.id]
        row |= {f"{name}_change": None, **ends(f"{name}_change_ci95", None)}
        row |= {f"{name}_difference": None, **ends(f"{name}_difference_ci95", None)}
        row |= dict.fromkeys(f"tasks_{tail}_{tests}" for tail in tails)
        row |= dict.fromkeys(
            f"{test}_p_{step}{tests}"
            for test in ("mcnemar", "noninferior")
            for step in ("", "holm_")
        )
        row |= {f"{name}_comparisons": None, f"noninferior_{tests}": None}
    compared = []
    for cell, base in pairs:
        row, base_row = rows[cell.id], rows[base.id]
        if row[name] is None or base_row[name] is None:
            continue
        row["pass_at_1_margin"] = study.margin
        row[f"{name}_change"] = over(row[name] - base_row[name], base_row[name])
        ours, theirs = (
            c.tasks.groupby("task_id")[f"solved_{tests}"].mean().dropna() for c in (cell, base)
        )
        if cell is base or set(ours.index) != set(theirs.index):
            continue
        row |= _paired(ours, theirs.reindex(ours.index), tests, study.margin)
        compared.append(row)
    for test in ("mcnemar", "noninferior"):
        having = [row for row in compared if row[f"{test}_p_{tests}"] is not None]
        adjusted = statistics.holm([row[f"{test}_p_{tests}"] for row in having])
        for row, p in zip(having, adjusted, strict=True):
            row[f"{test}_p_holm_{tests}"] = p
    for row in compared:
        row[f"{name}_comparisons"] = len(compared)
        row[f"noninferior_{tests}"] = row[f"noninferior_p_holm_{tests}"] < 0.025


def _paired(ours, theirs, tests, margin):
    name = f"pass_at_1_{tests}"
    if not (ours.isin([0, 1]).all() and theirs.isin([0, 1]).all()):
        shares = statistics.PairedShares(ours - theirs)
        return {
            f"{name}_difference": shares.difference,
            **ends(f"{name}_difference_ci95", shares.ends()),
            f"noninferior_p_{tests}": shares.noninferior_p(margin),
        }
    n, both = len(ours), int(((ours == 1) & (theirs == 1)).sum())
    gained, lost = (int((side == 1).sum()) - both for side in (ours, theirs))
    ratio = statistics.paired_ratio_ends(both, gained, lost)
    return {
        f"{name}_difference": (gained - lost) / n,
        **ends(f"{name}_difference_ci95", statistics.tango_ends(gained, lost, n)),
        **ends(f"{name}_change_ci95", ratio and (ratio[0] - 1, ratio[1] - 1)),
        f"tasks_lost_{tests}": lost,
        f"tasks_gained_{tests}": gained,
        f"mcnemar_p_{tests}": statistics.mcnemar_p(lost, gained),
        f"noninferior_p_{tests}": statistics.noninferior_p(gained, lost, n, margin),
    }


def _pooled(rows, cell, base, tests, of):
    """Changes of joules per correct task and pass@kWh, over the sessions that have both."""
    row, energy = rows[cell.id], f"{of}energy_j"
    metrics = f"{of}j_per_correct_task_{tests}", f"{of}pass_at_1_{tests}_per_kwh"
    for metric in metrics:
        row |= {f"{metric}_change": None, **ends(f"{metric}_change_ci95", None)}
    if base is None or not cell.ran or row["change_note"] is not None:
        return
    if of and not judging.same_judging(row, rows[base.id]):
        return
    having = [{s for s, values in c.by_session(energy).items() if values} for c in (cell, base)]
    common = having[0] & having[1]
    points = [_points(c, common, tests, of) for c in (cell, base)]
    found = log_difference(energy, row, cell, base)
    apart = None if found is None else found[1]
    low = high = None
    bounded = apart is not None and cell is not base and points[0][0] and points[1][0]
    if bounded:
        totals = [c.task_totals(energy, tests, common) for c in (cell, base)]
        bounded = len(totals[0]) == len(totals[1])
    if bounded:
        ours, theirs = (
            resampling.Ratio(*zip(*of_cell.values(), strict=True), side)
            for side, of_cell in enumerate(totals)
        )
        low, high = resampling.bca_ends(ours, theirs, apart.error, apart.freedom)
        low = None if low is None else low - apart.allowance
        high = None if high is None else high + apart.allowance
    for metric, (one, other), deviations in zip(
        metrics,
        zip(*points, strict=True),
        ((low, high), (high and -high, low and -low)),
        strict=True,
    ):
        if one is None or not other:
            continue
        change = row[f"{metric}_change"] = one / other - 1
        if bounded:
            interval = tuple(
                None if end is None else (1 + change) * math.exp(end) - 1 for end in deviations
            )
            row |= ends(f"{metric}_change_ci95", interval)


def _points(cell, sessions, tests, of):
    """(joules per correct task, pass@kWh) over some sessions."""
    runs = [r for r in cell.rows if r["session"] in sessions]
    known = [r for r in runs if None not in (r[f"{of}energy_j"], r[f"correct_{tests}"])]
    shares = [r[f"pass_at_1_{tests}"] for r in runs]
    if not known:
        return None, None
    spent = sum(r[f"{of}energy_j"] for r in known)
    excluded = sum(r["energy_j"] * (1 - r["tasks_judged"] / r["tasks"]) for r in known)
    joules = over(spent - excluded, sum(r[f"correct_{tests}"] for r in known))
    if None in shares:
        return joules, None
    return joules, over(float(np.mean(shares)), spent / len(known) / JOULES_PER_KWH)


def _frontier(designed, rows):
    """Probabilities to be on the efficient frontier of a setting and origin of energy."""
    for tests in TESTS:
        name = f"frontier_probability_{tests}"
        groups = {}
        for cell in designed:
            row = rows[cell.id]
            row[name] = None
            if row.get("valid"):
                key = (*(row[axis] for axis in SETTING), energy_origin(row))
                groups.setdefault(key, []).append(cell)
        for group in groups.values():
            members = [
                c
                for c in group
                if rows[c.id][f"pass_at_1_{tests}"] is not None and rows[c.id]["energy_j_n"]
            ]
            logs = [c.logs_by_session("energy_j") or {} for c in members]
            solved = [c.task_totals("energy_j", tests) for c in members]
            if not members or any(list(of) != list(solved[0]) for of in solved):
                continue
            common = sorted(set.intersection(*(set(of) for of in logs)))
            single = len(common) == 1 and any(len(of[common[0]]) < 2 for of in logs)
            if not common or single:
                continue
            found = resampling.frontier_probabilities(
                [[of[s] for s in common] for of in logs],
                [[share for _, share in of.values()] for of in solved],
            )
            for cell, probability in zip(members, found, strict=True):
                rows[cell.id][name] = probability


def _break_even(rows, cell, base, making):
    row = rows[cell.id]
    row |= {"break_even_tasks": None, **ends("break_even_tasks", None), "break_even_note": None}
    if not cell.ran or base is cell:
        return
    if not making.made:
        row["break_even_note"] = "nothing was made"
        return
    if row["change_note"] is not None:
        row["break_even_note"] = row["change_note"]
        return
    joules, note = making.joules_inside(row, _inside(row))
    sides = [c.by_session("j_per_task") for c in (cell, base)]
    larger = max(float(np.mean(values_of(c, "j_per_task") or [0.0])) for c in (cell, base))
    found = statistics.apart(*sides, row["board_spread"] * larger)
    if joules is None or found is None:
        row["break_even_note"] = note or "no energy per task"
        return
    saved, apart = found
    if saved <= 0:
        row["break_even_note"] = "saves no energy per task"
        return
    row["break_even_tasks"] = joules / saved
    if apart is None:
        row["break_even_note"] = NO_INTERVAL
        return
    least, most = apart.ends()
    row["break_even_tasks_low"] = joules / most
    if least > 0:
        row["break_even_tasks_high"] = joules / least
    else:
        row["break_even_note"] = "the interval of the saving holds zero: it may save nothing"


def _engines(cells, rows):
    """The share of the first repeat's completions whose tokens are those of transformers."""
    by_key = {cell.key: cell for cell in cells}
    for cell in cells:
        row = rows[cell.id]
        row["engine_reference_cell_id"] = row["tokens_identical_share"] = None
        other = by_key.get(tuple({**cell.ids, "engine": "transformers"}.values()))
        if cell.ids["engine"] == "transformers" or other is None:
            continue
        row["engine_reference_cell_id"] = other.id
        of = {one.session: one for one in other.measured}
        shares = [_same_tokens(c, of[c.session]) for c in cell.measured if c.session in of]
        if shares and None not in shares:
            row["tokens_identical_share"] = sum(shares) / len(shares)


def _same_tokens(cell, other):
    """The share in one session; None if one of the two kept no tokens, or ran other tasks."""
    ours, theirs = _first_tokens(cell), _first_tokens(other)
    if not ours or ours.keys() != theirs.keys():
        return None
    return sum(ours[key] == theirs[key] for key in ours) / len(ours)


def _first_tokens(cell):
    if "tokens" not in cell.tasks:
        return {}
    first = cell.tasks[cell.tasks["repeat"] == 0]
    return {(row.sample, row.task_id): tuple(row.tokens) for row in first.itertuples()}
