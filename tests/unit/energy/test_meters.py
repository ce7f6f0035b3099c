"""Small meters and tables: host load, CodeCarbon's set-up, carbon intensity, phases."""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewatt.config.carbon_intensity import carbon_intensity, emissions_kg
from codewatt.energy.meters import codecarbon
from codewatt.energy.meters.host_load import open_host
from codewatt.energy.phase_windows import PhaseLog
from codewatt.errors import CodewattError


def proc(root: Path, jiffies: str, own: str = "10 20 3 4") -> None:
    (root / "stat").write_text(f"cpu  {jiffies} 0 0\ncpu0 1 1 1 1\n")
    (root / "7").mkdir(exist_ok=True)
    before = "S 1 7 7 0 -1 4194304 1 2 3 4"
    (root / "7" / "stat").write_text(f"7 (a (strange) name) {before} {own} 20 0 1 0\n")
    (root / "meminfo").write_text("MemTotal: 8000 kB\nMemFree: 10 kB\nMemAvailable: 6000 kB\n")


def test_cpu_load_is_the_busy_share_since_the_last_read(tmp_path: Path) -> None:
    proc(tmp_path, "100 0 100 800 0 0 0 0")
    meter = open_host(0.5, 7, tmp_path)
    proc(tmp_path, "130 10 120 820 10 5 5 0")
    read = {reading.quantity: reading.value for reading in meter.read()}
    # 70 busy (user, nice, system, irq, softirq) of 100; waiting for a disk is not busy
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    assert read == {
        "job_busy_s": pytest.approx(37 * tick_s),  # the job's and its ended children's
        "cpu_load": pytest.approx(0.7),
        "memory_used_bytes": 2000 * 1024,
        "busy_s": pytest.approx(270 * tick_s),
        "stolen_s": 0,
    }
    assert "cpu_load" not in {reading.quantity for reading in meter.read()}


def test_the_jobs_time_is_that_of_all_below_it_before_and_after_they_end(tmp_path: Path) -> None:
    def busy_ticks(meter: Any) -> float:
        read = {reading.quantity: reading.value for reading in meter.read()}
        return float(read["job_busy_s"] * os.sysconf("SC_CLK_TCK"))

    proc(tmp_path, "100 0 100 800 0 0 0 0", own="10 20 3 4")
    thread = tmp_path / "7" / "task" / "8"
    thread.mkdir(parents=True)
    (thread / "children").write_text("9 11 \n")
    (tmp_path / "9").mkdir()
    stat = "9 (sandbox) S 7 7 7 0 -1 4194304 1 2 3 4 100 50 0 0 20 0 1 0\n"
    (tmp_path / "9" / "stat").write_text(stat)  # 11 has ended since it was listed
    meter = open_host(0.5, 7, tmp_path)
    assert busy_ticks(meter) == pytest.approx(37 + 150)
    # The child is waited for: its time moves to its parent's, and the sum does not jump.
    (thread / "children").write_text("\n")
    proc(tmp_path, "100 0 100 800 0 0 0 0", own="10 20 103 54")
    assert busy_ticks(meter) == pytest.approx(37 + 150)


def test_children_are_found_where_the_kernel_does_not_list_them(tmp_path: Path) -> None:
    proc(tmp_path, "100 0 100 800 0 0 0 0", own="10 20 3 4")
    for pid, parent in ((9, 7), (11, 9), (12, 1)):
        (tmp_path / str(pid)).mkdir()
        line = f"{pid} (a) b) S {parent} 7 7 0 -1 4194304 1 2 3 4 100 50 0 0 20 0 1 0\n"
        (tmp_path / str(pid) / "stat").write_text(line)
    meter = open_host(0.5, 7, tmp_path)
    read = {reading.quantity: reading.value for reading in meter.read()}
    ticks = read["job_busy_s"] * os.sysconf("SC_CLK_TCK")
    assert ticks == pytest.approx(37 + 150 + 150), "the job, its child and its grandchild"


