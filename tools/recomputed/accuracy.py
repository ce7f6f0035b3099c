"""Comparisons of pass@1 on the same tasks, and of ratios of energy and accuracy."""

import numpy as np

from recomputed import bootstrap, comparison, effects, judging, statistics
from recomputed.cells import ends
from recomputed.runs import JOULES_PER_KWH, over


def compare_accuracy(cells, pairs, rows, study, tests):
    """Fill in the paired comparisons of pass@1; (cell id, reference id, metric) -> each."""
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
    compared = {}
    for pair in pairs:
        row, base_row = pair.row, pair.base_row
        if not pair.cell.ran or not pair.base.ran or None in (row[name], base_row[name]):
            continue
        if pair.of_baseline:
            row["pass_at_1_margin"] = study.margin
            row[f"{name}_change"] = over(row[name] - base_row[name], base_row[name])
        ours, theirs = (
            c.tasks.groupby("task_id")[f"solved_{tests}"].mean().dropna()
            for c in (pair.cell, pair.base)
        )
        if pair.cell is pair.base or set(ours.index) != set(theirs.index):
            continue
        compared[(*pair.ids, name)] = paired(ours, theirs.reindex(ours.index), study.margin)
    for test in ("p", "noninferior_p"):
        adjusted = statistics.holm([one[test] for one in compared.values()])
        for one, p in zip(compared.values(), adjusted, strict=True):
            one[f"{test}_holm"] = p
    for pair in (pair for pair in pairs if pair.of_baseline):
        one = compared.get((*pair.ids, name))
        if one is None:
            continue
        pair.row |= {
            f"{name}_difference": one["shares"].difference,
            **ends(f"{name}_difference_ci95", one["ends"]),
            f"{name}_comparisons": len(compared),
            f"noninferior_p_{tests}": one["noninferior_p"],
            f"noninferior_p_holm_{tests}": one["noninferior_p_holm"],
            f"noninferior_{tests}": one["noninferior_p_holm"] < 0.025,
        }
        if one["whole"]:
            ratio = one["ratio"]
            pair.row |= {
                **ends(f"{name}_change_ci95", ratio and (ratio[0] - 1, ratio[1] - 1)),
                f"tasks_lost_{tests}": one["lost"],
                f"tasks_gained_{tests}": one["gained"],
                f"mcnemar_p_{tests}": one["p"],
                f"mcnemar_p_holm_{tests}": one["p_holm"],
            }
    return compared


def paired(ours, theirs, margin):
    """Two cells on the same tasks; `whole`: each task is solved always or never."""
    shares = statistics.PairedShares(ours - theirs)
    found = {"shares": shares, "differences": (ours - theirs).to_numpy(), "whole": False}
    if not (ours.isin([0, 1]).all() and theirs.isin([0, 1]).all()):
        return found | {
            "ends": shares.ends(),
            "p": shares.p(),
            "noninferior_p": shares.noninferior_p(margin),
            "no_gain_p": shares.noninferior_p(margin, -1),
        }
    n, both = len(ours), int(((ours == 1) & (theirs == 1)).sum())
    gained, lost = (int((side == 1).sum()) - both for side in (ours, theirs))
    return found | {
        "whole": True,
        "gained": gained,
        "lost": lost,
        "ratio": statistics.paired_ratio_ends(both, gained, lost),
        "ends": statistics.tango_ends(gained, lost, n),
        "p": statistics.mcnemar_p(lost, gained),
        "noninferior_p": statistics.noninferior_p(gained, lost, n, margin),
        "no_gain_p": statistics.noninferior_p(lost, gained, n, margin),
    }


def compare_pooled(cells, pairs, rows, tests, of):
    """Changes of joules per correct task and pass@kWh over the sessions that both have.

    Returns:
        (cell id, reference id, metric) -> columns of the comparison table.
    """
    metrics = f"{of}j_per_correct_task_{tests}", f"{of}pass_at_1_{tests}_per_kwh"
    for cell in cells:
        for metric in metrics:
            change = {f"{metric}_change": None, **ends(f"{metric}_change_ci95", None)}
            rows[cell.id] |= change
    found = {}
    for pair in pairs:
        if not pair.cell.ran or pair.note is not None or (of and not pair.of_baseline):
            continue
        if of and not judging.same_judging(pair.row, pair.base_row):
            continue
        for metric, columns in _ratios(pair, tests, of, metrics).items():
            interval = columns["ci95_low"], columns["ci95_high"]
            if pair.of_baseline:
                pair.row[f"{metric}_change"] = columns["estimate"]
                pair.row |= ends(f"{metric}_change_ci95", interval)
            found[(*pair.ids, metric)] = columns
    return found


def _ratios(pair, tests, of, metrics):
    energy_j = f"{of}energy_j"
    sides = [cell.by_session(energy_j) for cell in (pair.cell, pair.base)]
    both = [s for s in sides[0] if sides[0][s] and sides[1].get(s)]
    points = []
    for cell in (pair.cell, pair.base):
        runs = [row for row in cell.rows if row["session"] in both]
        known = [r for r in runs if None not in (r[energy_j], r[f"correct_{tests}"])]
        shares = [row[f"pass_at_1_{tests}"] for row in runs]
        if not known or None in shares:
            points.append((None, None))
            continue
        spent = np.array([r[energy_j] for r in known])
        left_out = [r["energy_j"] * (r["tasks"] - r["tasks_judged"]) / r["tasks"] for r in known]
        solved = sum(r[f"correct_{tests}"] for r in known)
        per_correct = over(float(spent.sum() - sum(left_out)), solved)
        points.append((per_correct, over(float(np.mean(shares)), spent.mean() / JOULES_PER_KWH)))
    totals = [
        bootstrap.task_totals(
            [row for row in cell.task_rows if row["session"] in both], energy_j, tests
        )
        for cell in (pair.cell, pair.base)
    ]
    apart, drawn = pair.logs(energy_j), None
    same_tasks = len(totals[0][1]) == len(totals[1][1])
    known = apart is not None and apart.apart is not None and points[0][0] and points[1][0]
    if known and same_tasks and pair.cell is not pair.base:
        drawn = bootstrap.Ratio(*totals, apart.apart.error, apart.apart.freedom)
    found = {}
    for i, metric in enumerate(metrics):
        own, reference = points[0][i], points[1][i]
        if own is None or reference is None or reference <= 0:
            continue
        row = {"estimate": own / reference - 1, **ends("ci95", None)}
        if drawn is not None:
            way = bootstrap.inverse if i else bootstrap.scaled
            interval = way(own / reference, *drawn.ends(pair.allowance))
            row |= ends("ci95", tuple(None if end is None else end - 1 for end in interval))
            smallest = effects.detectable(drawn.error, apart.apart.freedom) + pair.allowance
            row["minimum_detectable_effect"] = statistics.relative(smallest)
        within = "sessions" if len(both) > 1 else "repeats of one job"
        row |= {
            "method": f"BCa bootstrap over tasks, {within} by Student's t",
            "sessions": len(both),
            "n": len(totals[0][1]),
            "n_reference": len(totals[0][1]),
            "note": comparison.note(pair, len(both)),
        }
        found[metric] = row
    return found
