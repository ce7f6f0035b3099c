"""Energy by CodeCarbon, as a second source; the description says if it is modelled.

How CodeCarbon 3.3.2 computes energy, according to its source code:
- CPU with readable RAPL: the counter. Otherwise "cpu_load": P = TDP * (0.1 + 0.9 * load**3), with
  the load of the whole machine since the last measurement (at most one second, and at most our
  interval, because its own thread also measures every second). The TDP comes from its list of CPU
  models, times the number of sockets; for an unknown model it is 4 W per thread, or 85 W if the
  number of threads is unknown. The TDP is that of the whole machine, whatever CPU share a job has.
- RAM: a constant from the machine's memory size (5 W per module, estimated number of
  modules, at least 10 W).
- GPU: NVML's energy counter.
- Its tracker does not measure again within 50 ms, so `flush` may return an old total; and it
  counts no energy for the time that a measurement itself takes. Here the tracker only finds the
  hardware. Its hardware objects are read once per interval, each for the time since its last read,
  so that the time of each value is known and no time is lost.
- `OutputMethod`s are off: no file, no network, no lock. Its configuration files and CODECARBON_*
  variables are ignored: they could scale the joules (pue, force_cpu_power) without anyone seeing
  it.
"""

import contextlib
import io
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codewatt.energy.meters.meter import AbsentMeter, ComponentInfo, Meter, MeterInfo, Reading
from codewatt.units import J_PER_KWH

_COMPONENTS = ("cpu", "dram", "gpu")
#: CodeCarbon's classes of hardware.
_COMPONENT_OF = {"CPU": "cpu", "RAM": "dram", "GPU": "gpu"}
#: The least time that a load is taken over: Linux counts CPU time in ticks of 10 ms or less.
_LEAST_LOAD_S = 0.05


class _Part:
    """One of CodeCarbon's hardware objects, with its cumulative energy.

    Attributes:
        component: "cpu", "dram" or "gpu".
        watts: its latest power.
    """

    def __init__(self, component: str, hardware: Any) -> None:
        self.component, self.watts = component, 0.0
        self._hardware, self._joules = hardware, 0.0
        hardware.start()
        self._since_s = time.monotonic()

    def read(self) -> Reading | None:
        """Its cumulative energy_j now; None if it reports no power.

        A model's energy is its mean power times the time since the last reading, and is that of
        the time before the call; a counter is read during the call. Where there is no power, the
        time is left for the next reading.
        """
        if self.component == "gpu":
            self._hardware.monitor_power()  # for a GPU without energy counter
        now_s = time.monotonic()
        power, energy = self._hardware.measure_power_and_energy(now_s - self._since_s)
        if self.component == "dram" and power.W == 0:  # it could not tell the memory's size
            return None
        self.watts, self._since_s = power.W, now_s
        self._joules += energy.kWh * J_PER_KWH
        counted = self.component == "gpu" or getattr(self._hardware, "_mode", "") == "intel_rapl"
        t_s = (now_s + time.monotonic()) / 2 if counted else now_s
        return Reading(t_s, self.component, "machine", "energy_j", self._joules)


class CodeCarbonMeter(Meter):
    """Cumulative cpu, dram and (with a GPU) gpu energy by CodeCarbon's hardware objects.

    Args:
        tracker: a tracker that was not started; it holds the hardware objects.
        interval_s: how often it is read.
        gpus: UUIDs of the GPUs that are counted.
    """

    def __init__(self, tracker: Any, interval_s: float, gpus: Sequence[str]) -> None:
        super().__init__(MeterInfo("codecarbon", None, interval_s))
        found = [(_COMPONENT_OF.get(type(part).__name__, ""), part) for part in tracker._hardware]
        wanted = _COMPONENTS if gpus else ("cpu", "dram")
        self._parts = [_Part(name, part) for name, part in found if name in wanted]
        self._last_s = time.monotonic()
        self.read()
        watts = {part.component: part.watts for part in self._parts}
        self.info = _describe(tracker, watts.get("dram", 0.0), interval_s, gpus)

    def read(self) -> list[Reading]:
        """energy_j of each component; waits until 50 ms have passed since the last read."""
        time.sleep(max(0.0, self._last_s + _LEAST_LOAD_S - time.monotonic()))
        self._last_s = time.monotonic()
        readings = []
        for part in self._parts:
            reading = part.read()
            if reading is None:
                self.failures[part.component] += 1
            else:
                readings.append(reading)
        return readings


