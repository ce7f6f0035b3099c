"""Findings on how Buis 2024 measured: readings every 10 s, idle power subtracted, one GPU."""

from collections.abc import Iterator, Mapping

from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.published_runs import TASKS, Run, read_runs
from codewatt.published.finding import HOLDS, NOT_SHOWN, Finding
from codewatt.published.printed_number import Interval

Runs = Mapping[str, Run]
#: An assumed idle power (W), to show what subtracting it changes. The thesis states none.
EXAMPLE_IDLE_W = 30
_EXAMPLES = ("7B-Instruct-AWQ", "14B-Instruct-GPTQ-Int4", "0.5B-Instruct-GPTQ-Int8")


def measurement_findings(tables: ThesisTables) -> Iterator[Finding]:
    """Findings on the measurement."""
    runs = read_runs(tables)
    yield _sampling(tables, runs)
    yield _idle(runs)
    yield _plausible_power(tables, runs)


def _sampling(tables: ThesisTables, runs: Runs) -> Finding:
    interval_s = float(tables.claim("sampling_interval").value)
    seconds = {label: float(run.seconds.middle) for label, run in runs.items()}
    values: dict[str, float] = {
        "shorter_than_interval": sum(total / TASKS < interval_s for total in seconds.values()),
        "runs": len(runs),
    }
    for label in ("0.5B", "Qwen-Coder2.5-7B-Instruct, Batch size 1", "14B"):
        values[f"readings_{label}"] = seconds[label] / interval_s
        values[f"task_s_{label}"] = seconds[label] / TASKS
    examples = "; ".join(
        f"{label} {values[f'readings_{label}']:.0f} readings, {values[f'task_s_{label}']:.1f} s "
        "per task"
        for label in ("0.5B", "Qwen-Coder2.5-7B-Instruct, Batch size 1", "14B")
    )
    return Finding(
        "readings_every_10_s",
        NOT_SHOWN,
        "Section 4.4: energy “has been collected every 10 seconds, which might have influenced the "
        "accuracy of the measurements for the granularity analysis”. Tables 5.2 to 5.39 test the "
        f"energies of {TASKS:,} single tasks.",
        f"In {values['shorter_than_interval']:.0f} of {values['runs']:.0f} runs a task takes less "
        f"than 10 s on average: {examples}. Several tasks then share a reading, and a task's "
        "energy is its time multiplied with a power that was read once, or not at all, during it. "
        "Readings that are shared make neighbouring tasks alike.",
        "Energies of single tasks follow the times of the tasks; their powers are not resolved. "
        "Autocorrelation, and tests that treat 1,140 values as independent, are affected. Totals "
        "of a run hardly are: errors of single readings average out over hundreds of them.",
        values,
    )


def _idle(runs: Runs) -> Finding:
    values: dict[str, float] = {}
    lines = []
    for name in _EXAMPLES:
        run, reference = runs[name], runs[f"{name.split('-')[0]}-Instruct"]
        energies = [_with_idle(one, 0) for one in (run, reference)]
        whole = [_with_idle(one, EXAMPLE_IDLE_W) for one in (run, reference)]
        values[f"printed_{name}"] = 100 * float(1 - energies[0].middle / energies[1].middle)
        values[f"whole_{name}"] = 100 * float(1 - whole[0].middle / whole[1].middle)
        lines.append(f"{name} {values[f'printed_{name}']:.1f} to {values[f'whole_{name}']:.1f} %")
    base = runs["7B-Instruct"]
    values["added_7b"] = 100 * float(
        _with_idle(base, EXAMPLE_IDLE_W).middle / base.energy_kwh.value - 1
    )
    return Finding(
        "idle_power_subtracted",
        NOT_SHOWN,
        "Section 3.1: “power consumption during model inference minus the idle state power "
        "consumption represents the total energy consumption”. Section 3.3: one GPU of four; the "
        "CPU is “excluded from this work”.",
        "Idle power is drawn during the run as well, and the thesis does not state it. With an "
        f"assumed {EXAMPLE_IDLE_W} W the energy of 7B-Instruct is {values['added_7b']:.0f} % "
        f"higher, and savings change as follows (latencies of table 5.29): {'; '.join(lines)}. "
        "CPU, memory, fans and the other three GPUs are outside this boundary; their energy grows "
        "with the run time too.",
        "Absolute energies and pass@kWh hold for one GPU above idle only. Savings of runs whose "
        "time falls with their energy change little; where time does not fall (0.5B) less of the "
        "saving is left.",
        values,
    )


def _plausible_power(tables: ThesisTables, runs: Runs) -> Finding:
    rating = float(tables.claim("gpu_rating").value)
    powers = {label: float(run.power_w.middle) for label, run in runs.items()}
    values = {
        "lowest_w": min(powers.values()),
        "highest_w": max(powers.values()),
        "rating_w": rating,
    }
    return Finding(
        "power_below_rating",
        HOLDS,
        "Section 3.3: an L40S draws “350 watt at 100% utilization”.",
        f"Energy over latency of all 34 runs (Instruct models of table 5.29) is "
        f"{values['lowest_w']:.0f} to {values['highest_w']:.0f} W above idle.",
        "Energies and latencies are plausible together. Small models do not keep the GPU busy.",
        values,
    )


def _with_idle(run: Run, idle_w: int) -> Interval:
    """Energy (kWh) with an idle power added over the whole run."""
    return run.energy_kwh.rounded + run.seconds * idle_w / 3_600_000
