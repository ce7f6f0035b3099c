"""Validity checks of how a cell was measured: its start, its warm-up and its measured time."""

from collections.abc import Iterator, Sequence

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.energy_record import RunRecord
from codewatt.energy.job_energy_record import MeteredCell
from codewatt.energy.start_record import StartRecord, WarmupRecord, WarmupSettings
from codewatt.energy.validity.check import Check, CheckResult

START_CONDITIONS_MET = Check(
    "start_conditions_met",
    "warning",
    purpose="The cell began in the state that energy.start asks for, so that cells are compared "
    "that began alike.",
    remedy="Read the detail. Raise energy.start.at_most_s or below_c, or stop other work on the "
    "GPU. If the state cannot be read on this machine, remove energy.start.",
    limit="temperature below energy.start.below_c, and power within energy.start.steady_w for "
    "energy.start.for_s; a state that cannot be read fails",
    applies="the study has energy.start",
    per="cell",
)
WARMUP_STEADY = Check(
    "warmup_steady",
    "warning",
    purpose="The time of a repeated batch was steady before the first repeat began.",
    remedy="Raise decoding.warmup.max_batches or max_cv, or look for other work on the machine.",
    limit="coefficient of variation at most decoding.warmup.max_cv",
    applies="the study has decoding.warmup.max_cv",
    per="cell",
    unit="share",
)
MEASURED_WINDOW_LONG_ENOUGH = Check(
    "measured_window_long_enough",
    "warning",
    purpose="All repeats of the cell together are so long that slow changes, such as those of "
    "temperature and clocks, are part of the figures.",
    remedy="More repeats or more work in a repeat (tasks, samples, tokens). A demonstration may be "
    "shorter; figures for publication should not be.",
    limit="at least {min_measured_s} s in all repeats together",
    applies="always",
    per="cell",
    unit="s",
)
CHECKS = (START_CONDITIONS_MET, WARMUP_STEADY, MEASURED_WINDOW_LONG_ENOUGH)


def check_start_and_length(
    generate: MeteredCell, runs: Sequence[RunRecord], settings: EnergySettings
) -> Iterator[CheckResult]:
    """Check the start of a cell, its warm-up and the length of its repeats.

    Args:
        generate: generate.json; a timeline of an older version has neither start nor warm-up.
        runs: the repeats.
    """
    if "start" in generate and generate["start"]["conditions"] is not None:
        yield _check_start(generate["start"])
    if "warmup" in generate and generate["warmup"]["steady"] is not None:
        yield _check_warmup(generate["warmup"], generate["decoding"]["warmup"])
    measured_s = sum(run["duration_s"] for run in runs)
    limit_s = settings.validity.min_measured_s
    yield MEASURED_WINDOW_LONG_ENOUGH.result(
        measured_s >= limit_s,
        measured_s,
        limit_s,
        f"{len(runs)} repeats together, at least",
    )


def _check_start(start: StartRecord) -> CheckResult:
    """A state that could not be read is a failure too: it is not known to be as asked for."""
    observed = {True: "met", False: "not met", None: "unknown"}[start["condition_met"]]
    detail = start["reason"] or "the cell began as energy.start asks"
    return START_CONDITIONS_MET.result(
        start["condition_met"] is True,
        observed,
        "met",
        f"{detail}; rested {start['rest_s']:.0f} s",
    )


def _check_warmup(warmup: WarmupRecord, settings: WarmupSettings) -> CheckResult:
    return WARMUP_STEADY.result(
        warmup["steady"],
        warmup["cv"],
        settings["max_cv"],
        f"standard deviation / mean of the last {settings['window_batches']} times of one batch, "
        f"after {warmup['batches']} batches",
    )
