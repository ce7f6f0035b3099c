"""The roofline beside a repeat's figures: what it had to move and compute, and the least time."""

from collections import defaultdict

from codewatt.analysis.cell_results import CellRecord, Json
from codewatt.analysis.log_scale_statistics import ratio
from codewatt.sizing.roofline import (
    Demand,
    GeneratedSequence,
    Work,
    decode_work,
    least_s,
    prefill_work,
    total,
)

PHASES = ("prefill", "decode")


def machine_columns(record: CellRecord) -> Json:
    """What the cell's model asks for and its machine can give; empty where it was not recorded."""
    described = record.generate.get("roofline") or {}
    machine, demand = described.get("machine") or {}, described.get("demand") or {}
    return {
        "bandwidth_bytes_per_s": machine.get("bandwidth_bytes_per_s"),
        "matmul_flops_per_s": machine.get("matmul_flops_per_s"),
        "step_weight_bytes": demand.get("step_weight_bytes"),
        "kv_bytes_per_token": demand.get("kv_bytes_per_token"),
    }


def roofline_columns(record: CellRecord, run: Json) -> Json:
    """A repeat's roofline, by phase, and the share of it that was reached.

    Args:
        run: the repeat's entry of energy.json: "repeat", "prefill_s", "decode_s".

    Returns:
        For each phase of PHASES: {phase}_bytes, _flops, their least times _bandwidth_s and
        _operations_s, the larger one _roofline_s, and _roofline_share = _roofline_s over the time
        that was taken. Of decoding also tokens/s, as measured and of the roofline; a sequence's
        first token belongs to prefill. None where the manifest has no roofline, or nothing was
        decoded.
    """
    batches = _batches(record, run["repeat"])
    decoded = sum(max(s.new_tokens - 1, 0) for batch in batches for s in batch)
    row: Json = {"decode_tokens_per_s": ratio(decoded or None, run.get("decode_s"))}
    described = record.generate.get("roofline") or {}
    if not described.get("demand"):
        return row
    demand = Demand.from_dict(described["demand"])
    works = {
        "prefill": total(prefill_work(demand, batch) for batch in batches),
        "decode": total(decode_work(demand, batch) for batch in batches),
    }
    for phase in PHASES:
        row |= _phase(phase, works[phase], described.get("machine") or {}, run.get(f"{phase}_s"))
    row["decode_roofline_tokens_per_s"] = ratio(decoded, row["decode_roofline_s"])
    return row


def _phase(phase: str, work: Work, machine: Json, taken_s: float | None) -> Json:
    moving_s, computing_s, roofline_s = least_s(
        work, machine.get("bandwidth_bytes_per_s"), machine.get("matmul_flops_per_s")
    )
    return {
        f"{phase}_bytes": work.moved_bytes,
        f"{phase}_flops": work.flops,
        f"{phase}_bandwidth_s": moving_s,
        f"{phase}_compute_s": computing_s,
        f"{phase}_roofline_s": roofline_s,
        f"{phase}_roofline_share": ratio(roofline_s, taken_s) if work.flops else None,
    }


def _batches(record: CellRecord, repeat: int) -> list[list[GeneratedSequence]]:
    """The sequences of each of a repeat's batches."""
    found: dict[int, list[GeneratedSequence]] = defaultdict(list)
    for task in record.tasks:
        if task["repeat"] == repeat:
            sequence = GeneratedSequence(task["prompt_tokens"], task["new_tokens"])
            found[task["batch"]].append(sequence)
    return list(found.values())
