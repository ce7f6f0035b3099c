"""Comparisons of cells with their baselines and with named references, and of engines."""

import math

from recomputed import accuracy, comparison, domain_comparison, judging, statistics
from recomputed.cells import NET, POSITIVE, ends, values_of
from recomputed.energy import COMPONENTS
from recomputed.runs import SETTING, TESTS
from recomputed.sessions import placed

CLAIMED = ("energy_j", "duration_s", "j_per_token", "tokens_per_s")


#: Note on changes that are withheld because variant and board cannot be told apart.
CONFOUNDED = "variant and board are confounded: the cell never ran on a board of its baseline"


def is_energy(metric):
    """Whether a metric is an energy or follows from one."""
    return metric.endswith("_j") or metric.startswith("j_per_") or metric == "co2e_kg"


def compare(cells, rows, study, making):
    """Fill in every row's comparisons, in place.

    Returns:
        (id of each cell -> its baseline, the rows of the comparison table, those by domain).

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
        if base is not None:
            pairs.append(Pair(cell, base, rows, study, row["change_note"]))
            if cell.ran and base.ran:
                row["same_host_and_gpus"] = pairs[-1].same
    pairs += _named(pairs, cells, rows, study)
    found = _metrics(cells, pairs, rows)
    for tests in TESTS:
        found |= accuracy.compare_accuracy(cells, pairs, rows, study, tests)
        for of in ("", judging.BOTH):
            found |= accuracy.compare_pooled(cells, pairs, rows, tests, of)
    compared = comparison.comparison_rows(pairs, found, cells, rows, study)
    by_domain = domain_comparison.comparison_rows(pairs)
    _claimed(pairs, found, compared, rows)
    for cell in cells:
        _break_even(rows, cell, baselines.get(_comparison_key(cell)), making[cell.variant])
    _engines(cells, rows)
    return {cell.id: baselines.get(_comparison_key(cell)) for cell in cells}, compared, by_domain


class Pair:
    """A cell and its reference; `note`: why energy, or all but accuracy, is not compared."""

    def __init__(self, cell, base, rows, study, note, of_baseline=True):
        self.cell, self.base, self.note, self.of_baseline = cell, base, note, of_baseline
        self.ids, self.row, self.base_row = (cell.id, base.id), rows[cell.id], rows[base.id]
        self.same = _same_boards(cell, base)
        ran_on = {placed(one) for side in (cell, base) for one in side.measured}
        self.one_board = self.same and len(ran_on) == 1
        self.confounded = _always_apart(cell, base)
        common = {one.session for one in cell.measured} & {one.session for one in base.measured}
        if self.note is None and cell.ran and base.ran and not common:
            self.note = "no session has both cells"
        if self.note is None and self.confounded:
            self.note = CONFOUNDED
        if of_baseline:
            self.row["change_note"] = self.note
        self.spread = 0.0 if self.same else study.board_spread
        self.allowance = math.log1p(self.spread)

    def compares(self, metric):
        """Whether a metric of energy, time or rate is compared."""
        if not self.cell.ran or not self.base.ran or self.confounded:
            return False
        if not _timed(self.row, self.base_row):
            return False
        return not is_energy(metric) or energy_origin(self.row) == energy_origin(self.base_row)

    def values(self, metric):
        """Whether one of both cells has a value of a run column."""
        return any(values_of(cell, metric) for cell in (self.cell, self.base))

    def logs(self, metric):
        """The difference of logarithms over the sessions in common; None without one."""
        sides = (cell.by_session(metric) for cell in (self.base, self.cell))
        return statistics.log_sessions(*sides, self.allowance)


def _named(pairs, cells, rows, study):
    """The pairs that the study names besides baselines, each once."""
    by_key = {cell.key: cell for cell in cells}
    known = {frozenset(pair.ids) for pair in pairs}
    found = []
    for named in study.pairs:
        for cell in cells:
            if any(cell.ids[axis] != value for axis, value in named["cell"].items()):
                continue
            base = by_key.get(tuple({**cell.ids, **named["reference"]}.values()))
            if base is None or frozenset((cell.id, base.id)) in known:
                continue
            known.add(frozenset((cell.id, base.id)))
            note = _change_note(rows[cell.id], rows[base.id], cell, base, "reference")
            found.append(Pair(cell, base, rows, study, note, of_baseline=False))
    return found


def _same_boards(cell, base):
    """Whether both ran on the same boards in each session of both, or on one board altogether."""
    ours, theirs = ({one.session: placed(one) for one in c.measured} for c in (cell, base))
    every = {*ours.values(), *theirs.values()}
    if not ours or not theirs or None in every:
        return False
    both = set(ours) & set(theirs)
    return len(every) == 1 or (bool(both) and all(ours[s] == theirs[s] for s in both))


def _always_apart(cell, base):
    """Whether two cells with two sessions in common never ran on a board of each other."""
    ours, theirs = ({one.session: placed(one) for one in each.measured} for each in (cell, base))
    if None in (*ours.values(), *theirs.values()):
        return False
    return len(set(ours) & set(theirs)) > 1 and not set(ours.values()) & set(theirs.values())


def _confounding(row, cell, base):
    """Note the sessions in which a cell and its baseline ran on different boards.

    Where they were always apart, changes are withheld. The board is that of `placement`; virtual
    nodes of Slurm count as hosts.
    """
    if base is None or base is cell:
        return
    ours, theirs = ({one.session: placed(one) for one in each.measured} for each in (cell, base))
    both = sorted(set(ours) & set(theirs))
    apart = [s for s in both if ours[s] is None or ours[s] != theirs[s]]
    several = len(cell.measured) > 1
    told = [
        "variant_not_confounded"
        + (f" (session {session})" if several else "")
        + f": {_in_words(ours[session], cell, session)}, "
        + f"limit {_in_words(theirs[session], base, session)}"
        for session in apart
    ]
    row["warnings"] = "; ".join(([row["warnings"]] if row.get("warnings") else []) + told) or None
    if _always_apart(cell, base) and row["change_note"] is None:
        row["change_note"] = CONFOUNDED


def _in_words(placed, cell, session):
    if placed is not None:
        return placed
    [one] = [one for one in cell.measured if one.session == session]
    placement = one.generate["placement"]
    slurm = placement["slurm"]
    host = one.generate["provenance"]["host"] if slurm is None else slurm["node"]
    gpus = sorted(gpu["uuid"] for gpu in placement["gpus"]) or ["unknown GPU"]
    return ", ".join([host or "unknown host", *gpus])


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


def _change_note(row, base_row, cell, base, what="baseline"):
    if base is None:
        return "no baseline cell in the study"
    if not base.ran:
        return f"{what} cell is infeasible"
    if not cell.ran:
        return None
    if not base_row["valid"]:
        return f"{what} cell failed a validity check"
    if not row["valid"]:
        return "this cell failed a validity check"
    if _hardware(row) != _hardware(base_row):
        pair = [", ".join(str(x) for x in _hardware(r) if x) for r in (row, base_row)]
        return f"measured on different hardware: {pair[0]}; {what}: {pair[1]}"
    if energy_origin(row) != energy_origin(base_row):
        pair = energy_origin(row), energy_origin(base_row)
        return f"energy of different origin: {pair[0]}; {what}: {pair[1]}"
    return None


def _timed(row, base_row):
    """Whether times and rates of two cells that ran may be compared."""
    return row["valid"] and base_row["valid"] and _hardware(row) == _hardware(base_row)


def _metrics(cells, pairs, rows):
    """Fill in the changes; (cell id, reference id, metric) -> the comparison of claimed metrics."""
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
    found = {}
    for pair in pairs:
        row, itself = pair.row, pair.cell is pair.base
        if pair.of_baseline and pair.compares("duration_s"):
            row["board_spread"] = pair.spread
        for metric in POSITIVE if pair.of_baseline else CLAIMED:
            both = metric.startswith(judging.BOTH)
            if not pair.compares(metric) or (both and not judging.same_judging(row, pair.base_row)):
                continue
            change = pair.logs(metric)
            if change is None:
                continue
            if pair.of_baseline:
                row[f"{metric}_change"] = math.expm1(change.value)
                if change.apart is not None and not itself:
                    interval = tuple(map(statistics.relative, change.apart.ends()))
                    row |= ends(f"{metric}_change_ci95", interval)
            if metric in CLAIMED and not itself:
                found[(*pair.ids, metric)] = change
        for metric in NET:
            if pair.of_baseline and pair.compares(f"{metric}_j"):
                _difference(pair, metric)
    return found


def _claimed(pairs, found, compared, rows):
    """The tests of the cell table: those of the comparison table, with simultaneous intervals."""
    by_key = {(r["cell_id"], r["reference_cell_id"], r["metric"]): r for r in compared}
    for pair in (pair for pair in pairs if pair.of_baseline):
        for metric in CLAIMED:
            row = by_key.get((*pair.ids, metric))
            if row is None or row["p"] is None:
                continue
            m, apart = row["comparisons"], found[(*pair.ids, metric)].apart
            pair.row[f"{metric}_change_p"] = row["p"]
            pair.row[f"{metric}_change_p_holm"] = row["p_holm"]
            pair.row[f"{metric}_comparisons"] = m
            simultaneous = tuple(map(statistics.relative, apart.ends(1 - 0.05 / m)))
            pair.row |= ends(f"{metric}_change_simultaneous95", simultaneous)


def _difference(pair, metric):
    row, base_row = pair.row, pair.base_row
    sides = (cell.by_session(f"{metric}_j") for cell in (pair.base, pair.cell))
    found = statistics.Sessions(*sides)
    if not found.strata:
        return
    row[f"{metric}_j_difference"] = found.value
    bounds = [r[f"{metric}_uncertainty_j_mean"] for r in (row, base_row)]
    if found.apart is not None and None not in bounds and pair.cell is not pair.base:
        low, high = found.apart.ends()
        whole = f"{metric.removeprefix('net_')}_j_mean"
        wide = sum(bounds) + pair.spread * max(row[whole], base_row[whole])
        row |= ends(f"{metric}_j_difference_ci95", (low - wide, high + wide))


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
    larger = max(row["j_per_task_mean"] or 0.0, rows[base.id]["j_per_task_mean"] or 0.0)
    sides = (c.by_session("j_per_task") for c in (cell, base))
    saving = statistics.Sessions(*sides, row["board_spread"] * larger)
    if joules is None or not saving.strata:
        row["break_even_note"] = note or "no energy per task"
        return
    if saving.value <= 0:
        row["break_even_note"] = "saves no energy per task"
        return
    row["break_even_tasks"] = joules / saving.value
    if saving.apart is None:
        row["break_even_note"] = "no interval: fewer than two repeats"
        return
    least, most = saving.apart.ends()
    row["break_even_tasks_low"] = joules / most
    if least > 0:
        row["break_even_tasks_high"] = joules / least
    else:
        row["break_even_note"] = "the interval of the saving contains zero: it may save nothing"


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
