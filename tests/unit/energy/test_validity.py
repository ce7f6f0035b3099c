"""Each thing that makes a joule wrong fails its own check; nothing passes silently."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codewatt.cli import main
from codewatt.config.energy_settings import ValidityLimits
from codewatt.energy.validity.all_checks import ALL_CHECKS, checks_page
from codewatt.energy.validity.power import POWER_PLAUSIBLE

GPU = ("nvml", "gpu", "GPU-0", "energy_j")
POWER = ("nvml", "gpu", "GPU-0", "power_w")
Measured = Callable[..., dict[str, Any]]


def set_during(bench: Any, quantity: str, start_s: float, end_s: float, value: float) -> None:
    key = ("nvml", "gpu", "GPU-0", quantity)
    t_s, values = bench.series[key]
    bench.series[key] = (t_s, np.where((t_s >= start_s) & (t_s < end_s), value, values))


def without(bench: Any, key: Any, start_s: float, end_s: float) -> None:
    """Take readings out of a series."""
    t_s, values = bench.series[key]
    kept = (t_s < start_s) | (t_s > end_s)
    bench.series[key] = (t_s[kept], values[kept])


def nvml(bench: Any, **facts: Any) -> None:
    info = bench.meters["nvml"]
    bench.meters["nvml"] = replace(info, facts={**info.facts, **facts})


def mig(bench: Any) -> None:
    info = bench.meters["nvml"]
    bench.meters["nvml"] = replace(info, devices=[{**info.devices[0], "mig_mode": True}])


def two_gpus(bench: Any) -> None:
    info = bench.meters["nvml"]
    for quantity in ("energy_j", "power_w"):
        bench.series["nvml", "gpu", "GPU-1", quantity] = bench.series[
            "nvml", "gpu", "GPU-0", quantity
        ]
    bench.meters["nvml"] = replace(
        info,
        devices=[*info.devices, {"device": "GPU-1", "name": "x"}],
        facts={"selected_by": "all"},
    )


def hotter(bench: Any) -> None:
    """Idle power after the repeats is a third higher."""
    t_s, joules = bench.series[GPU]
    bench.series[GPU] = (t_s, joules + np.clip(t_s - 1071, 0, None) * 33)


def busy_host(bench: Any) -> None:
    key = ("host", "host", "machine", "cpu_load")
    bench.series[key] = (bench.series[key][0], np.full(len(bench.series[key][0]), 0.5))


def power_off(*quantities: str) -> Callable[[Any], None]:
    """Power readings that are 7 % too high."""

    def change(bench: Any) -> None:
        for quantity in quantities:
            key = ("nvml", "gpu", "GPU-0", quantity)
            t_s, watts = bench.series[key]
            bench.series[key] = (t_s, watts * 1.07)

    return change


def spoil(position: int, value: float | None = None, back_s: float = 0.0) -> Callable[[Any], None]:
    """One reading of the counter that is no number, or is from another time."""

    def change(bench: Any) -> None:
        t_s, joules = (array.copy() for array in bench.series[GPU])
        joules[position] = joules[position] if value is None else value
        t_s[position] -= back_s
        bench.series[GPU] = (t_s, joules)

    return change


def zero_counter(bench: Any) -> None:
    bench.series[GPU] = (bench.series[GPU][0], np.zeros(len(bench.series[GPU][0])))


def no_counter(bench: Any) -> None:
    del bench.series[GPU]


def jump(bench: Any) -> None:
    """The counter gains what no card can draw."""
    t_s, joules = bench.series[GPU]
    bench.series[GPU] = (t_s, np.where(t_s > 1055, joules + 1e5, joules))


def lost_joules(bench: Any) -> None:
    """Both packages miss a wrap of 262,143 J / 1000 in the second repeat."""
    for package in ("package-0", "package-1"):
        key = ("rapl", "cpu", package, "energy_j")
        t_s, joules = bench.series[key]
        share = np.clip((t_s - 1050) / 20, 0, 1)
        bench.series[key] = (t_s, joules - share * 450)


def package_gone(bench: Any) -> None:
    """One package's counter is not read from the second repeat on."""
    key = ("rapl", "cpu", "package-1", "energy_j")
    t_s, joules = bench.series[key]
    bench.series[key] = (t_s[t_s < 1055], joules[t_s < 1055])


