"""Net energy: right within its stated bound, and absent where its idle windows failed a check."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from codewatt.energy.boundaries import PARTS

Measured = Callable[..., dict[str, Any]]
GPU = ("nvml", "gpu", "GPU-0", "energy_j")
LOAD = ("host", "host", "machine", "cpu_load")


def test_the_bound_is_that_of_the_edges_and_of_idle_power_over_the_repeat(
    bench: Any, measured: Measured
) -> None:
    """Idle power of the CPU rises by 5 %; every edge is on a reading but for the repeat's end."""
    for package in ("package-0", "package-1"):
        key = ("rapl", "cpu", package, "energy_j")
        t_s, joules = bench.series[key]
        bench.series[key] = (t_s, joules + np.clip(t_s - 1071, 0, None) * 0.5)
    t_s = bench.series["rapl", "cpu", "package-0", "energy_j"][0]
    for window in bench.windows:
        window |= {edge: t_s[np.argmin(abs(t_s - window[edge]))] for edge in ("start_s", "end_s")}
    repeat = next(w for w in bench.windows if (w["phase"], w["repeat"]) == ("repeat", 1))
    repeat["end_s"] -= 0.05
    run = measured()["runs"][1]
    # 19 s at 20 W, then 14 s at 21 W
    idle_w = (19 * 20 + 14 * 21) / 33
    assert run["net_energy_j"]["cpu"] == pytest.approx(19.95 * (60 - idle_w))
    # Half a step of 6 J at the repeat's end; the later window is farther from the mean.
    expected_j = 3.0 + 19.95 * (21 - idle_w)
    assert run["net_uncertainty_j"]["cpu"] == pytest.approx(expected_j, abs=1e-3)
    assert run["net_uncertainty_j"]["cpu"] > run["uncertainty_j"]["cpu"]
    assert run["net_note"] is None
    parts = [run["net_uncertainty_j"][name] for name in ("gpu", "cpu", "dram")]
    assert run["net_uncertainty_j"]["node"] == pytest.approx(sum(parts))


def test_the_truth_lies_within_the_bound_wherever_the_windows_begin(
    bench: Any, measured: Measured
) -> None:
    """Constant power when idle and when busy, so that the true net energy is known."""
    draw, outside = np.random.default_rng(11), [dict(w) for w in bench.windows]
    for _ in range(40):
        for window, whole in zip(bench.windows, outside, strict=True):
            late_s, early_s = draw.uniform(0, 0.5, 2)
            window |= {"start_s": whole["start_s"] + late_s, "end_s": whole["end_s"] - early_s}
        for run in measured(validity={"min_window_s": 5})["runs"]:
            for name, busy_w, idle_w in (("gpu", 300, 100), ("cpu", 60, 20), ("dram", 3, 1)):
                true_j = (busy_w - idle_w) * run["duration_s"]
                error_j = abs(run["net_energy_j"][name] - true_j)
                assert error_j <= run["net_uncertainty_j"][name] + 1e-6


def gpu_drifts(bench: Any) -> None:
    t_s, joules = bench.series[GPU]
    bench.series[GPU] = (t_s, joules + np.clip(t_s - 1071, 0, None) * 33)


def stranger(bench: Any) -> None:
    key = ("nvml", "gpu", "GPU-0", "other_processes")
    t_s, values = bench.series[key]
    bench.series[key] = (t_s, np.where(t_s < 1020, 1.0, values))


def gap(bench: Any) -> None:
    t_s, joules = bench.series[GPU]
    kept = (t_s < 1073) | (t_s > 1077)
    bench.series[GPU] = (t_s[kept], joules[kept])


def no_second_window(bench: Any) -> None:
    bench.windows.pop()


def busy_machine(bench: Any) -> None:
    t_s, load = bench.series[LOAD]
    bench.series[LOAD] = (t_s, np.where(t_s < 1029, 0.5, load))


def others_compute(bench: Any) -> None:
    key = ("host", "host", "machine", "busy_s")
    t_s, busy_s = bench.series[key]
    bench.series[key] = (t_s, busy_s + np.clip(t_s - 1075, 0, None) * 1.0)


def cpu_uncovered(bench: Any) -> None:
    for package in ("package-0", "package-1"):
        key = ("rapl", "cpu", package, "energy_j")
        t_s, joules = bench.series[key]
        bench.series[key] = (t_s[t_s < 1080], joules[t_s < 1080])


@pytest.mark.parametrize(
    ("change", "without", "reason"),
    [
        (gpu_drifts, {"gpu"}, "gpu: .*changed by 33 % from before to after .limit 10 %"),
        (stranger, {"gpu"}, "gpu: .*idle_loaded: other processes on the GPU"),
        (gap, {"gpu"}, "gpu: .*idle_after: 4.1 s without a reading"),
        (no_second_window, {"gpu", "cpu", "dram"}, "cpu: no window of phase idle_after"),
        (busy_machine, {"cpu", "dram"}, r"cpu: .*mean CPU load was 0.4.* .limit 0.2"),
        (others_compute, {"cpu"}, "cpu: .*idle_after: others keep 0.8.* CPUs busy"),
        (cpu_uncovered, {"cpu"}, "cpu: phase idle_after has no energy: .*do not cover"),
    ],
)
def test_a_failed_idle_window_gives_no_net_figure_and_says_why(
    bench: Any, measured: Measured, change: Any, without: set[str], reason: str
) -> None:
    change(bench)
    cell = measured()
    absent = {*without, "node", "job"}
    for run in cell["runs"]:
        for kind in ("net_energy_j", "net_uncertainty_j"):
            assert {name for name in PARTS if run[kind][name] is None} == absent
        assert run["energy_j"]["node"] is not None
        note = re.search(reason, run["net_note"])
        assert note, run["net_note"]
        assert {part.split(":")[0] for part in run["net_note"].split("; ")} >= without
    failed = {e["name"] for e in cell["checks"] if e["passed"] is False}
    idle_checks = {"idle_known", "idle_steady", "host_idle", "idle_loaded_sound"}
    assert failed & {*idle_checks, "idle_after_sound"}, "its own check says so too"


def test_a_load_that_began_before_the_idle_window_is_not_its_own(
    bench: Any, measured: Measured
) -> None:
    """The first reading in the window takes in the loading before it."""
    t_s, load = bench.series[LOAD]
    bench.series[LOAD] = (t_s, np.where(t_s == 1010.0, 1.0, load))
    bench.windows[2] |= {"end_s": 1011.2}
    cell = measured()
    found = next(e for e in cell["checks"] if e["name"] == "host_idle")
    assert (found["passed"], found["observed"]) == (True, pytest.approx(0.02))


def test_a_repeat_of_no_energy_lies_below_idle_power(bench: Any, measured: Measured) -> None:
    """Its share of its own energy would be a division by zero."""
    t_s, joules = bench.series[GPU]
    still = joules[np.searchsorted(t_s, 1049.95)]
    lost = joules[np.searchsorted(t_s, 1070.05)] - still
    inside = np.where(t_s > 1049.95, still, joules)
    bench.series[GPU] = (t_s, np.where(t_s > 1070.05, joules - lost, inside))
    cell = measured()
    name = "gpu_not_below_idle"
    found = next(e for e in cell["checks"] if (e["name"], e["repeat"]) == (name, 1))
    assert cell["runs"][1]["energy_j"]["gpu"] == pytest.approx(0, abs=1e-6)
    assert (found["passed"], found["observed"]) == (False, pytest.approx(1.0, abs=0.05))
