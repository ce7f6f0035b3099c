"""The rest before a cell: the job waits until its devices are cool and draw steady power.

The rule for power is that of Watt Counts (arXiv 2604.09048): power stays within 3 W for 30 s. It is
applied to the mean power of each whole second since the rest began, so that it can be checked
afterwards from the timeline and the window `rest`.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from codewatt.energy.device_state import FRESH_S, DeviceState, is_steady, power_range_w
from codewatt.energy.meters.meter import Reading
from codewatt.energy.start_record import Sensor, StartConditions, StartRecord

#: How often the sampler is asked, and the length of one mean of power.
_SECOND_S = 1.0

#: Returns the readings of the job's devices since a time (CLOCK_MONOTONIC s).
ReadSince = Callable[[float], Sequence[Reading]]


class _Snapshot(NamedTuple):
    """Temperature of the hottest device, and power of all devices; None if unknown."""

    temperature_c: float | None
    power_w: float | None


class Rest:
    """Waits before a cell, and describes the state in which the cell begins.

    Args:
        sensor: the meter that `read_since` reads; None: the job has no readable one.
        why_unread: why it has none; else None.
        devices: the devices that must meet the conditions; None: all that have readings.
        read_since: the sampler's readings.
        now, sleep: the clock (s).
    """

    def __init__(
        self,
        sensor: Sensor | None,
        why_unread: str | None,
        devices: Sequence[str] | None,
        read_since: ReadSince,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sensor, self._why_unread = sensor, why_unread
        self._state, self._read_since = DeviceState(devices), read_since
        self._now, self._sleep = now, sleep
        self._asked_s = now()
        self._means_w: dict[str, list[float | None]] = {}

    def describe(self) -> StartRecord:
        """The state of the devices now, without waiting."""
        snapshot = self._snapshot()
        return self._record(None, 0.0, None, None, snapshot, snapshot)

    def wait(self, conditions: StartConditions) -> StartRecord:
        """Wait until the devices meet the conditions, at most as long as these allow.

        A quantity that cannot be read is not waited for. Then it is not known whether the
        conditions are met.
        """
        start_s = self._now()
        initial = self._snapshot()
        while True:
            waited_s = self._now() - start_s
            unmet, unread = self._unmet(conditions, start_s), self._unread(conditions)
            # A meter that answers late is not taken for one that cannot be read.
            late = bool(unread) and self._sensor is not None and waited_s < FRESH_S
            if not (unmet or late) or waited_s >= conditions["at_most_s"]:
                break
            self._sleep(min(_SECOND_S, conditions["at_most_s"] - waited_s))
            self._read()
        met = False if unmet else None if unread else True
        reason = "; ".join([*unmet, *unread]) or None
        return self._record(conditions, waited_s, met, reason, initial, self._snapshot())

    def _read(self) -> None:
        """Ask for the readings since shortly before the last question, as some come late."""
        asked_s, self._asked_s = self._asked_s, self._now()
        if self._sensor is not None:
            self._state.add(self._read_since(asked_s - FRESH_S))

    def _snapshot(self) -> _Snapshot:
        self._read()
        now_s = self._now()
        return _Snapshot(self._state.temperature_c(now_s), self._state.power_w(now_s))

    def _unread(self, conditions: StartConditions) -> list[str]:
        """The quantities that cannot be read."""
        if self._sensor is None:
            return [self._why_unread or "no meter can be read"]
        wanted = conditions["below_c"] is not None
        return [
            *(["no temperature was read"] if wanted and not self._state.has_temperature else []),
            *([] if self._state.has_power else ["no power was read"]),
        ]

    def _unmet(self, conditions: StartConditions, start_s: float) -> list[str]:
        """The conditions that are not met, of those that can be read."""
        return [
            *self._too_warm(conditions["below_c"]),
            *(self._unsteady(conditions, start_s) if self._state.has_power else []),
        ]

    def _too_warm(self, below_c: float | None) -> list[str]:
        if below_c is None or not self._state.has_temperature:
            return []
        temperature_c = self._state.temperature_c(self._now())
        if temperature_c is None:
            return [f"no temperature was read in the last {FRESH_S:g} s"]
        if temperature_c < below_c:
            return []
        return [f"the temperature is {temperature_c:g} °C, not below {below_c:g} °C"]

    def _unsteady(self, conditions: StartConditions, start_s: float) -> list[str]:
        state, seconds = self._state, math.ceil(conditions["for_s"])
        known_until_s = state.power_known_until_s()
        if known_until_s < self._now() - FRESH_S:
            return [f"no power was read in the last {FRESH_S:g} s"]
        problems = []
        for device in state.devices:
            means_w = self._means_w.setdefault(device, [])
            while (begin_s := start_s + len(means_w) * _SECOND_S) + _SECOND_S <= known_until_s:
                means_w.append(state.mean_w(device, begin_s, begin_s + _SECOND_S))
            if not is_steady(means_w, seconds, conditions["steady_w"]):
                range_w = power_range_w(means_w, seconds)
                within = "is not known" if range_w is None else f"changed by {range_w:.3g} W"
                problems.append(
                    f"the power of {device} {within} in {seconds} s, "
                    f"not at most {conditions['steady_w']:g} W"
                )
        return problems

    def _record(
        self,
        conditions: StartConditions | None,
        rest_s: float,
        met: bool | None,
        reason: str | None,
        initial: _Snapshot,
        final: _Snapshot,
    ) -> StartRecord:
        return {
            "conditions": conditions,
            "rest_s": rest_s,
            "condition_met": met,
            "reason": reason,
            "sensor": self._sensor,
            "temperature_c": final.temperature_c,
            "power_w": final.power_w,
            "initial_temperature_c": initial.temperature_c,
            "initial_power_w": initial.power_w,
        }
