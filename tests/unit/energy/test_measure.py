"""From timelines with known joules to energy.json, on every branch."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codewatt.energy.boundaries import PARTS
from codewatt.energy.cell_energy import measure_cell
from codewatt.energy.job_meter import JobMeter
from codewatt.errors import CodewattError

GPU = ("nvml", "gpu", "GPU-0", "energy_j")
POWER = ("nvml", "gpu", "GPU-0", "power_w")
AVERAGE = ("nvml", "gpu", "GPU-0", "power_average_w")

Measured = Callable[..., dict[str, Any]]


def test_every_figure_of_a_fully_metered_cell(measured: Measured) -> None:
    cell = measured()
    # A repeat of 20 s at 300 W on the GPU; 2 packages at a tenth, DRAM at a hundredth of that.
    assert cell["runs"][1]["energy_j"] == {
        "gpu": pytest.approx(6000),
        "cpu": pytest.approx(1200),
        "dram": pytest.approx(60),
        "node": pytest.approx(7260),
        "job": pytest.approx(7260),
    }
    # Idle takes a third of it.
    assert cell["runs"][1]["net_energy_j"]["node"] == pytest.approx(7260 * 2 / 3)
    assert cell["runs"][1]["prefill_energy_j"]["node"] == pytest.approx(7260 / 4)
    assert cell["runs"][1]["decode_energy_j"]["gpu"] == pytest.approx(4500)
    assert (cell["runs"][1]["prefill_s"], cell["runs"][1]["decode_s"]) == (5.0, 15.0)
    assert cell["baseline"]["idle_loaded_w"] == {
        "gpu": pytest.approx(100),
        "cpu": pytest.approx(20),
        "dram": pytest.approx(1),
        "node": pytest.approx(121),
        "job": pytest.approx(121),
    }
    assert cell["load"]["duration_s"] == 2.0
    assert cell["load"]["energy_j"]["gpu"] == pytest.approx(200)
    assert cell["evaluate"] is None
    assert cell["components"]["node"]["status"] == "measured"
    assert cell["valid"] is True
    assert [run["repeat"] for run in cell["runs"]] == [0, 1]
    assert cell["carbon"]["country"] == "NLD"
    json.dumps(cell, allow_nan=False)


def test_the_alternatives_stand_beside_the_figures(measured: Measured) -> None:
    assert measured()["runs"][1]["alternatives"] == {
        "gpu_samples_j": pytest.approx(6000, rel=1e-3),
        "gpu_average_j": pytest.approx(6000, rel=0.01),
        "codecarbon_cpu_j": pytest.approx(1000),
        "codecarbon_dram_j": pytest.approx(400),
    }


def test_windows_keep_their_order_and_idle_is_taken_off_loaded_phases_only(
    bench: Any, measured: Measured
) -> None:
    windows = measured()["windows"]
    assert [w["phase"] for w in windows] == [w["phase"] for w in bench.windows]
    net = {w["phase"]: w["net_energy_j"]["node"] for w in windows}
    assert net["decode"] == pytest.approx(15 * 242)
    assert net["warmup"] == pytest.approx(0, abs=1e-6)
    assert net["load"] is None
    assert net["idle_unloaded"] is None


def test_a_probe_before_the_warm_up_changes_no_figure(bench: Any, measured: Measured) -> None:
    """It draws what the repeats draw; its energy is its own, above idle, and nobody else's."""
    bench.windows[2] |= {"end_s": 1028.0}  # idle_loaded
    without = measured()
    bench.windows.insert(3, {**bench.window("probe", 1028, 1029)})
    with_probe = measured()
    assert with_probe["windows"][3]["phase"] == "probe"
    assert with_probe["windows"][3]["net_energy_j"]["node"] == pytest.approx(0, abs=1e-6)
    windows = with_probe["windows"]
    assert [w for w in windows if w["phase"] != "probe"] == without["windows"]
    for key in without.keys() - {"windows"}:
        assert with_probe[key] == without[key], key


def test_without_gpu_and_rapl_the_figures_are_modelled_and_say_so(
    bench: Any, measured: Measured
) -> None:
    bench.drop("nvml", "rapl")
    cell = measured()
    assert {name: part["status"] for name, part in cell["components"].items()} == {
        "gpu": "unavailable",
        "cpu": "modelled",
        "dram": "modelled",
        "node": "modelled",
        "job": "modelled",
    }
    assert cell["components"]["gpu"]["detail"] == "nvml: no nvml; codecarbon: no GPU"
    assert cell["components"]["cpu"]["method"] == "CodeCarbon 3.3.2, 50 W"
    assert cell["components"]["node"]["status"] == "modelled"
    assert cell["runs"][0]["energy_j"] == {
        "gpu": None,
        "cpu": pytest.approx(1000),
        "dram": pytest.approx(400),
        "node": pytest.approx(1400),
        "job": pytest.approx(1400),
    }


