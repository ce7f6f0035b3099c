"""CPU package and DRAM energy from RAPL, through Linux's powercap files.

A domain's `energy_uj` is a counter in microjoules that starts again at 0 after
`max_energy_range_uj` (Linux, Documentation/power/powercap/powercap.rst); on most servers that is
262,144 J, 15 minutes at 290 W. A wrap is seen as a decrease; two wraps between two readings
would be missed, so the counter is read at least once in half the time that it needs to wrap at
a power that no package reaches.

Counted: every `package-*` domain as CPU, every `dram` domain as DRAM. Not counted: `core` and
`uncore` (parts of a package), `psys` (the platform, which holds the packages), and the
`intel-rapl-mmio` tree (the same packages through another interface).
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from codewatt.energy.meters.meter import AbsentMeter, ComponentInfo, Meter, MeterInfo, Reading

POWERCAP = Path("/sys/class/powercap")
CPUS = Path("/sys/devices/system/cpu")
REMEDY = "as root: chmod a+r /sys/class/powercap/*/energy_uj (until the next boot)"

#: More than any package draws (the largest are rated 500 W), so the wrap bound is safe.
MAX_POWER_W = 1000.0
#: Two package domains this close are one counter seen twice (dies of one AMD package do that).
_MIRROR_UJ = 1_000_000
#: The counter is brought up to date every millisecond or so (Intel SDM, volume 3B, 16.10.1).
_UPDATE_S = 0.001
#: A read that takes longer than this was held up, and is done again.
_PROMPT_S = 0.002
_TRIES = 3
#: By how much the time of a prompt reading can be wrong: it may be an update old.
TIME_ERROR_S = _UPDATE_S + _PROMPT_S / 2
#: What a step may hold beyond the highest power: counter and clock are not read at one instant.
_STEP_J = 20.0


class _NoRaplError(Exception):
    """RAPL cannot be read; the message is the reason, on one line."""


@dataclass
class _Domain:
    component: str
    device: str
    energy: Path
    range_uj: int
    last_uj: int = 0
    last_s: float = 0.0
    error_s: float = 0.0
    joules: float = 0.0

    @property
    def wrap_s(self) -> float:
        """The shortest time in which this counter can wrap."""
        return self.range_uj * 1e-6 / MAX_POWER_W

    def raw_uj(self) -> int:
        return int(self.energy.read_text(encoding="ascii"))

    def timed_uj(self) -> tuple[int, float, float]:
        """(counter in µJ, middle of the read in s, bound on the error of that time in s).

        On a busy machine the read may be interrupted; then it is repeated.
        """
        for _ in range(_TRIES):
            before_s, raw_uj, after_s = time.monotonic(), self.raw_uj(), time.monotonic()
            if after_s - before_s <= _PROMPT_S:
                break
        return raw_uj, (before_s + after_s) / 2, _UPDATE_S + (after_s - before_s) / 2

    def start(self) -> None:
        self.last_uj, self.last_s, self.error_s = self.timed_uj()

    def advance(self) -> str | None:
        """Add the energy since the last reading; return a problem of this step, or None."""
        now_uj, now_s, self.error_s = self.timed_uj()
        joules = unwrapped_uj(self.last_uj, now_uj, self.range_uj) * 1e-6
        passed_s = now_s - self.last_s
        self.joules += joules
        self.last_uj, self.last_s = now_uj, now_s
        if passed_s >= self.wrap_s:
            return "wrap may be unseen"
        if joules > MAX_POWER_W * passed_s + _STEP_J:
            # A counter that starts anew, or steps back by a little, looks like a whole wrap.
            return f"wrap or reset: more than {MAX_POWER_W:.0f} W"
        return None


def unwrapped_uj(last_uj: int, now_uj: int, range_uj: int) -> int:
    """Microjoules between two readings of a counter that wraps at `range_uj`, at most once."""
    return now_uj - last_uj if now_uj >= last_uj else now_uj - last_uj + range_uj


class RaplMeter(Meter):
    """Cumulative joules since opening, a series for each package and each DRAM domain."""

    def __init__(self, domains: list[_Domain], interval_s: float, mirrors: list[str]) -> None:
        bound_s = min(domain.wrap_s for domain in domains) / 2
        interval_s = min(interval_s, bound_s)
        components = {
            name: _component(name, [d for d in domains if d.component == name], bound_s)
            for name in ("cpu", "dram")
        }
        devices = [
            {"component": d.component, "device": d.device, "max_energy_j": d.range_uj * 1e-6}
            for d in domains
        ]
        facts = {
            "wrap_bound_s": bound_s,
            "max_power_w": MAX_POWER_W,
            "mirrors_left_out": mirrors,
            "time_error_s": TIME_ERROR_S,
        }
        super().__init__(MeterInfo("rapl", None, interval_s, components, devices, facts))
        self._domains = domains
        for domain in domains:
            domain.start()

    def read(self) -> list[Reading]:
        """energy_j of each domain; a failing domain is omitted and counted.

        A reading that took long has its own time_error_s.
        """
        readings: list[Reading] = []
        for domain in self._domains:
            try:
                if (wrong := domain.advance()) is not None:
                    self.failures[wrong] += 1
            except (OSError, ValueError):
                self.failures[f"{domain.component} {domain.device}"] += 1
                continue
            values = {"energy_j": domain.joules}
            if domain.error_s > TIME_ERROR_S:
                values["time_error_s"] = domain.error_s
            readings += [
                Reading(domain.last_s, domain.component, domain.device, quantity, value)
                for quantity, value in values.items()
            ]
        return readings


def _component(name: str, domains: list[_Domain], bound_s: float) -> ComponentInfo:
    what = {"cpu": "package", "dram": "dram"}[name]
    if not domains:
        return ComponentInfo("unavailable", "rapl", f"not every package has a RAPL domain {what}")
    return ComponentInfo(
        "measured",
        f"RAPL, {len(domains)} {what} domain{'s' if len(domains) > 1 else ''}",
        f"read at least every {bound_s:.0f} s: no wrap goes unseen below {MAX_POWER_W:.0f} W",
    )


def open_rapl(interval_s: float, root: Path = POWERCAP, cpus: Path = CPUS) -> Meter:
    """Open the RAPL meter; an `AbsentMeter` with the reason and a remedy if impossible.

    All CPU packages must be readable, because the sum without one of them would be too low.

    Args:
        cpus: the directory where Linux lists the package of each CPU.
    """
    try:
        found = _find(root)
        _check_packages(found, _sockets(cpus))
        domains, mirrors = _without_mirrors(found)
        return RaplMeter(_whole_dram(domains), interval_s, mirrors)
    except _NoRaplError as error:
        return AbsentMeter("rapl", ["cpu", "dram"], str(error))
    except (OSError, ValueError) as error:
        return AbsentMeter("rapl", ["cpu", "dram"], f"RAPL is not readable ({error}); {REMEDY}")


def _find(root: Path) -> list[_Domain]:
    """Package and DRAM domains below `root`, by their `name` files."""
    domains, unreadable = [], []
    for zone in sorted(root.glob("*-rapl:*")):
        name = (zone / "name").read_text(encoding="ascii").strip()
        if name.startswith("package"):
            component, device = "cpu", name
        elif name == "dram":
            parent = zone.with_name(zone.name.rpartition(":")[0])
            component, device = "dram", (parent / "name").read_text(encoding="ascii").strip()
        else:
            continue
        range_uj = int((zone / "max_energy_range_uj").read_text(encoding="ascii"))
        if range_uj <= 0:
            raise _NoRaplError(
                f"{zone}/max_energy_range_uj is {range_uj}: wraps of the counter cannot be detected"
            )
        domain = _Domain(component, device, zone / "energy_uj", range_uj)
        try:
            domain.raw_uj()
        except OSError:
            unreadable.append(domain.energy)
        domains.append(domain)
    if not any(domain.component == "cpu" for domain in domains):
        raise _NoRaplError(
            f"no RAPL package domain in {root}: a virtual machine or container hides it, or the "
            "kernel module is not loaded (as root: modprobe intel_rapl_msr)"
        )
    if unreadable:
        raise _NoRaplError(
            f"{len(unreadable)} of {len(domains)} RAPL counters are unreadable, first "
            f"{unreadable[0]}; {REMEDY}"
        )
    return domains


def _sockets(cpus: Path) -> int | None:
    """Number of CPU packages of the machine; None if unknown."""
    ids = set()
    for path in cpus.glob("cpu[0-9]*/topology/physical_package_id"):
        try:
            ids.add(int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            return None
    return len(ids) or None


def _package(domain: _Domain) -> str:
    """The package that a domain belongs to; a package may have several dies."""
    match = re.match(r"package-\d+", domain.device)
    return match[0] if match else domain.device


def _check_packages(domains: list[_Domain], sockets: int | None) -> None:
    """Refuse counters of some packages only; dies of one package share its number."""
    packages = {_package(domain) for domain in domains if domain.component == "cpu"}
    if sockets is not None and len(packages) < sockets:
        raise _NoRaplError(
            f"RAPL shows {len(packages)} of {sockets} packages ({', '.join(sorted(packages))}): a "
            "sum without the others would be too low"
        )


def _without_mirrors(domains: list[_Domain]) -> tuple[list[_Domain], list[str]]:
    """Domains without duplicates of the same counter, and the names of the duplicates.

    Some AMD packages of several dies expose the package's counter once a die; summed, they would
    multiply the joules (codecarbon issue 1274). Independent counters are hardly ever this close,
    and those of different packages are never taken for one.
    """
    kept: list[_Domain] = []
    mirrors = []
    for domain in domains:
        twin = next((other for other in kept if _mirrors(domain, other)), None)
        if twin is None:
            kept.append(domain)
        else:
            mirrors.append(f"{domain.device} mirrors {twin.device}")
    return kept, mirrors


def _mirrors(domain: _Domain, other: _Domain) -> bool:
    """Whether two domains of a package show the same counter: compared by interleaved reads."""
    if domain.component != other.component or _package(domain) != _package(other):
        return False
    before_uj, value_uj, after_uj = other.raw_uj(), domain.raw_uj(), other.raw_uj()
    return value_uj > 0 and before_uj - _MIRROR_UJ < value_uj < after_uj + _MIRROR_UJ


def _whole_dram(domains: list[_Domain]) -> list[_Domain]:
    """The domains; without DRAM if a package lacks it, because the sum would be too low."""
    packages, with_dram = (
        {_package(domain) for domain in domains if domain.component == component}
        for component in ("cpu", "dram")
    )
    if packages == with_dram:
        return domains
    return [domain for domain in domains if domain.component == "cpu"]
