"""Reading a job's raw telemetry."""

import json
import os
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from codewatt.energy.gpu_meters import GpuMeter, gpu_meter
from codewatt.energy.integration import Floats
from codewatt.energy.job_energy_record import MeterRecord
from codewatt.errors import CodewattError
from codewatt.parquet import read_table

#: In the Parquet schema's metadata: what the meters say of themselves (recorder.METERS_KEY).
_METERS_KEY = b"codewatt.meters"
_LABELS = ("meter", "component", "device", "quantity")

Indices: TypeAlias = npt.NDArray[np.intp]
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Telemetry:
    """Valid readings of one series, and the number of dropped readings.

    Attributes:
        t_s, values: shape (n,), finite; times ascending.
        unsound: readings left out because a value was not finite or time did not advance.
    """

    t_s: Floats
    values: Floats
    unsound: int


@dataclass(frozen=True)
class Timeline:
    """All series of a job by (meter, component, device, quantity), and the meters' descriptions."""

    series: dict[Key, Telemetry]
    meters: list[MeterRecord]

    def find(self, meter: str, component: str, quantity: str) -> dict[str, Telemetry]:
        """device -> telemetry, for a meter, component and quantity."""
        wanted = (meter, component, quantity)
        return {k[2]: v for k, v in self.series.items() if (k[0], k[1], k[3]) == wanted}

    def meter(self, name: str) -> MeterRecord | None:
        """A meter's description."""
        return next((meter for meter in self.meters if meter["name"] == name), None)

    @property
    def gpu_meter(self) -> GpuMeter:
        """The name of the meter that reads GPUs."""
        return gpu_meter(self.meters)

    def devices(self, name: str) -> list[dict[str, Any]]:
        """A meter's facts on each of its devices; empty without that meter."""
        meter = self.meter(name)
        return [] if meter is None else meter.get("devices", [])


def read_timeline(
    path: str | os.PathLike[str], meters: list[MeterRecord] | None = None
) -> Timeline:
    """Read a timeline.

    Args:
        meters: the manifest's descriptions, for a file that does not hold its own.

    Raises:
        CodewattError: the file is missing, unreadable or lacks a column.
    """
    import pyarrow as pa

    table = read_table(path, ("t_s", *_LABELS, "value"))
    try:
        codes = [_codes(table.column(name)) for name in _LABELS]
        t_s, values = (_floats(table.column(name)) for name in ("t_s", "value"))
    except pa.ArrowException as error:
        first_line = str(error).splitlines()[0]
        raise CodewattError(f"{path}: not readable as a timeline: {first_line}") from None
    own = (table.schema.metadata or {}).get(_METERS_KEY)
    described = json.loads(own) if own else list(meters or [])
    return Timeline(_split(t_s, values, codes), described)


def _floats(column: Any) -> Floats:
    """Shape (rows,); raises on nulls. Arrow's own to_numpy would import pandas."""
    floats: Floats = np.from_dlpack(column.cast("float64").combine_chunks()).astype(np.float64)
    return floats


def _codes(column: Any) -> tuple[Indices, list[str]]:
    """Integer codes, shape (rows,), and the name of each code."""
    encoded = column.cast("string").combine_chunks().dictionary_encode()
    codes = np.from_dlpack(encoded.indices).astype(np.intp)
    return codes, encoded.dictionary.to_pylist()


def _split(
    t_s: Floats, values: Floats, codes: list[tuple[Indices, list[str]]]
) -> dict[Key, Telemetry]:
    """One telemetry for each combination of labels."""
    shape = tuple(max(len(names), 1) for _, names in codes)
    combined = np.ravel_multi_index([index for index, _ in codes], shape)
    series: dict[Key, Telemetry] = {}
    for code in np.unique(combined):
        rows = combined == code
        labels = [
            names[i] for (_, names), i in zip(codes, np.unravel_index(code, shape), strict=True)
        ]
        meter, component, device, quantity = labels
        series[meter, component, device, quantity] = _sound(t_s[rows], values[rows])
    return series


def _sound(t_s: Floats, values: Floats) -> Telemetry:
    """Drop readings that are not finite, or no later than one before them."""
    sound = np.isfinite(t_s) & np.isfinite(values)
    t_s, values, count = t_s[sound], values[sound], len(sound)
    latest = np.maximum.accumulate(t_s) if len(t_s) else t_s
    advancing = np.ones(len(t_s), dtype=bool)
    advancing[1:] = t_s[1:] > latest[:-1]
    t_s, values = t_s[advancing], values[advancing]
    return Telemetry(t_s, values, count - len(t_s))
