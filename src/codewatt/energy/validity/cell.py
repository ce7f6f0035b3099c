"""Validity checks of a cell as a whole: its readings, its meters and its idle power."""

from collections.abc import Iterator, Mapping, Sequence

from codewatt.config.energy_settings import EnergySettings
from codewatt.energy.energy_sources import Sources
from codewatt.energy.idle_power import idle_cpu_load, relative_drift
from codewatt.energy.job_energy_record import PhaseWindow, SamplerRecord
from codewatt.energy.timeline_reader import Timeline
from codewatt.energy.validity.check import Check, CheckResult

#: Phase (as in energy.json's "baseline") -> component -> mean power in watts.
PowerByPhase = Mapping[str, Mapping[str, float | None]]

READINGS_SOUND = Check(
    "readings_sound",
    "error",
    purpose="Every reading is a finite number, taken later than the one before it.",
    remedy="Do not use the cell: its timeline is damaged.",
    limit="0 readings that are not finite or not later than the one before",
    applies="always",
    per="cell",
    unit="readings",
)
READS_SUCCEED = Check(
    "reads_succeed",
    "warning",
    purpose="No read of a meter failed. A failed read leaves a gap, which no_gaps checks.",
    remedy="Nothing needs to be done if no_gaps passed; else read the meter's error in the detail.",
    limit="0 failed reads",
    applies="always",
    per="cell",
    unit="reads",
)
NO_WRAP_UNSEEN = Check(
    "no_wrap_unseen",
    "error",
    purpose="No RAPL counter can have wrapped around twice between two reads, or been reset.",
    remedy="Leave a CPU for the sampler, and measure the cell again.",
    limit="0 reads that came too late, or with more energy than a package can draw",
    applies="always",
    per="cell",
    unit="reads",
)
ENERGY_MEASURED = Check(
    "energy_measured",
    "warning",
    purpose="The energy of every component comes from a hardware meter, not from a model.",
    remedy="Make RAPL readable (as root: chmod a+r /sys/class/powercap/*/energy_uj), or use "
    "boundary 'gpu'.",
    limit="0 modelled components",
    applies="always",
    per="cell",
)
IDLE_KNOWN = Check(
    "idle_known",
    "warning",
    purpose="Idle power of every component is known before and after the repeats.",
    remedy="Raise energy.idle_s above the interval of the slowest meter.",
    limit="a known idle power of every component",
    applies="always",
    per="cell",
)
IDLE_STEADY = Check(
    "idle_steady",
    "warning",
    purpose="Idle power is the same before and after the repeats; net energy subtracts its mean.",
    remedy="Compare total energy, not net energy. Look for a program that started during the cell.",
    limit="relative change at most {max_idle_drift}",
    applies="idle power of a component is known before and after",
    per="cell",
    unit="share",
)
HOST_IDLE = Check(
    "host_idle",
    "warning",
    purpose="No process computes on the machine while idle power is measured.",
    remedy="Run on an exclusive node. The cell has no net energy of CPU and DRAM.",
    limit="mean CPU load at most {max_idle_cpu_load}",
    applies="always",
    per="cell",
    unit="share",
)
ALL_CHECKED = Check(
    "all_checked",
    "warning",
    purpose="No check of severity error was skipped because its data were not recorded.",
    remedy="Record the data that the skipped checks need, or accept that they are not made.",
    limit="every check of severity error passed or failed",
    applies="always",
    per="cell",
)
CHECKS = (
    READINGS_SOUND,
    READS_SUCCEED,
    NO_WRAP_UNSEEN,
    ENERGY_MEASURED,
    IDLE_KNOWN,
    IDLE_STEADY,
    HOST_IDLE,
    ALL_CHECKED,
)


def check_meters(sampler: SamplerRecord | None, sources: Sources) -> Iterator[CheckResult]:
    """Check the readings, that reads succeeded, and that energies are measured, not modelled.

    Args:
        sampler: the sampler's statistics, with the number of failed reads; None if not recorded.
        sources: source of each component's energy.
    """
    unsound = sum(source.unsound for source in sources.figures.values())
    detail = "readings that are not finite numbers, or whose time did not advance"
    yield READINGS_SOUND.at_most(unsound, 0, detail)
    failures = list(_failed_reads(sampler))
    failed = {what: count for what, count in failures if not what.startswith("wrap")}
    detail = "; ".join(f"{what} ({count} times)" for what, count in failed.items())
    yield READS_SUCCEED.at_most(sum(failed.values()), 0, detail or "no read failed")
    yield NO_WRAP_UNSEEN.at_most(
        sum(count for what, count in failures if what.startswith("wrap")),
        0,
        "reads of a RAPL counter so late that it may have wrapped more than once since the read "
        "before, or with a step that no package can draw (the counter was reset)",
    )
    modelled = [name for name, source in sources.figures.items() if source.status == "modelled"]
    methods = "; ".join(
        f"{name}: {sources.figures[name].method}; instead of {sources.rejected.get(name)}"
        for name in modelled
    )
    yield ENERGY_MEASURED.result(
        not modelled,
        ", ".join(modelled) or None,
        "no component modelled",
        methods or "every component present is measured",
    )


def _failed_reads(sampler: SamplerRecord | None) -> Iterator[tuple[str, int]]:
    """Yield (what failed, how often) from the sampler's summary."""
    for sampling in [] if sampler is None else sampler.get("meters", {}).values():
        yield from sampling.get("failures", {}).items()


def check_idle(
    timeline: Timeline,
    sources: Sources,
    windows: Sequence[PhaseWindow],
    baseline: PowerByPhase,
    settings: EnergySettings,
) -> Iterator[CheckResult]:
    """Check idle power before and after the repeats.

    Args:
        windows: phases of the cell.
        baseline: idle power (W) of each phase and component, as in energy.json.
    """
    before, after = baseline["idle_loaded_w"], baseline["idle_after_w"]
    missing = [name for name in sources.figures if before[name] is None or after[name] is None]
    yield IDLE_KNOWN.result(
        not missing,
        ", ".join(missing) or None,
        "idle power of every component",
        "net energy needs idle windows before and after, longer than the meter's resolution",
    )
    drifts: dict[str, float] = {}
    for name, before_w in before.items():
        after_w = after[name]
        if before_w is not None and after_w is not None:
            drifts[name] = relative_drift(before_w, after_w)
    worst = max(drifts, key=lambda name: drifts[name], default=None)
    detail = "|after - before| / before of idle power with the model loaded"
    yield IDLE_STEADY.at_most(
        None if worst is None else drifts[worst],
        settings.validity.max_idle_drift,
        detail if worst is None else f"{detail}: {worst}",
    )
    yield HOST_IDLE.at_most(
        idle_cpu_load(timeline, windows),
        settings.validity.max_idle_cpu_load,
        "mean CPU load of the machine in the busier idle window",
    )


def check_all_decided(results: Sequence[CheckResult]) -> CheckResult:
    """Check that no check of severity error was skipped; the result names the skipped ones."""
    open_checks = {r["name"] for r in results if r["severity"] == "error" and r["passed"] is None}
    return ALL_CHECKED.result(
        not open_checks,
        ", ".join(sorted(open_checks)) or None,
        "every check of severity error",
        "checks that lack the readings they need",
    )
