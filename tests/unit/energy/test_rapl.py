"""RAPL: wraps undone, packages summed, nothing counted twice, and absence explained."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewatt.energy.meters import rapl
from codewatt.energy.meters.meter import Meter
from codewatt.energy.meters.rapl import open_rapl, unwrapped_uj
from tests.support.nvml import Clock

RANGE_UJ = 262_143_328_850


class Powercap:
    """A powercap tree in a temporary directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, zone: str, name: str, energy_uj: int, range_uj: int = RANGE_UJ) -> None:
        folder = self.root / zone
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
        self.set(zone, energy_uj)

    def set(self, zone: str, energy_uj: int) -> None:
        (self.root / zone / "energy_uj").write_text(f"{energy_uj}\n")


@pytest.fixture
def powercap(tmp_path: Path) -> Powercap:
    return Powercap(tmp_path)


def values(meter: Meter) -> dict[tuple[str, str], float]:
    """(component, device) -> joules."""
    return {(r.component, r.device): r.value for r in meter.read()}


@given(
    start=st.integers(0, RANGE_UJ - 1),
    steps=st.lists(st.integers(0, RANGE_UJ - 1), min_size=1, max_size=30),
)
def test_unwrapping_restores_any_steps_shorter_than_the_range(start: int, steps: list[int]) -> None:
    raw, total = start, 0
    for step in steps:
        now = (raw + step) % RANGE_UJ
        total += unwrapped_uj(raw, now, RANGE_UJ)
        raw = now
    assert total == sum(steps)


@pytest.mark.parametrize("wraps", [0, 1, 2, 7])
def test_joules_are_right_over_many_wraps(powercap: Powercap, wraps: int) -> None:
    powercap.add("intel-rapl:0", "package-0", 250_000_000_000)
    meter = open_rapl(1.0, powercap.root)
    step_uj, total_uj = 100_000_000_000, 0
    reads = 1 + (wraps * RANGE_UJ) // step_uj
    for _ in range(reads):
        total_uj += step_uj
        powercap.set("intel-rapl:0", (250_000_000_000 + total_uj) % RANGE_UJ)
        joules = values(meter)[("cpu", "package-0")]
    assert (250_000_000_000 + total_uj) // RANGE_UJ >= wraps
    assert joules == pytest.approx(total_uj * 1e-6)


def test_packages_and_dram_count_and_their_parts_do_not(powercap: Powercap) -> None:
    zones = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "uncore",
        "intel-rapl:0:2": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:1:0": "dram",
        "intel-rapl:2": "psys",
        "intel-rapl-mmio:0": "package-0",
    }
    for number, (zone, name) in enumerate(zones.items()):
        powercap.add(zone, name, number * 10_000_000_000)
    meter = open_rapl(1.0, powercap.root)
    for number, zone in enumerate(zones):
        powercap.set(zone, number * 10_000_000_000 + (number + 1) * 1_000_000)
    assert values(meter) == {
        ("cpu", "package-0"): pytest.approx(1.0),
        ("dram", "package-0"): pytest.approx(4.0),
        ("cpu", "package-1"): pytest.approx(5.0),
        ("dram", "package-1"): pytest.approx(6.0),
    }
    assert meter.info.components["cpu"].method == "RAPL, 2 package domains"
    assert meter.info.components["dram"].status == "measured"


def test_no_dram_domain_is_said_and_not_zero(powercap: Powercap) -> None:
    powercap.add("intel-rapl:0", "package-0", 5)
    meter = open_rapl(1.0, powercap.root)
    assert meter.info.components["dram"].status == "unavailable"
    assert ("dram", "package-0") not in values(meter)


def test_dies_that_mirror_one_counter_count_once(powercap: Powercap) -> None:
    powercap.add("intel-rapl:0", "package-0-die-0", 7_000_000_000)
    powercap.add("intel-rapl:1", "package-0-die-1", 7_000_000_400)
    powercap.add("intel-rapl:2", "package-1-die-0", 9_000_000_000)
    meter = open_rapl(1.0, powercap.root)
    assert set(values(meter)) == {("cpu", "package-0-die-0"), ("cpu", "package-1-die-0")}
    assert meter.info.facts["mirrors_left_out"] == ["package-0-die-1 mirrors package-0-die-0"]


def test_a_small_counter_is_read_often_enough(powercap: Powercap) -> None:
    powercap.add("intel-rapl:0", "package-0", 0, range_uj=65_536_000_000)
    powercap.add("intel-rapl:1", "package-1", 9_000_000_000, range_uj=100_000_000)
    meter = open_rapl(60.0, powercap.root)
    # 100 J at 1000 W wrap in 0.1 s
    assert meter.info.interval_s == pytest.approx(0.05)
    assert "no wrap goes unseen below 1000 W" in (meter.info.components["cpu"].detail or "")


def test_a_late_read_is_counted(powercap: Powercap, monkeypatch: pytest.MonkeyPatch) -> None:
    powercap.add("intel-rapl:0", "package-0", 0)
    clock = Clock()
    monkeypatch.setattr(rapl, "time", clock)
    meter = open_rapl(1.0, powercap.root)
    clock.now_s += 100
    meter.read()
    assert not meter.failures
    clock.now_s += 400
    meter.read()
    assert meter.failures == {"wrap may be unseen": 1}