def frozen_package(bench: Any) -> None:
    """One package's counter stands still for a second repeat that goes on."""
    key = ("rapl", "cpu", "package-1", "energy_j")
    t_s, joules = bench.series[key]
    still = joules[np.searchsorted(t_s, 1052)]
    lost = joules[np.searchsorted(t_s, 1068)] - still
    inside = np.where(t_s > 1052, still, joules)
    bench.series[key] = (t_s, np.where(t_s > 1068, joules - lost, inside))


def stranger_at_rest(bench: Any) -> None:
    set_during(bench, "other_processes", 1010, 1029, 1)


def jump_while_loading(bench: Any) -> None:
    t_s, joules = bench.series[GPU]
    bench.series[GPU] = (t_s, np.where(t_s > 1007, joules + 1e5, joules))


def smeared(bench: Any) -> None:
    """Decode in windows of little more than a step of the counter."""
    window = next(w for w in bench.windows if (w["phase"], w["repeat"]) == ("decode", 1))
    bench.windows.remove(window)
    for number in range(100):
        start_s = window["start_s"] + 0.15 * number
        bench.windows.append(bench.window("decode", start_s, start_s + 0.15, 1, number))


def overlapping(bench: Any) -> None:
    window = next(w for w in bench.windows if (w["phase"], w["repeat"]) == ("decode", 1))
    bench.windows.append({**window, "batch": 1})


def others_compute(bench: Any) -> None:
    key = ("host", "host", "machine", "busy_s")
    t_s, busy_s = bench.series[key]
    bench.series[key] = (t_s, busy_s + np.clip(t_s - 1050, 0, None) * 2)


def stolen(bench: Any) -> None:
    key = ("host", "host", "machine", "stolen_s")
    t_s, stolen_s = bench.series[key]
    bench.series[key] = (t_s, stolen_s + np.clip(t_s - 1050, 0, None) * 0.2)


def part_of_node(bench: Any) -> None:
    allocation = {"processors": 8, "processors_held": 2, "share": 0.25}
    bench.meters["host"] = replace(bench.meters["host"], facts={"allocation": allocation})


def unknown_load(bench: Any) -> None:
    del bench.series["host", "host", "machine", "busy_s"]


def own_work(bench: Any) -> None:
    """A tenth of a repeat is neither prefill nor decode."""
    window = next(w for w in bench.windows if (w["phase"], w["repeat"]) == ("decode", 1))
    window["end_s"] -= 2.0


def coarse_counter(bench: Any) -> None:
    """A counter that moves every 1.3 s."""
    t_s, joules = bench.series[GPU]
    bench.series[GPU] = (t_s[::13], joules[::13])


def gpu_unmetered(bench: Any) -> None:
    """The job used a GPU that no meter read."""
    bench.drop("nvml")
    bench.device = "cuda"


def reset(bench: Any) -> None:
    t_s, joules = bench.series[GPU]
    bench.series[GPU] = (t_s, np.where(t_s < 1060, joules, joules - joules[0]))


def failures(what: str) -> Callable[[Any], None]:
    def change(bench: Any) -> None:
        bench.sampler = {"meters": {"rapl": {"failures": {what: 3}}}}

    return change


def state(quantity: str, value: float) -> Callable[[Any], None]:
    def change(bench: Any) -> None:
        set_during(bench, quantity, 1055, 1058, value)

    return change


def drifting(bench: Any) -> None:
    t_s, clocks = bench.series["nvml", "gpu", "GPU-0", "sm_clock_mhz"]
    slower = np.where(t_s > 1050, 1980 - (t_s - 1050) * 30, clocks)
    bench.series["nvml", "gpu", "GPU-0", "sm_clock_mhz"] = (t_s, slower)


def rested(met: bool | None) -> Callable[[Any], None]:
    def change(bench: Any) -> None:
        bench.start |= {"condition_met": met, "reason": "the temperature is 50 °C", "rest_s": 300.0}

    return change


def unsteady_warmup(bench: Any) -> None:
    bench.warmup |= {"batches": 50, "cv": 0.11, "steady": False}


def short(bench: Any) -> None:
    """One repeat of 20 s."""
    bench.windows = [window for window in bench.windows if window["repeat"] != 1]


