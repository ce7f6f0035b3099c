"""Temperature and power of a job's devices while it runs, from the sampler's readings.

Nothing is measured here: the sampler reads the meters, and its latest readings are asked for.
Energies are computed afterwards from the whole timeline (`integration`), never from these figures.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from codewatt.energy.meters.meter import Reading

#: A reading older than this says nothing about the present state.
FRESH_S = 2.0
#: Power is compared as means of this long; single readings show the noise of the sensor.
MEAN_S = 1.0


class DeviceState:
    """The recent readings of some devices.

    Args:
        devices: their names in the readings, such as UUIDs of GPUs; None: all that have readings.
    """

    def __init__(self, devices: Sequence[str] | None = None) -> None:
        self._named = None if devices is None else list(devices)
        self._series: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def add(self, readings: Iterable[Reading]) -> None:
        """Add readings; known ones, and those of other devices, are left out."""
        for reading in readings:
            if self._named is not None and reading.device not in self._named:
                continue
            known = self._series.setdefault((reading.device, reading.quantity), [])
            if not known or reading.t_s > known[-1][0]:
                known.append((reading.t_s, reading.value))

    @property
    def devices(self) -> list[str]:
        """The devices that were named; else those that have readings."""
        return sorted({name for name, _ in self._series}) if self._named is None else self._named

    @property
    def has_temperature(self) -> bool:
        """Whether the temperature of every device was read."""
        return _all_known([self._series.get((name, "temperature_c")) for name in self.devices])

    @property
    def has_power(self) -> bool:
        """Whether the power of every device was read, or its energy counter."""
        return _all_known([self._power(name) for name in self.devices])

    def temperature_c(self, now_s: float) -> float | None:
        """Temperature of the hottest device; None without a fresh reading of each."""
        found = [self._series.get((name, "temperature_c")) for name in self.devices]
        fresh = [one[-1][1] for one in found if one and one[-1][0] >= now_s - FRESH_S]
        return max(fresh) if fresh and len(fresh) == len(found) else None

    def power_w(self, now_s: float) -> float | None:
        """Power of all devices together, each the mean of its last second; None if unknown."""
        found: list[float | None] = []
        for name in self.devices:
            series = self._power(name)
            end_s = series[-1][0] if series else -math.inf
            fresh = end_s >= now_s - FRESH_S
            found.append(self.mean_w(name, end_s - MEAN_S, end_s) if fresh else None)
        known = [watts for watts in found if watts is not None]
        return math.fsum(known) if known and len(known) == len(found) else None

    def power_known_until_s(self) -> float:
        """Time of the last power reading (s) of the device that was read longest ago."""
        latest = [series[-1][0] for name in self.devices if (series := self._power(name))]
        return min(latest, default=-math.inf)

    def mean_w(self, device: str, start_s: float, end_s: float) -> float | None:
        """Mean power of a device between two times; None without a reading between them.

        Readings of power are averaged. An energy counter is interpolated at both times, and
        must have been read before and after.
        """
        series = self._power(device)
        inside = [value for t_s, value in series or () if start_s <= t_s < end_s]
        if not series or not inside:
            return None
        if (device, "power_w") in self._series:
            return math.fsum(inside) / len(inside)
        if not series[0][0] <= start_s < end_s <= series[-1][0]:
            return None
        times_s, joules = zip(*series, strict=True)
        at_start_j, at_end_j = np.interp([start_s, end_s], times_s, joules)
        return float(at_end_j - at_start_j) / (end_s - start_s)

    def _power(self, device: str) -> list[tuple[float, float]] | None:
        """Readings of power (W); of the energy counter (J) where a device has no such readings."""
        return self._series.get((device, "power_w")) or self._series.get((device, "energy_j"))


def _all_known(found: Sequence[object]) -> bool:
    return bool(found) and None not in found


def power_range_w(means_w: Sequence[float | None], seconds: int) -> float | None:
    """Largest mean power - smallest (W) of the last seconds; None if one is not known.

    Args:
        means_w: mean power of each second (W), in order; None: no reading in that second.
        seconds: number of seconds.
    """
    known = [watts for watts in means_w[-seconds:] if watts is not None]
    return max(known) - min(known) if len(known) == seconds else None


def is_steady(means_w: Sequence[float | None], seconds: int, within_w: float) -> bool:
    """Whether the power of the last seconds is known and within some watts of itself.

    Args:
        means_w, seconds: as of `power_range_w`.
        within_w: largest allowed range (W).
    """
    range_w = power_range_w(means_w, seconds)
    return range_w is not None and range_w <= within_w
