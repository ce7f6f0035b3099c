"""Cells of the design with all their sessions, and rows of the session table."""

import datetime
import hashlib

import numpy as np
import pandas as pd

from recomputed import statistics
from recomputed.energy import GPU_METERS
from recomputed.runs import TESTS, mean, session_columns

MEASURED = ("energy_j", "duration_s", "tokens_per_s", "j_per_token")


class DesignCell:
    """A cell of the design; `sessions`: its results by session, `ran` those that have any."""

    def __init__(self, sessions):
        first = sessions[0]
        self.sessions = sessions
        self.id, self.ids, self.key = first.id, first.ids, first.key
        self.variant, self.removed = first.variant, first.removed
        self.measured = [cell for cell in sessions if cell.ran]
        self.ran = bool(self.measured)

    def pool(self):
        """Put the runs and tasks of all sessions together, once each is measured."""
        self.meaningful = self.sessions[0].meaningful
        self.rows = [row for cell in self.measured for row in cell.rows]
        self.task_rows = [row for cell in self.measured for row in cell.task_rows]
        if self.ran:
            tasks = [cell.tasks.assign(session=cell.session) for cell in self.measured]
            self.tasks = pd.concat(tasks, ignore_index=True)

    def independent(self, name, of_values=None):
        """The values that an interval rests on: of the runs, or the means of several sessions.

        Args:
            of_values: a function of the values of a session; None for the values themselves.
                None as its result means that there is no interval.
        """
        found = []
        for cell in self.measured:
            values = [row[name] for row in cell.rows if row[name] is not None]
            changed = values if of_values is None or not values else of_values(values)
            if changed is None:
                return None
            found.append(changed)
        if len(found) == 1:
            return list(found[0])
        return [float(sum(values) / len(values)) for values in found if len(values)]

    def by_session(self, name):
        """Session -> the values of a run column."""
        return {
            cell.session: [row[name] for row in cell.rows if row[name] is not None]
            for cell in self.measured
        }

    def board(self, session):
        """(host, UUIDs of its GPUs) of a session; None where it did not run."""
        for cell in self.measured:
            if cell.session == session:
                return board(cell)
        return None


def design_cells(cells):
    """The cells of the design, each with its sessions in their order."""
    found = {}
    for cell in sorted(cells, key=lambda cell: cell.session):
        found.setdefault(cell.id, []).append(cell)
    return [DesignCell(sessions) for sessions in found.values()]


def board(cell):
    """(host, UUIDs of its GPUs) of a cell that ran."""
    meters = cell.generate["meters"]
    uuids = [str(d.get("device")) for m in meters if m["name"] in GPU_METERS for d in m["devices"]]
    host = (cell.generate.get("provenance") or {}).get("host")
    return host, ", ".join(sorted(uuids)) or None


def placed(cell):
    """Host and GPUs of a cell that ran, as text; None if one of the two is unknown."""
    placement = cell.generate["placement"]
    slurm = placement["slurm"]
    host = cell.generate["provenance"]["host"] if slurm is None else slurm["node"]
    gpus = sorted(gpu["uuid"] for gpu in placement["gpus"])
    if host is None or (cell.generate["model"]["device"] != "cpu" and not gpus):
        return None
    return ", ".join([host, *gpus])


def session_rows(cells, baselines, order_seed):
    """A row for each cell and session.

    Args:
        baselines: id of a cell of the design -> its baseline, a DesignCell or None.
    """
    every = [cell for design in cells for cell in design.sessions]
    begun = pd.DataFrame(
        [
            (
                cell.folder.name,
                cell.session,
                cell.generate["epoch_offset_s"] + cell.generate["sampler"]["started_s"],
            )
            for cell in every
        ],
        columns=["name", "session", "unix_s"],
    ).sort_values(["unix_s", "name"])
    begun["rank"] = begun.groupby("session").cumcount() + 1
    begun = begun.set_index("name")
    begun["position"] = _positions(every, order_seed)
    return [
        _row(cell, design.board(cell.session), baselines[design.id], begun.loc[cell.folder.name])
        for design in cells
        for cell in design.sessions
    ]


def _positions(cells, order_seed):
    """Name of each cell's folder -> 1 + how many cells of its session are drawn before it."""
    drawn = pd.DataFrame(
        [
            (
                cell.folder.name,
                cell.session,
                hashlib.sha256(f"{order_seed}/{cell.session}/{cell.id}".encode()).hexdigest(),
            )
            for cell in cells
        ],
        columns=["name", "session", "digest"],
    ).set_index("name")
    return drawn.groupby("session")["digest"].rank().astype(int)


def _block(cell):
    """A cell's folder without prune, precision and session: what the cells of a block share."""
    ids = cell.ids
    parts = [ids["model"], ids["benchmark"], ids["prompt"]]
    parts += [f"t{ids['token_limit']}", f"b{ids['batch_size']}", ids["engine"]]
    return "--".join(parts + ([ids["hardware"]] if ids["hardware"] else []))


def _start(cell):
    """The rest before a cell, and its warm-up.

    Taken from generate.json as given, because they need the readings of the job's own devices, or
    how often a batch was completed: temperature and power when the cell began, whether the
    conditions of the rest were met, and the number of batches.
    """
    names = ("rest_s", "rest_condition_met", "start_temperature_c", "start_power_w")
    if not cell.ran:
        return dict.fromkeys((*names, "warmup_batches", "warmup_cv", "warmup_steady"))
    start, warmup = cell.generate["start"], cell.generate["warmup"]
    rests = [w["end_s"] - w["start_s"] for w in cell.generate["windows"] if w["phase"] == "rest"]
    asked = cell.generate["decoding"]["warmup"]
    times = warmup["repeated_batch_s"][-asked["window_batches"] :]
    varied = None
    if len(times) == asked["window_batches"]:
        varied = float(np.std(times, ddof=1) / np.mean(times))
    steady = None
    if asked["max_cv"] is not None:
        steady = varied is not None and varied <= asked["max_cv"]
    given = start["condition_met"], start["temperature_c"], start["power_w"]
    return {
        **dict(zip(names, (float(sum(rests)), *given), strict=True)),
        "warmup_batches": warmup["batches"],
        "warmup_cv": varied,
        "warmup_steady": steady,
    }


def _row(cell, ran_on, base, begun):
    reference = base and base.board(cell.session)
    at = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    at += datetime.timedelta(seconds=int(begun["unix_s"]))
    same = None
    if ran_on is not None and reference is not None:
        [other] = [one for one in base.measured if one.session == cell.session]
        same = placed(cell) is not None and placed(cell) == placed(other)
    row = {
        **session_columns(cell),
        "block": _block(cell),
        "status": "ok" if cell.ran else "infeasible",
        "status_reason": cell.generate.get("reason"),
        "valid": None,
        "order_position": int(begun["position"]),
        "start_rank": int(begun["rank"]),
        "started_at_utc": at.isoformat(),
        "host": ran_on and ran_on[0],
        "gpu_uuids": ran_on and ran_on[1],
        "same_board_as_baseline": same,
        **_start(cell),
        "repeats": len(cell.rows) if cell.ran else None,
    }
    for name in MEASURED:
        values = [r[name] for r in cell.rows if r[name] is not None]
        row[f"{name}_geomean"] = statistics.geomean(values)
    for tests in TESTS:
        row[f"pass_at_1_{tests}"] = mean([r[f"pass_at_1_{tests}"] for r in cell.rows])
    if cell.ran:
        checks = cell.energy["checks"]
        row["valid"] = not any(e["severity"] == "error" and e["passed"] is False for e in checks)
    return row
