"""Node power, clocks and cache misses: as the tools print them, or unavailable with the reason."""

import os
import stat
import time
from pathlib import Path

import pytest

from codewatt.energy.meters.cache_misses import Count, open_cache_misses, parse_count
from codewatt.energy.meters.node_state import open_node, parse_dcmi
from codewatt.energy.sampler import Sampler
from codewatt.energy.timeline_reader import read_timeline
from tests.support.patience import wait_until

#: Output of `ipmitool dcmi power reading` (ipmitool 1.8, lib/ipmi_dcmi.c).
DCMI = """
    Instantaneous power reading:                   212 Watts
    Minimum during sampling period:                108 Watts
    Maximum during sampling period:                260 Watts
    Average power reading over sample period:      140 Watts
    IPMI timestamp:                           Thu May 12 09:42:22 2022
    Sampling period:                          00000001 Seconds.
    Power reading state is:                   activated


"""
#: What perf 6.1 printed for a program that pauses, on a machine without hardware counters.
NOT_SUPPORTED = "<not supported>;;L1-dcache-load-misses;0;100.00;;"
NOT_COUNTED = "     0.205353713;<not counted>;;page-faults;0;100.00;;"
#: Of man perf-stat's fields: time, count, unit, event, run time, share of the time.
COUNTED = "     1.000168216;538913;;L1-dcache-load-misses;1000062113;100.00;;"


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first in PATH; it has neither perf nor ipmitool."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat", "true", "sleep"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def test_sysfs_gives_power_and_clocks(tmp_path: Path, tools: Path) -> None:
    """Two supplies of 150.5 and 61.25 W; clocks of 2 and 3 GHz; an uncore of 2.2 GHz."""
    for number, name in enumerate(("coretemp", "power_meter", "power_meter")):
        write(tmp_path / f"class/hwmon/hwmon{number}/name", f"{name}\n")
    write(tmp_path / "class/hwmon/hwmon1/power1_average", "150500000\n")
    write(tmp_path / "class/hwmon/hwmon2/power1_average", "61250000\n")
    cpus = tmp_path / "devices/system/cpu"
    for cpu, khz in enumerate((2_000_000, 3_000_000)):
        write(cpus / f"cpu{cpu}/cpufreq/scaling_cur_freq", f"{khz}\n")
    write(cpus / "intel_uncore_frequency/package_00_die_00/current_freq_khz", "2200000\n")
    meter = open_node(tmp_path)
    before_s = time.monotonic()
    readings = meter.read()
    assert {reading.quantity: reading.value for reading in readings} == {
        "power_w": pytest.approx(211.75),
        "cpu_clock_mhz": pytest.approx(2500),
        "memory_clock_mhz": pytest.approx(2200),
    }
    assert all(before_s <= reading.t_s <= time.monotonic() for reading in readings)
    assert {component.status for component in meter.info.components.values()} == {"measured"}
    (cpus / "cpu0/cpufreq/scaling_cur_freq").unlink()
    assert {reading.quantity for reading in meter.read()} == {"power_w", "memory_clock_mhz"}
    assert sum(meter.failures.values()) == 1


def test_ipmitools_output_is_read(tmp_path: Path, tools: Path) -> None:
    assert parse_dcmi(DCMI) == 212
    program(tools, "ipmitool", f"[ \"$*\" = 'dcmi power reading' ] && cat <<'END'{DCMI}END")
    meter = open_node(tmp_path)
    assert meter.info.components["power_w"].method == "DCMI, by ipmitool"
    (reading,) = meter.read()
    assert (reading.component, reading.device, reading.quantity, reading.value) == (
        *("node", "machine", "power_w", 212.0),
    )


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "no ACPI power meter in sysfs, and ipmitool is not installed"),
        (
            "echo 'Could not open device at /dev/ipmi0 or /dev/ipmi/0 or /dev/ipmidev/0: No such "
            "file or directory' >&2; exit 1",
            "ipmitool: Could not open device at /dev/ipmi0",
        ),
        ("exit 3", "ipmitool: exit 3"),
        ("echo", "no instantaneous power in its output"),
        (
            f"cat <<'END'{DCMI.replace('activated', 'deactivated')}END",
            "the power reading is deactivated",
        ),
    ],
)
def test_a_node_without_power_says_why(
    tmp_path: Path, tools: Path, script: str | None, reason: str
) -> None:
    if script is not None:
        program(tools, "ipmitool", script)
    meter = open_node(tmp_path)
    described = meter.info.components["power_w"]
    assert described.status == "unavailable"
    assert reason in (described.detail or "")
    assert meter.info.interval_s is None
    assert meter.read() == []
    assert "cpufreq" in (meter.info.components["cpu_clock_mhz"].detail or "")