@pytest.mark.parametrize("now_uj", [99_999_999_999, 0])
def test_a_counter_that_steps_back_or_starts_anew_is_told(
    powercap: Powercap, monkeypatch: pytest.MonkeyPatch, now_uj: int
) -> None:
    """It looks like a wrap: 262 kJ in a moment, which no package can draw."""
    powercap.add("intel-rapl:0", "package-0", 100_000_000_000)
    clock = Clock()
    monkeypatch.setattr(rapl, "time", clock)
    meter = open_rapl(1.0, powercap.root)
    clock.now_s += 0.1
    meter.read()
    assert not meter.failures
    powercap.set("intel-rapl:0", now_uj)
    clock.now_s += 0.1
    meter.read()
    assert meter.failures == {"wrap or reset: more than 1000 W": 1}


def test_dram_of_one_package_of_two_is_no_dram(powercap: Powercap) -> None:
    powercap.add("intel-rapl:0", "package-0", 1_000_000_000)
    powercap.add("intel-rapl:0:0", "dram", 5_000_000)
    powercap.add("intel-rapl:1", "package-1", 9_000_000_000)
    meter = open_rapl(1.0, powercap.root)
    assert set(values(meter)) == {("cpu", "package-0"), ("cpu", "package-1")}
    assert meter.info.components["dram"].status == "unavailable"
    assert "not every package" in (meter.info.components["dram"].detail or "")


def test_dies_read_some_time_apart_are_still_one_counter(
    powercap: Powercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 400 W a counter gains 4 J while its other die waits to be read."""
    powercap.add("intel-rapl:0", "package-0-die-0", 7_000_000_000)
    powercap.add("intel-rapl:1", "package-0-die-1", 7_000_000_000)
    reads = iter(range(100))
    plain = Path.read_text

    def counting(path: Path, *args: Any, **kwargs: Any) -> str:
        if path.name == "energy_uj":
            return str(7_000_000_000 + 4_000_000 * next(reads))
        return plain(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", counting)
    meter = open_rapl(1.0, powercap.root)
    assert meter.info.facts["mirrors_left_out"] == ["package-0-die-1 mirrors package-0-die-0"]


def test_a_failing_read_leaves_out_that_domain_only(powercap: Powercap) -> None:
    powercap.add("intel-rapl:0", "package-0", 0)
    powercap.add("intel-rapl:1", "package-1", 10_000_000_000)
    meter = open_rapl(1.0, powercap.root)
    (powercap.root / "intel-rapl:1" / "energy_uj").unlink()
    assert set(values(meter)) == {("cpu", "package-0")}
    assert meter.failures == {"cpu package-1": 1}


def sockets(root: Path, ids: list[int]) -> Path:
    """Linux's topology of a machine whose processors sit in these packages."""
    for number, package in enumerate(ids):
        folder = root / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{package}\n")
    return root


def test_a_package_without_a_counter_makes_all_unavailable(
    powercap: Powercap, tmp_path: Path
) -> None:
    powercap.add("intel-rapl:0", "package-0", 5)
    two = sockets(tmp_path / "two", [0, 0, 1, 1])
    assert "RAPL shows 1 of 2 packages (package-0)" in absent(open_rapl(1.0, powercap.root, two))
    one = sockets(tmp_path / "one", [0, 0, 0, 0])
    assert open_rapl(1.0, powercap.root, one).info.components["cpu"].status == "measured"


def test_dies_of_one_package_are_one_package(powercap: Powercap, tmp_path: Path) -> None:
    powercap.add("intel-rapl:0", "package-0-die-0", 1_000_000_000)
    powercap.add("intel-rapl:1", "package-0-die-1", 9_000_000_000)
    cpus = sockets(tmp_path / "cpus", [0, 0, 1, 1])
    assert "1 of 2 packages" in absent(open_rapl(1.0, powercap.root, cpus))


def absent(meter: Meter) -> str:
    """Why the CPU figure is absent; nothing is read."""
    assert meter.info.components["cpu"].status == "unavailable"
    assert meter.info.interval_s is None
    assert meter.read() == []
    return meter.info.components["cpu"].detail or ""


def test_no_powercap_is_absent_with_a_reason(tmp_path: Path) -> None:
    assert "no RAPL package domain" in absent(open_rapl(1.0, tmp_path / "none"))


def test_one_unreadable_package_makes_all_unavailable_with_the_remedy(
    powercap: Powercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    powercap.add("intel-rapl:0", "package-0", 0)
    powercap.add("intel-rapl:1", "package-1", 10_000_000_000)
    plain = Path.read_text

    def refuse(path: Path, *args: Any, **kwargs: Any) -> str:
        if path == powercap.root / "intel-rapl:1" / "energy_uj":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return plain(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", refuse)
    why = absent(open_rapl(1.0, powercap.root))
    assert "1 of 2 RAPL counters are unreadable" in why
    assert rapl.REMEDY in why


def test_a_range_of_zero_is_refused(powercap: Powercap) -> None:
    powercap.add("intel-rapl:0", "package-0", 0, range_uj=0)
    assert "wraps of the counter cannot be detected" in absent(open_rapl(1.0, powercap.root))