def test_modelled_beside_measured_makes_the_total_modelled(bench: Any, measured: Measured) -> None:
    bench.drop("rapl")
    cell = measured()
    assert cell["components"]["gpu"]["status"] == "measured"
    assert cell["components"]["node"]["status"] == "modelled"
    assert cell["runs"][0]["energy_j"]["node"] == pytest.approx(6000 + 1400)


def test_no_meter_at_all_is_null_and_invalid(bench: Any, measured: Measured) -> None:
    bench.drop("nvml", "rapl", "codecarbon")
    cell = measured()
    assert cell["components"]["node"]["status"] == "unavailable"
    assert cell["runs"][0]["energy_j"] == dict.fromkeys(PARTS)
    assert cell["valid"] is False


def test_without_a_counter_the_samples_are_the_figure(bench: Any, measured: Measured) -> None:
    del bench.series[GPU]
    cell = measured()
    method = cell["components"]["gpu"]["method"]
    assert method == "NVML power samples, integrated (instant power)"
    assert cell["runs"][1]["energy_j"]["gpu"] == pytest.approx(6000, rel=1e-3)


def test_a_counter_that_never_moves_is_not_a_figure(bench: Any, measured: Measured) -> None:
    t_s, joules = bench.series[GPU]
    bench.series[GPU] = (t_s, np.zeros(len(joules)))
    cell = measured()
    assert "samples" in cell["components"]["gpu"]["method"]
    del bench.series[POWER], bench.series[AVERAGE]
    cell = measured()
    assert cell["components"]["gpu"]["status"] == "unavailable"
    assert "energy_j of GPU-0 never changed" in cell["components"]["gpu"]["detail"]


def test_power_that_is_always_zero_is_not_a_figure(bench: Any, measured: Measured) -> None:
    del bench.series[GPU], bench.series[AVERAGE]
    bench.series[POWER] = (bench.series[POWER][0], np.zeros(len(bench.series[POWER][0])))
    assert measured()["components"]["gpu"]["status"] == "unavailable"


def test_a_missing_package_is_no_cheap_machine(bench: Any, measured: Measured) -> None:
    del bench.series[("rapl", "cpu", "package-1", "energy_j")]
    cell = measured()
    assert cell["components"]["cpu"]["status"] == "modelled"
    assert cell["runs"][0]["energy_j"]["cpu"] == pytest.approx(1000)
    bench.drop("codecarbon")
    assert "no energy_j of package-1" in measured()["components"]["cpu"]["detail"]


def test_what_codecarbon_measures_stands_beside_and_is_no_figure(
    bench: Any, measured: Measured
) -> None:
    """It reads the counters that were refused, without asking whether they are whole."""
    told = bench.meters["codecarbon"]
    rapl = replace(told.components["cpu"], status="measured", method="CodeCarbon, RAPL")
    bench.meters["codecarbon"] = replace(told, components={**told.components, "cpu": rapl})
    assert measured()["runs"][0]["alternatives"]["codecarbon_cpu_j"] == pytest.approx(1000)
    del bench.series[("rapl", "cpu", "package-1", "energy_j")]
    cell = measured()
    assert cell["components"]["cpu"]["status"] == "unavailable"
    assert (
        "it reads the same counters, which cannot be used here"
        in cell["components"]["cpu"]["detail"]
    )
    assert cell["runs"][0]["energy_j"]["node"] is None
    assert cell["valid"] is False


def test_a_timeline_that_is_not_the_manifests_is_refused(bench: Any, tmp_path: Path) -> None:
    path = bench.write(tmp_path / "timeline.parquet")
    described = {"timeline.parquet": {"bytes": path.stat().st_size, "sha256": "0" * 64}}
    with pytest.raises(CodewattError, match="sha256 differs from its manifest"):
        measure_cell({**bench.manifest, "files": described}, path, None, None, {})


def test_a_reset_counter_has_no_figure_in_that_repeat_only(bench: Any, measured: Measured) -> None:
    t_s, joules = bench.series[GPU]
    bench.series[GPU] = (t_s, np.where(t_s < 1040, joules, joules - joules[0]))
    cell = measured()
    assert cell["runs"][0]["energy_j"]["gpu"] is None
    assert cell["runs"][0]["energy_j"]["node"] is None
    assert cell["runs"][1]["energy_j"]["gpu"] == pytest.approx(6000)
    assert cell["valid"] is False


def test_the_gpus_of_a_job_are_summed_and_others_are_not(bench: Any, measured: Measured) -> None:
    bench.series[("nvml", "gpu", "GPU-1", "energy_j")] = bench.series[GPU]
    bench.series[("nvml", "gpu", "GPU-2", "energy_j")] = bench.series[GPU]
    info = bench.meters["nvml"]
    bench.meters["nvml"] = replace(info, devices=[*info.devices, {"device": "GPU-1", "name": "x"}])
    assert measured()["runs"][0]["energy_j"]["gpu"] == pytest.approx(12000)


def split_prefill(bench: Any, short_s: float) -> None:
    """Cut the first prefill window of repeat 1 in two, the second lasting `short_s`."""
    window = next(w for w in bench.windows if (w["phase"], w["repeat"]) == ("prefill", 1))
    second = {**window, "start_s": window["end_s"] - short_s, "batch": 1}
    window["end_s"] = second["start_s"]
    bench.windows.append(second)