def test_lines_of_perf() -> None:
    assert parse_count(COUNTED, timed=True) == Count(1.000168216, "L1-dcache-load-misses", 538913)
    assert parse_count(NOT_COUNTED, timed=True) == Count(0.205353713, "page-faults", 0)
    assert parse_count(NOT_SUPPORTED, timed=False) == Count(0.0, "L1-dcache-load-misses", None)
    assert parse_count("event syntax error: 'nosuchevent'", timed=False) is None
    assert parse_count("1.0;;", timed=True) is None


REPLAY = """
case "$*" in
*" -- true") case "$*" in
    *L1-dcache*|*l2d_cache_refill*) echo "538;;$5;1000;100.00;;" >&2 ;;
    *l2_rqsts*) echo "event syntax error: '$5'" >&2; exit 129 ;;
    *) echo "<not supported>;;$5;0;100.00;;" >&2 ;;
    esac ;;
*) echo "1.0;500;;L1-dcache-load-misses;1;100.00;;" >&2
   echo "1.0;70;;l2d_cache_refill;1;100.00;;" >&2
   echo "2.0;250;;L1-dcache-load-misses;1;100.00;;" >&2
   echo "2.0;<not counted>;;l2d_cache_refill;0;100.00;;" >&2
   exec sleep 60 ;;
esac
"""


def test_the_first_event_that_the_cpu_has_is_summed(tools: Path) -> None:
    program(tools, "perf", REPLAY)
    meter = open_cache_misses(os.getpid())
    described = meter.info.components
    assert described["l1_misses"].method == "perf stat, event L1-dcache-load-misses"
    assert described["l2_misses"].method == "perf stat, event l2d_cache_refill"
    readings = []
    try:
        wait_until(lambda: readings.extend(meter.read()) or len(readings) == 4, "four counts")
    finally:
        meter.close()
    assert [(reading.quantity, reading.value) for reading in readings] == [
        *(("l1_misses", 500.0), ("l2_misses", 70.0), ("l1_misses", 750.0), ("l2_misses", 70.0)),
    ]
    assert readings[2].t_s - readings[0].t_s == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "perf is not installed"),
        (f"echo '{NOT_SUPPORTED}' >&2", "not supported by this CPU or virtual machine"),
        (
            "printf 'Error:\\nAccess to performance monitoring and observability operations is "
            "limited.\\n' >&2; exit 255",
            "Access to performance monitoring and observability operations is limited.",
        ),
        ("exit 1", "exit 1"),
    ],
)
def test_cache_misses_that_cannot_be_counted_say_why(
    tools: Path, script: str | None, reason: str
) -> None:
    if script is not None:
        program(tools, "perf", script)
    meter = open_cache_misses(os.getpid())
    assert meter.info.interval_s is None
    for name in ("l1_misses", "l2_misses"):
        assert meter.info.components[name].status == "unavailable"
        assert reason in (meter.info.components[name].detail or "")


@pytest.mark.usefixtures("without_codecarbon")
def test_a_study_that_asks_has_the_context_in_its_timeline(tmp_path: Path, tools: Path) -> None:
    program(tools, "perf", REPLAY)
    program(tools, "ipmitool", f"cat <<'END'{DCMI}END")
    path = tmp_path / "timeline.parquet"
    with Sampler(path, {"node_context": True}, gpu_ids=[]):
        time.sleep(0.2)
    timeline = read_timeline(path)
    assert timeline.find("node", "node", "power_w")["machine"].values[-1] == 212
    assert timeline.find("perf", "cache", "l1_misses")["job"].values[-1] == 750
    described = timeline.meter("perf")
    assert described is not None
    assert described["components"]["l2_misses"]["status"] == "measured"
