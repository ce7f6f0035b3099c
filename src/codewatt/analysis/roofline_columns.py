"""Columns of the roofline model: bytes and FLOPs of a repeat, and their least time.

Source: Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance model".
"""

from collections import defaultdict

from codewatt.analysis.cell_results import Measurements
from codewatt.analysis.columns import Row
from codewatt.analysis.log_scale_statistics import ratio
from codewatt.energy.energy_record import RunRecord
from codewatt.sizing.measured_machine import MachineRates
from codewatt.sizing.roofline import (
    Demand,
    GeneratedSequence,
    Work,
    decode_work,
    prefill_work,
    roofline_times,
    total,
)

PHASES = ("prefill", "decode")


def machine_columns(measured: Measurements) -> Row:
    """The measured rates of the cell's machine, and the bytes that its model moves."""
    machine, demand = _roofline(measured)
    return {
        "bandwidth_bytes_per_s": machine.bandwidth_bytes_per_s,
        "matmul_flops_per_s": machine.matmul_flops_per_s,
        "step_weight_bytes": None if demand is None else demand.step_weight_bytes,
        "kv_bytes_per_token": None if demand is None else demand.kv_bytes_per_token,
    }


def roofline_columns(measured: Measurements, run: RunRecord) -> Row:
    """A repeat's roofline, by phase, and the share of it that was reached.

    Args:
        run: the repeat's entry of energy.json: "repeat", "prefill_s", "decode_s".

    Returns:
        For each phase of PHASES: {phase}_bytes, _flops, their least times _bandwidth_s and
        _compute_s, the larger one _roofline_s, and _roofline_share = _roofline_s over the time
        that was taken. Of decoding also tokens/s, as measured and of the roofline; a sequence's
        first token belongs to prefill. None where the manifest has no roofline, or nothing was
        decoded.
    """
    batches = _batches(measured, run["repeat"])
    decoded = sum(max(s.new_tokens - 1, 0) for batch in batches for s in batch)
    row: Row = {"decode_tokens_per_s": ratio(decoded or None, run["decode_s"])}
    machine, demand = _roofline(measured)
    if demand is None:
        return row
    works = {
        "prefill": total(prefill_work(demand, batch) for batch in batches),
        "decode": total(decode_work(demand, batch) for batch in batches),
    }
    seconds = {"prefill": run["prefill_s"], "decode": run["decode_s"]}
    for phase in PHASES:
        row |= _phase(phase, works[phase], machine, seconds[phase])
    row["decode_roofline_tokens_per_s"] = ratio(decoded, row["decode_roofline_s"])
    return row


def _roofline(measured: Measurements) -> tuple[MachineRates, Demand | None]:
    """The machine's rates and the model's demand; None for a model whose size is not known."""
    roofline = measured.generate["roofline"]
    demand = roofline["demand"]
    return (
        MachineRates.from_dict(roofline["machine"]),
        None if demand is None else Demand.from_dict(demand),
    )


def _phase(phase: str, work: Work, machine: MachineRates, taken_s: float | None) -> Row:
    moving_s, computing_s, roofline_s = roofline_times(
        work, machine.bandwidth_bytes_per_s, machine.matmul_flops_per_s
    )
    return {
        f"{phase}_bytes": work.moved_bytes,
        f"{phase}_flops": work.flops,
        f"{phase}_bandwidth_s": moving_s,
        f"{phase}_compute_s": computing_s,
        f"{phase}_roofline_s": roofline_s,
        f"{phase}_roofline_share": ratio(roofline_s, taken_s) if work.flops else None,
    }


def _batches(measured: Measurements, repeat: int) -> list[list[GeneratedSequence]]:
    """The sequences of each of a repeat's batches."""
    found: dict[int, list[GeneratedSequence]] = defaultdict(list)
    for task in measured.tasks:
        if task["repeat"] == repeat:
            sequence = GeneratedSequence(task["prompt_tokens"], task["new_tokens"])
            found[task["batch"]].append(sequence)
    return list(found.values())