def test_a_window_below_the_resolution_has_no_figure_of_its_own(
    bench: Any, measured: Measured
) -> None:
    split_prefill(bench, 0.04)
    cell = measured()
    assert cell["windows"][-1]["energy_j"] == dict.fromkeys(PARTS)
    # It is 0.8 % of the phase's time, and is taken to draw what the rest draws.
    assert cell["runs"][1]["prefill_energy_j"]["gpu"] == pytest.approx(1500)


def test_a_phase_of_many_short_windows_has_no_figure(bench: Any, measured: Measured) -> None:
    for _ in range(2):
        split_prefill(bench, 0.04)
    cell = measured()
    assert cell["runs"][1]["prefill_energy_j"] == dict.fromkeys(PARTS)
    assert cell["runs"][1]["prefill_s"] == pytest.approx(5.0)
    assert cell["runs"][1]["energy_j"]["gpu"] == pytest.approx(6000)
    told = [e for e in cell["checks"] if e["name"] == "prefill_resolved" and e["repeat"] == 1]
    assert told[0]["passed"] is False
    assert "windows last 0.04 to 4.92 s, readings come: gpu every 0.1 s" in told[0]["detail"]
    assert cell["valid"] is True


def test_a_window_outside_the_readings_has_no_figure(bench: Any, measured: Measured) -> None:
    bench.windows[-1]["end_s"] = 2000.0
    assert measured()["baseline"]["idle_after_w"] == dict.fromkeys(PARTS)


def test_without_an_idle_window_there_is_no_net_energy(bench: Any, measured: Measured) -> None:
    bench.windows = [w for w in bench.windows if w["phase"] not in ("idle_loaded", "idle_after")]
    run = measured()["runs"][0]
    assert run["net_energy_j"]["node"] is None
    assert run["energy_j"]["node"] == pytest.approx(7260)


def test_not_a_number_and_time_running_back_are_left_out_and_told(
    bench: Any, measured: Measured
) -> None:
    t_s, joules = (array.copy() for array in bench.series[GPU])
    joules[350] = np.nan
    t_s[400] -= 5
    joules[450] = np.inf
    bench.series[GPU] = (t_s, joules)
    cell = measured()
    assert cell["runs"][0]["energy_j"]["gpu"] == pytest.approx(6000)
    told = next(e for e in cell["checks"] if e["name"] == "readings_sound")
    assert (told["passed"], told["observed"]) == (False, 3)


def test_evaluate_has_its_own_timeline(bench: Any, tmp_path: Path) -> None:
    path = bench.write(tmp_path / "timeline.parquet")
    bench.drop("nvml")
    other = bench.write(tmp_path / "evaluate.parquet")
    evaluate = {"windows": [bench.window("evaluate", 1040, 1050)], "meters": [], "verdicts": []}
    cell = measure_cell(bench.manifest, path, evaluate, other, {}).record
    assert cell["evaluate"]["duration_s"] == 10.0
    assert cell["evaluate"]["energy_j"]["gpu"] is None
    assert cell["evaluate"]["energy_j"]["node"] == pytest.approx(600 + 30)
    assert cell["evaluate"]["status"]["gpu"] == "unavailable"
    without = measure_cell(bench.manifest, path, evaluate, None, {}).record
    assert without["evaluate"] is None


def test_the_energy_of_any_window_of_a_timeline(bench: Any, tmp_path: Path) -> None:
    path = bench.write(tmp_path / "timeline.parquet")
    meter = JobMeter.read(path)
    assert meter.energy(1031.0, 1032.0)["node"] == pytest.approx(363)
    assert meter.statuses() == dict.fromkeys(PARTS, "measured")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"country": "XYZ"}, r"energy.country: .*no carbon intensity for 'XYZ'; allowed: .*NLD"),
        ({"country": 31}, r"energy.country: 31: Input should be a valid string"),
        ({"min_window_s": 5}, r"energy.min_window_s: 5: Extra inputs"),
        (
            {"validity": {"min_window_s": -1}},
            r"validity\.min_window_s: -1: .*greater than",
        ),
        ({"validity": {"min_window_s": float("nan")}}, r"validity\.min_window_s: nan"),
    ],
)
def test_bad_settings_are_refused(
    measured: Measured, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(CodewattError, match=message):
        measured(**settings)


def test_bad_files_are_refused_in_one_line(bench: Any, tmp_path: Path) -> None:
    with pytest.raises(CodewattError, match="no such file"):
        JobMeter.read(tmp_path / "none.parquet")
    (tmp_path / "half.parquet").write_bytes(b"PAR1")
    with pytest.raises(CodewattError, match="not readable as parquet") as caught:
        JobMeter.read(tmp_path / "half.parquet")
    assert "\n" not in str(caught.value)
    path = bench.write(tmp_path / "timeline.parquet")
    bench.windows = []
    with pytest.raises(CodewattError, match="no window of phase 'repeat'"):
        measure_cell(bench.manifest, path, None, None, {})