def _describe(
    tracker: Any, dram_power_w: float, interval_s: float, gpus: Sequence[str]
) -> MeterInfo:
    """Mode, TDP and what the TDP is based on, from the tracker's set-up.

    The mode has no public accessor; the hardware objects hold it.
    """
    from codecarbon import __version__

    detected = tracker.get_detected_hardware()
    cpu: Any = next((p for p in tracker._hardware if type(p).__name__ == "CPU"), None)
    mode = getattr(cpu, "_mode", "none")
    facts: dict[str, Any] = {
        "mode": mode,
        "cpu_model": detected["cpu_model"],
        "cpu_count": detected["cpu_count"],
        "sockets": detected["cpu_physical_count"],
        "memory_gib": detected["ram_total_size"],
        "dram_power_w": dram_power_w,
        "gpus": list(gpus),
    }
    if mode in ("cpu_load", "constant"):
        facts["tdp_w"] = float(cpu._tdp)
        facts["tdp_basis"] = _tdp_basis(cpu, detected)
    title = f"CodeCarbon {__version__}"
    components = {
        "cpu": _cpu_component(title, mode, facts),
        "dram": ComponentInfo(
            "modelled",
            f"{title}, constant {facts['dram_power_w']:g} W",
            f"guessed from {facts['memory_gib']:.0f} GiB of memory; it does not follow the load",
        ),
        "gpu": ComponentInfo("measured", f"{title}, NVML counter")
        if gpus
        else ComponentInfo("unavailable", title, "the job was given no GPU that CodeCarbon reads"),
    }
    return MeterInfo("codecarbon", __version__, interval_s, components, [], facts)


def _tdp_basis(cpu: Any, detected: dict[str, Any]) -> str:
    from codecarbon.core.cpu import DEFAULT_POWER_PER_CORE

    threads, sockets = detected["cpu_count"], detected["cpu_physical_count"]
    if getattr(cpu, "_is_generic_tdp", False):
        return "CodeCarbon's constant for an unknown CPU"
    if cpu._tdp == DEFAULT_POWER_PER_CORE * threads * sockets:
        return f"{DEFAULT_POWER_PER_CORE} W per thread, CodeCarbon does not know {cpu._model!r}"
    return f"CodeCarbon's list of CPU models, for {cpu._model!r}"


def _cpu_component(title: str, mode: str, facts: dict[str, Any]) -> ComponentInfo:
    if mode == "intel_rapl":
        return ComponentInfo("measured", f"{title}, RAPL", "it can undo one wrap an interval")
    if mode == "cpu_load":
        return ComponentInfo(
            "modelled",
            f"{title}, {facts['tdp_w']:g} W x (0.1 + 0.9 load^3)",
            f"load of the whole machine; TDP: {facts['tdp_basis']}",
        )
    if mode == "constant":
        half_w = facts["tdp_w"] / 2
        return ComponentInfo("modelled", f"{title}, constant {half_w:g} W", facts["tdp_basis"])
    return ComponentInfo("unavailable", title, f"CodeCarbon's CPU mode {mode!r} is unknown")


def _prepare(emissions_tracker: Any) -> None:
    """Silence CodeCarbon's log, ignore its configuration files, and shorten its start by 1.4 s.

    CodeCarbon asks py-cpuinfo for the CPU's name alone, which starts a Python process and times
    the clock for a second; on Linux py-cpuinfo's first source for the name is /proc/cpuinfo.
    """
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    emissions_tracker.get_hierarchical_config = dict
    name = _cpu_name(Path("/proc/cpuinfo"))
    if name is not None:
        import cpuinfo  # type: ignore[import-untyped]

        cpuinfo.get_cpu_info = lambda: {"brand_raw": name}


def _cpu_name(path: Path) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else None


def open_codecarbon(interval_s: float, gpus: Mapping[int, str]) -> Meter:
    """Open the CodeCarbon meter; an `AbsentMeter` with the reason if impossible. Takes about 2 s.

    Args:
        interval_s: time between two reads of its hardware objects (s); at least 0.1 s.
        gpus: NVML's number -> UUID of the GPUs to count (it does not match UUIDs reliably).
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return _open(interval_s, gpus)
    except ImportError:
        reason = "CodeCarbon is not installed: pip install codecarbon"
    except Exception as error:  # whatever it meets on an unknown machine is not the job's failure
        reason = f"CodeCarbon does not start here ({type(error).__name__}: {error})"
    return AbsentMeter("codecarbon", _COMPONENTS, " ".join(reason.split()))


def _open(interval_s: float, gpus: Mapping[int, str]) -> Meter:
    from codecarbon import OfflineEmissionsTracker, emissions_tracker

    _prepare(emissions_tracker)
    tracker = OfflineEmissionsTracker(
        # No joule depends on the country; grams are made of joules later, from its own table.
        force_carbon_intensity_g_co2e_kwh=0.0,
        api_call_interval=-1,
        output_methods=[],
        gpu_ids=list(gpus),
        tracking_mode="machine",
        allow_multiple_runs=True,
        log_level="critical",
    )
    counted = list(gpus.values()) if tracker.get_detected_hardware()["gpu_count"] > 0 else []
    return CodeCarbonMeter(tracker, interval_s, counted)
