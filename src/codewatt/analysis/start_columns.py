"""Columns of a cell's start: the rest before it, the state of its devices, and its warm-up."""

from codewatt.analysis.column_patterns import describe
from codewatt.analysis.columns import START, Row
from codewatt.generate.generate_record import GenerateRecord

START_DESCRIPTIONS = describe(
    ("rest_s", "s", "How long the job rested before the cell (`energy.start`); 0 without rest."),
    (
        "rest_condition_met",
        "-",
        "Whether temperature and power were as `energy.start` asks when the rest ended; empty if "
        "the study asks for nothing, or if they could not be read.",
    ),
    (
        "start_temperature_c",
        "°C",
        "Temperature of the job's hottest GPU when the cell began, before its model was loaded.",
    ),
    (
        "start_power_w",
        "W",
        "Power of the job's GPUs (of the machine's CPU packages, if the job uses no GPU) in the "
        "second before the cell began.",
    ),
    ("warmup_batches", "batches", "Number of batches of the warm-up."),
    (
        "warmup_cv",
        "fraction",
        "Coefficient of variation of the last times of the repeated batch of the warm-up; empty "
        "without `decoding.warmup.max_cv`.",
    ),
    (
        "warmup_steady",
        "-",
        "Whether `warmup_cv` is at most `decoding.warmup.max_cv`; empty without this limit.",
    ),
)


def start_columns(generate: GenerateRecord) -> Row:
    """The columns of one measured cell; all are None for an infeasible cell."""
    if generate["status"] == "infeasible":
        return dict.fromkeys(START)
    start, warmup = generate["start"], generate["warmup"]
    return {
        "rest_s": start["rest_s"],
        "rest_condition_met": start["condition_met"],
        "start_temperature_c": start["temperature_c"],
        "start_power_w": start["power_w"],
        "warmup_batches": warmup["batches"],
        "warmup_cv": warmup["cv"],
        "warmup_steady": warmup["steady"],
    }
