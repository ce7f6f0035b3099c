"""Comparisons of cells with their baselines, and of engines."""

import math

import numpy as np

from recomputed import judging, statistics
from recomputed.cells import NET, POSITIVE, ends, values_of
from recomputed.energy import COMPONENTS
from recomputed.runs import SETTING, TESTS, over
from recomputed.sessions import board

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
    """Welch's comparison of ln x with the baseline's; None with fewer than two values."""
    sides = [statistics.logs(values_of(c, metric)) for c in (base, cell)]
    return statistics.welch(*sides, math.log1p(row["board_spread"]))


def _change(row, metric, cell, base):
    sides = [statistics.logs(values_of(c, metric)) for c in (base, cell)]
    if any(side is None for side in sides):
        return None
    row[f"{metric}_change"] = math.expm1(sides[1].mean() - sides[0].mean())
    apart = log_difference(metric, row, cell, base)
    if apart is not None and cell is not base:
        row |= ends(f"{metric}_change_ci95", tuple(map(math.expm1, apart.ends())))
    return apart


def _difference(row, base_row, metric, cell, base):
    ours, theirs = (values_of(c, f"{metric}_j") for c in (cell, base))
    if not ours or not theirs:
        return
    row[f"{metric}_j_difference"] = float(np.mean(ours) - np.mean(theirs))
    apart = statistics.welch(theirs, ours)
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
    """Changes of joules per correct task and pass@kWh; energy's and accuracy's intervals joined."""
    row = rows[cell.id]
    metrics = f"{of}j_per_correct_task_{tests}", f"{of}pass_at_1_{tests}_per_kwh"
    for metric in metrics:
        row |= {f"{metric}_change": None, **ends(f"{metric}_change_ci95", None)}
    if base is None or not cell.ran or row["change_note"] is not None:
        return
    if of and not judging.same_judging(row, rows[base.id]):
        return
    name = f"pass_at_1_{tests}_change"
    ratio, low, high = (
        None if row[key] is None else 1 + row[key]
        for key in (name, f"{name}_ci95_low", f"{name}_ci95_high")
    )
    apart = log_difference(f"{of}energy_j", row, cell, base)
    for metric in metrics:
        of = row[metric], rows[base.id][metric]
        if None in of or of[1] <= 0:
            continue
        change = row[f"{metric}_change"] = of[0] / of[1] - 1
        if apart is None or low is None or not ratio:
            continue
        half = (apart.ends()[1] - apart.ends()[0]) / 2
        fewer, more = (
            math.hypot(half, math.log(ratio / low)),
            math.hypot(half, math.log(high / ratio)),
        )
        down, up = (more, fewer) if metric == metrics[0] else (fewer, more)
        interval = (1 + change) * math.exp(-down) - 1, (1 + change) * math.exp(up) - 1
        row |= ends(f"{metric}_change_ci95", interval)


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
    ours, theirs = values_of(cell, "j_per_task"), values_of(base, "j_per_task")
    if joules is None or not ours or not theirs:
        row["break_even_note"] = note or "no energy per task"
        return
    saved = float(np.mean(theirs) - np.mean(ours))
    if saved <= 0:
        row["break_even_note"] = "saves no energy per task"
        return
    row["break_even_tasks"] = joules / saved
    spread_j = row["board_spread"] * max(np.mean(theirs), np.mean(ours))
    sides = (c.independent("j_per_task") for c in (cell, base))
    apart = statistics.welch(*sides, spread_j)
    if apart is None:
        what = "repeats" if len(cell.measured) == 1 else "sessions"
        row["break_even_note"] = f"no interval: fewer than two {what}"
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
