"""Power of the whole node, and clocks of CPU and memory: the context of a job, not its energy.

Each is measured where Linux or the baseboard controller gives it to this user, else unavailable:

- Power: the ACPI power meter (Linux, Documentation/hwmon/acpi_power_meter.rst), or DCMI through
  ipmitool, which needs access to /dev/ipmi0. It includes power supplies, fans and other jobs.
- CPU clock: mean of scaling_cur_freq over CPUs (Linux, Documentation/admin-guide/pm/cpufreq.rst).
- Memory clock: clock of Intel's uncore, which holds the memory controllers
  (Linux, Documentation/admin-guide/pm/intel_uncore_frequency_scaling.rst).
"""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from codewatt.energy.meters.meter import ComponentInfo, Meter, MeterInfo, Reading

SYS = Path("/sys")
NODE_QUANTITIES = ("power_w", "cpu_clock_mhz", "memory_clock_mhz")
#: A controller updates its power about once a second.
INTERVAL_S = 2.0
_IPMI = ("dcmi", "power", "reading")
_TIMEOUT_S = 10.0
_WATTS = re.compile(r"Instantaneous power reading:\s*(\d+)\s*Watts")
_STATE = re.compile(r"Power reading state is:\s*(\w+)")


class _UnavailableError(Exception):
    """A quantity cannot be read; the message is the reason, on one line."""


class _Quantity:
    """A quantity of the node that can be read: how it is called, and how it is read."""

    def __init__(self, name: str, method: str, read: Callable[[], float]) -> None:
        self.name, self.method, self.read = name, method, read


class NodeMeter(Meter):
    """power_w, cpu_clock_mhz and memory_clock_mhz of the node, as far as they are available."""

    def __init__(self, found: Sequence[_Quantity], reasons: dict[str, str]) -> None:
        components = {one.name: ComponentInfo("measured", one.method) for one in found}
        components |= {
            name: ComponentInfo("unavailable", "node", reason) for name, reason in reasons.items()
        }
        super().__init__(MeterInfo("node", None, INTERVAL_S if found else None, components))
        self._found = found

    def read(self) -> list[Reading]:
        """One reading of each available quantity; a failing one is omitted and counted."""
        readings = []
        for one in self._found:
            before_s = time.monotonic()
            try:
                value = one.read()
            except (_UnavailableError, OSError, ValueError) as error:
                self.failures[f"{one.name}: {error}"] += 1
                continue
            middle_s = (before_s + time.monotonic()) / 2
            readings.append(Reading(middle_s, "node", "machine", one.name, value))
        return readings


def open_node(sys: Path = SYS) -> NodeMeter:
    """Open the node's meter; each quantity that is not available has its reason.

    Args:
        sys: where Linux's sysfs is mounted.
    """
    found, reasons = [], {}
    for name, opener in zip(NODE_QUANTITIES, (_power, _cpu_clock, _memory_clock), strict=True):
        try:
            one = opener(sys)
            one.read()
        except (_UnavailableError, OSError, ValueError) as error:
            reasons[name] = " ".join(str(error).split())
        else:
            found.append(one)
    return NodeMeter(found, reasons)


def parse_dcmi(text: str) -> float:
    """Power of the node (W) from the output of `ipmitool dcmi power reading`.

    Raises:
        ValueError: there is no active power reading in it.
    """
    watts, state = _WATTS.search(text), _STATE.search(text)
    if watts is None:
        raise ValueError("ipmitool dcmi power reading: no instantaneous power in its output")
    if state is not None and state[1] != "activated":
        raise ValueError(f"ipmitool dcmi power reading: the power reading is {state[1]}")
    return float(watts[1])


def _power(sys: Path) -> _Quantity:
    files = [
        name.with_name("power1_average")
        for name in sorted(sys.glob("class/hwmon/hwmon*/name"))
        if name.read_text(encoding="ascii").strip() == "power_meter"
    ]
    if files:
        # Several supplies have a meter each; their sum is the node's power.
        method = f"ACPI power meter, {len(files)} of them"
        return _Quantity("power_w", method, lambda: 1e-6 * sum(map(_number, files)))
    tool = shutil.which("ipmitool")
    if tool is None:
        raise _UnavailableError("no ACPI power meter in sysfs, and ipmitool is not installed")
    return _Quantity("power_w", "DCMI, by ipmitool", lambda: _dcmi(tool))


def _dcmi(tool: str) -> float:
    try:
        done = subprocess.run(
            [tool, *_IPMI], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise _UnavailableError(f"ipmitool did not answer in {_TIMEOUT_S:.0f} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise _UnavailableError(f"ipmitool: {lines[0] if lines else f'exit {done.returncode}'}")
    return parse_dcmi(done.stdout)


def _cpu_clock(sys: Path) -> _Quantity:
    files = sorted(sys.glob("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"))
    if not files:
        raise _UnavailableError("sysfs has no cpufreq/scaling_cur_freq (usual in virtual machines)")
    method = f"scaling_cur_freq, mean of {len(files)} CPUs"
    return _Quantity("cpu_clock_mhz", method, lambda: 1e-3 * fmean(map(_number, files)))


def _memory_clock(sys: Path) -> _Quantity:
    folder = "devices/system/cpu/intel_uncore_frequency"
    files = sorted(sys.glob(f"{folder}/*/current_freq_khz"))
    if not files:
        raise _UnavailableError(
            "sysfs has no intel_uncore_frequency/*/current_freq_khz (another CPU, or no driver)"
        )
    method = f"uncore clock, mean of {len(files)} domains"
    return _Quantity("memory_clock_mhz", method, lambda: 1e-3 * fmean(map(_number, files)))


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
