"""The energy of judging: of each completion, of each run, and together with generating."""

import itertools

import pandas as pd

from recomputed import energy, soundness

KEY = ["repeat", "sample", "task_id"]
HOST = ("cpu", "dram")
#: What judging has figures of; "energy" is the boundary that the study chose.
PARTS = ("cpu", "dram", "node", "job", "energy")
BOTH = "generate_evaluate_"


def measure(cell, study):
    """Read when each completion's program ran, and bill it its energy.

    Sets `cell.judged`: rows by KEY; columns program, start_s, end_s, cpu_s, completions, and for
    each of HOST `<part>` (joules as spent) and `<part>_alone` (joules if judged by itself).
    """
    judged = pd.DataFrame(cell.evaluate["verdicts"]).set_index(KEY).sort_index()
    times = ["start_s", "end_s", "cpu_s"]
    judged[times] = judged[times].astype(float)
    judged["completions"] = judged.groupby("program")["program"].transform("size")
    spans = energy.spans(cell.evaluate["windows"], "evaluate")
    for part in HOST:
        judged[part] = judged[f"{part}_alone"] = None
        # No program ran for an excluded task, which has no verdict.
        unknown = judged["start_s"].isna() & judged["base"].notna()
        if cell.judging is None or unknown.any():
            continue
        (edges,) = spans
        if _is_sound(cell, part, edges, study.limits):
            of_program, rest = _joules(cell.judging.sources[part], judged, edges)
            alone = judged["program"].map(of_program).fillna(0.0)
            judged[part] = alone / judged["completions"] + rest / len(judged)
            judged[f"{part}_alone"] = alone + rest / len(judged)
    cell.judged = judged


def _is_sound(cell, part, edges, limits):
    """Whether the readings of a component allow a figure of judging."""
    meter = cell.judging
    source = meter.sources[part]
    if source is None or edges[1] - edges[0] < 2 * source.spacing_s:
        return False
    failures = cell.evaluate["sampler"]["meters"].get("rapl", {}).get("failures", {})
    if source.method.startswith("RAPL") and any(what.startswith("wrap") for what in failures):
        return False
    found = soundness.problems(meter, edges, limits, others=False)
    return part not in [name for name, _ in found]


def _joules(source, judged, edges):
    """(program -> joules, joules while none ran): each moment is divided among what runs."""
    programs = judged.dropna(subset="start_s").groupby("program")[["start_s", "end_s"]].first()
    first_s, last_s = programs["start_s"].to_numpy(), programs["end_s"].to_numpy()
    times = sorted({*edges, *first_s.tolist(), *last_s.tolist()})
    of_program, rest = dict.fromkeys(programs.index, 0.0), 0.0
    for start_s, end_s in itertools.pairwise(times):
        running = programs.index[(first_s <= start_s) & (last_s >= end_s)]
        joules = sum(device.between(start_s, end_s) for device in source.devices.values())
        for program in running:
            of_program[program] += joules / len(running)
        rest += 0.0 if len(running) else joules
    return of_program, rest


def joules_of(cell, rows, kind=""):
    """Joules by part of some rows of `cell.judged`; kind: "" or "_alone"."""
    parts = {part: energy.total(rows[f"{part}{kind}"]) for part in HOST}
    if cell.judging is None:
        return dict.fromkeys(energy.PARTS)
    return cell.judging.add({name: _float(joules) for name, joules in parts.items()})


def columns(generated, judged, boundary):
    """The columns of an energy of judging, and of its sum with generating."""
    both = {
        part: generated[part] if part == "gpu" else energy.total([generated[part], judged[part]])
        for part in energy.PARTS
    }
    judged = {**judged, "gpu": None}  # judging uses none
    row = {f"evaluate_{name}_j": energy.figures(judged, boundary)[name] for name in PARTS}
    return row | {f"{BOTH}{name}_j": energy.figures(both, boundary)[name] for name in PARTS}


def both_bound(generated, judged, boundary):
    """The bounds of generating and judging, added."""
    if boundary == "gpu":
        return generated
    return energy.total([generated, judged])


def note(cell):
    """Why there is no energy of judging (as energy.json words it), and that hosts differ."""
    if cell.energy["evaluate"] is None:
        return "judging was not metered"
    judged_on, made_on = (one["provenance"]["host"] for one in (cell.evaluate, cell.generate))
    told = [cell.energy["evaluate"]["note"]]
    if judged_on != made_on:
        told.append(
            f"judged on {judged_on}, generated on {made_on}: generate_evaluate columns are sums "
            "over two machines"
        )
    return "; ".join(one for one in told if one) or None


def same_judging(row, base_row):
    """Whether two cells were judged alike, so that their sums may be compared."""
    keys = ("evaluate_cpu_name", "evaluate_cpu_energy_status", "evaluate_dram_energy_status")
    return row["energy_boundary"] == "gpu" or all(row[key] == base_row[key] for key in keys)


def _float(value):
    return None if value is None or pd.isna(value) else float(value)