def test_no_proc_is_absent(tmp_path: Path) -> None:
    meter = open_host(0.5, 7, tmp_path)
    assert meter.info.interval_s is None
    assert "not readable" in (meter.info.components["host"].detail or "")


@pytest.mark.parametrize(
    ("mode", "tdp_w", "generic", "status", "method", "basis"),
    [
        ("intel_rapl", 0, False, "measured", "RAPL", "wrap"),
        ("cpu_load", 8, False, "modelled", "8 W x (0.1 + 0.9 load^3)", "4 W per thread"),
        ("cpu_load", 85, True, "modelled", "85 W x", "constant for an unknown CPU"),
        ("cpu_load", 240, False, "modelled", "240 W x", "list of CPU models, for 'EPYC'"),
        ("constant", 85, True, "modelled", "constant 42.5 W", "constant for an unknown CPU"),
        ("new_mode", 85, True, "unavailable", "CodeCarbon", "'new_mode' is unknown"),
    ],
)
def test_codecarbons_mode_decides_what_its_figure_is(
    mode: str, tdp_w: float, generic: bool, status: str, method: str, basis: str
) -> None:
    class CPU(SimpleNamespace):
        pass

    hardware = [CPU(_mode=mode, _tdp=tdp_w, _is_generic_tdp=generic, _model="EPYC")]
    detected = {
        "cpu_model": "EPYC",
        "cpu_count": 2,
        "cpu_physical_count": 1,
        "ram_total_size": 24.0,
    }
    tracker = SimpleNamespace(_hardware=hardware, get_detected_hardware=lambda: detected)
    info = codecarbon._describe(tracker, 20.0, 0.5, [])
    cpu = info.components["cpu"]
    assert (cpu.status, method in cpu.method, basis in (cpu.detail or "")) == (status, True, True)
    assert info.components["dram"].status == "modelled"
    assert "constant 20 W" in info.components["dram"].method


def test_a_codecarbon_that_breaks_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(codecarbon, "_open", broken)
    meter = codecarbon.open_codecarbon(0.5, {})
    detail = meter.info.components["cpu"].detail
    assert detail == "CodeCarbon does not start here (RuntimeError: two lines)"


def test_carbon_intensity_names_its_source() -> None:
    found = carbon_intensity("NLD")
    assert 50 < found["g_per_kwh"] < 600
    assert "CodeCarbon 3." in found["source"]
    assert "Netherlands, electricity mix of 20" in found["source"]
    assert carbon_intensity("POL")["g_per_kwh"] > carbon_intensity("NOR")["g_per_kwh"]
    assert emissions_kg(3.6e6, 250.0) == pytest.approx(0.25)


def test_an_unknown_country_names_the_known_ones() -> None:
    with pytest.raises(CodewattError, match=r"'nld'; allowed: .*NLD") as caught:
        carbon_intensity("nld")
    assert "\n" not in str(caught.value)


def test_phases_synchronise_at_both_edges_before_the_time_is_taken() -> None:
    events: list[float] = []

    def synchronise() -> None:
        time.sleep(0.01)
        events.append(time.monotonic())

    log = PhaseLog(synchronise)
    with log.window("decode", repeat=1, batch=2):
        inside_s = time.monotonic()
    (window,) = log.windows
    assert events[0] <= window["start_s"] <= inside_s
    assert events[1] <= window["end_s"]
    assert window["end_s"] - inside_s >= 0.01
    assert (window["phase"], window["repeat"], window["batch"]) == ("decode", 1, 2)


def test_a_phase_that_fails_leaves_no_window() -> None:
    log = PhaseLog()
    with pytest.raises(KeyError), log.window("load"):
        raise KeyError
    assert log.windows == []
    with pytest.raises(ValueError, match="ends before it starts"):
        log.add("load", 2.0, 1.0)


def test_windows_are_copies() -> None:
    log = PhaseLog()
    log.add("load", 1.0, 2.0)
    log.windows[0]["phase"] = "x"
    assert log.windows[0]["phase"] == "load"