CASES: dict[str, tuple[Callable[[Any], None], str, str, int | None]] = {
    "window_long_enough": (lambda b: None, "window_long_enough", "error", 0),
    "shared": (state("other_processes", 1), "gpu_not_shared", "error", 1),
    "mig": (mig, "no_mig", "error", None),
    "throttled": (state("throttle_reasons", 0x40), "no_slowdown", "error", 1),
    "capped": (state("throttle_reasons", 0x4), "no_power_cap", "warning", 1),
    "drifting clocks": (drifting, "clocks_steady", "warning", 1),
    "disagreement": (power_off("power_average_w", "power_w"), "counter_agrees", "error", 1),
    "samples disagree": (power_off("power_w"), "samples_agree", "warning", 1),
    "no counter": (no_counter, "gpu_counter_used", "warning", None),
    "zero counter": (zero_counter, "gpu_counter_used", "warning", None),
    "not a number": (spoil(550, float("nan")), "readings_sound", "error", None),
    "time runs back": (spoil(550, back_s=5.0), "readings_sound", "error", None),
    "impossible power": (jump, "gpu_power_plausible", "error", 1),
    "less than idle": (lost_joules, "cpu_not_below_idle", "error", 1),
    "package gone": (package_gone, "energy_known", "error", 1),
    "gpu unmetered": (gpu_unmetered, "energy_known", "error", 0),
    "others compute": (others_compute, "node_not_shared", "error", 1),
    "frozen package": (frozen_package, "counters_move", "error", 1),
    "stranger at rest": (stranger_at_rest, "idle_loaded_sound", "warning", None),
    "jump while loading": (jump_while_loading, "load_sound", "warning", None),
    "smeared phases": (smeared, "decode_resolved", "warning", 1),
    "phases overlap": (overlapping, "phases_cover", "warning", 1),
    "stolen": (stolen, "not_stolen", "warning", 1),
    "part of a node": (part_of_node, "node_held", "warning", None),
    "unknown load": (unknown_load, "all_checked", "warning", None),
    "own work": (own_work, "phases_cover", "warning", 1),
    "coarse counter": (coarse_counter, "edges_resolved", "warning", 1),
    "reset": (reset, "energy_known", "error", 1),
    "starved": (lambda b: without(b, GPU, 1055, 1058), "no_gaps", "error", 1),
    "few readings": (lambda b: without(b, GPU, 1050.05, 1069.5), "enough_readings", "error", 1),
    "whole box": (two_gpus, "gpu_selected", "error", None),
    "unread gpu": (lambda b: nvml(b, not_polled=["GPU-9"]), "gpu_selected", "error", None),
    "modelled": (lambda b: b.drop("rapl"), "energy_measured", "warning", None),
    "failed reads": (failures("cpu package-0"), "reads_succeed", "warning", None),
    "late reads": (failures("wrap may be unseen"), "no_wrap_unseen", "error", None),
    "warming": (hotter, "idle_steady", "warning", None),
    "busy host": (busy_host, "host_idle", "warning", None),
    "no idle": (lambda b: b.windows.pop(2), "idle_known", "warning", None),
    "rested too short": (rested(False), "start_conditions_met", "warning", None),
    "start not readable": (rested(None), "start_conditions_met", "warning", None),
    "cold": (unsteady_warmup, "warmup_steady", "warning", None),
    "short": (short, "measured_window_long_enough", "warning", None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_fault_fails_its_check_in_its_repeat(bench: Any, measured: Measured, case: str) -> None:
    change, name, severity, repeat = CASES[case]
    change(bench)
    cell = measured(**({"validity": {"min_window_s": 30}} if name == "window_long_enough" else {}))
    told = next(e for e in cell["checks"] if (e["name"], e["repeat"]) == (name, repeat))
    assert told["passed"] is False
    assert told["severity"] == severity
    assert told["limit"] is not None
    assert told["detail"]
    assert cell["valid"] is (severity == "warning")


def test_a_sound_cell_passes_them_all(measured: Measured) -> None:
    told = measured()["checks"]
    failed = {e["name"] for e in told if e["passed"] is False}
    skipped = {e["name"] for e in told if e["passed"] is None}
    assert (failed, skipped) == (set(), set()), "skipped: add the quantity to Bench in conftest.py"
    assert {e["repeat"] for e in told} == {None, 0, 1}


def test_a_fault_in_one_repeat_leaves_the_other(bench: Any, measured: Measured) -> None:
    set_during(bench, "other_processes", 1055, 1058, 1)
    told = [e for e in measured()["checks"] if e["name"] == "gpu_not_shared"]
    assert [e["passed"] for e in told] == [True, False]


def test_what_was_not_recorded_is_not_judged(bench: Any, measured: Measured) -> None:
    unread = ("other_processes", "throttle_reasons", "sm_clock_mhz", "power_w", "power_average_w")
    for quantity in unread:
        del bench.series["nvml", "gpu", "GPU-0", quantity]
    judged = {e["name"]: e["passed"] for e in measured()["checks"]}
    for name in ("gpu_not_shared", "no_slowdown", "clocks_steady", "counter_agrees"):
        assert judged[name] is None
    assert judged["all_checked"] is False


def test_a_job_without_gpu_has_no_checks_on_one(bench: Any, measured: Measured) -> None:
    bench.drop("nvml")
    names = {e["name"] for e in measured()["checks"]}
    assert not names & {"no_mig", "gpu_selected", "gpu_not_shared", "counter_agrees"}


def told(cell: dict[str, Any], name: str, repeat: int | None = 1) -> dict[str, Any]:
    return next(e for e in cell["checks"] if (e["name"], e["repeat"]) == (name, repeat))


def test_what_is_observed_is_what_was_seen(bench: Any, measured: Measured) -> None:
    overlapping(bench)
    assert told(measured(), "phases_cover")["observed"] == pytest.approx(-0.75)
    frozen_package(bench)
    frozen = told(measured(), "counters_move")
    assert (frozen["unit"], frozen["limit"]) == ("s", 2.0)
    assert frozen["observed"] == pytest.approx(16, abs=0.3)
    assert frozen["detail"].endswith("cpu package-1")


def test_a_job_that_seems_busier_than_its_machine_is_not_judged(
    bench: Any, measured: Measured
) -> None:
    key = ("host", "host", "machine", "job_busy_s")
    t_s, busy_s = bench.series[key]
    bench.series[key] = (t_s, busy_s * 2)
    cell = measured()
    assert told(cell, "node_not_shared")["passed"] is None
    assert told(cell, "all_checked", None)["observed"] == "node_not_shared"


def test_a_phase_too_short_for_every_meter_is_not_called_sound(
    bench: Any, measured: Measured
) -> None:
    load = next(w for w in bench.windows if w["phase"] == "load")
    load["end_s"] = load["start_s"] + 0.15
    assert told(measured(), "load_sound", None)["passed"] is None


def test_every_declared_check_has_its_own_name_and_says_what_it_is_for() -> None:
    names = [name for check in ALL_CHECKS for name in check.names]
    assert len(names) == len(set(names))
    for check in ALL_CHECKS:
        for sentence in (check.purpose, check.remedy):
            assert sentence.endswith(".")
            assert sentence[0].isupper()
        assert check.limit
        assert check.applies


def test_every_limit_of_the_study_belongs_to_a_check() -> None:
    used = {key for check in ALL_CHECKS for key in check.settings}
    assert used == set(ValidityLimits.model_fields)


def test_every_check_that_is_emitted_is_declared_and_the_reverse(
    bench: Any, measured: Measured
) -> None:
    declared = {name: check for check in ALL_CHECKS for name in check.names}
    told = measured()["checks"]
    for boundary in ("job", "gpu"):
        told += measured(boundary=boundary)["checks"]
    for result in told:
        check = declared[result["name"]]
        assert result["unit"] == check.unit
        assert check.severity in (result["severity"], "by_boundary")
        assert (check.per == "repeat") is (result["repeat"] is not None)
    # Emitted where they apply: CodeCarbon reads RAPL, judging and making are metered; the tables
    # compare a cell with its baseline.
    elsewhere = {"codecarbon_agrees", "evaluate_sound", "quantise_sound", "score_layers_sound"}
    elsewhere |= {"variant_not_confounded"}
    assert {result["name"] for result in told} == set(declared) - elsewhere


def test_a_subject_that_is_not_declared_is_refused() -> None:
    with pytest.raises(ValueError, match="no subject 'disk'"):
        POWER_PLAUSIBLE.result(True, 1.0, 2.0, "", 0, subject="disk")


def test_the_reference_page_names_every_check_with_the_defaults_of_its_limits(
    repository: Path, tmp_path: Path
) -> None:
    page = checks_page()
    for check in ALL_CHECKS:
        assert all(f"`{name}`" in page for name in check.names)
    assert "at least `min_window_s` (10) s" in page
    assert "{" not in page
    assert main(["reference", "--checks", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == page
    written = repository / "docs" / "reference" / "validity-checks.md"
    if written.is_file():
        assert written.read_text() == page, "run make reference"
