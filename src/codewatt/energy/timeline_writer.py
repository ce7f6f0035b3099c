"""Readings in memory, and their Parquet file in long form."""

import json
import os
from array import array
from bisect import bisect_left
from collections.abc import Iterable

from codewatt.energy.gpu_meters import GPU_METERS
from codewatt.energy.job_energy_record import MeterRecord
from codewatt.energy.meters.meter import Reading
from codewatt.parquet import open_writer

#: Where the file's own description of its meters stands, in the Parquet schema's metadata.
METERS_KEY = b"codewatt.meters"

_Key = tuple[str, str, str, str]


def write_empty_timeline(path: str | os.PathLike[str]) -> None:
    """Write a timeline without readings, of a job that metered nothing."""
    Recorder().write(path, [])


class Recorder:
    """Series of (t_s, value), 16 bytes a reading: an hour of one GPU at 50 Hz is 6 MB.

    Each meter's thread adds to its own series only, so no lock is needed.
    """

    def __init__(self) -> None:
        self._series: dict[_Key, tuple[array[float], array[float]]] = {}

    def add(self, meter: str, readings: Iterable[Reading]) -> None:
        """Append one read's values."""
        for t_s, component, device, quantity, value in readings:
            key = (meter, component, device, quantity)
            times, values = self._series.get(key) or self._series.setdefault(
                key, (array("d"), array("d"))
            )
            times.append(t_s)
            values.append(value)

    def since(self, meter: str, component: str, t_s: float) -> list[Reading]:
        """The readings of one meter's component that are not older than a time (s)."""
        found: list[Reading] = []
        for (name, part, device, quantity), (times, values) in list(self._series.items()):
            if (name, part) == (meter, component):
                count = min(len(times), len(values))
                found += [
                    Reading(times[n], component, device, quantity, values[n])
                    for n in range(bisect_left(times, t_s, hi=count), count)
                ]
        return found

    def write(self, path: str | os.PathLike[str], meters: list[MeterRecord]) -> None:
        """Write the timeline atomically.

        Columns: t_s float64; meter, component, device, quantity string; value float64.
        GPU series of devices that the meters' description no longer names are left out.
        """
        import pyarrow as pa

        gpus = {(m["name"], d["device"]) for m in meters for d in m["devices"]}
        kept = {
            k: v for k, v in self._series.items() if k[0] not in GPU_METERS or (k[0], k[2]) in gpus
        }
        text = pa.dictionary(pa.int32(), pa.string())
        names = ("meter", "component", "device", "quantity")
        schema = pa.schema(
            [("t_s", pa.float64()), *((name, text) for name in names), ("value", pa.float64())],
            metadata={METERS_KEY: json.dumps(meters)},
        )
        with open_writer(path, schema) as writer:
            for key, (times, values) in kept.items():
                count = min(len(times), len(values))
                zeros = pa.Array.from_buffers(
                    pa.int32(), count, [None, pa.py_buffer(bytes(4 * count))]
                )
                labels = [pa.DictionaryArray.from_arrays(zeros, pa.array([part])) for part in key]
                t_s, value = (
                    pa.Array.from_buffers(pa.float64(), count, [None, pa.py_buffer(data)])
                    for data in (times, values)
                )
                writer.write_table(pa.Table.from_arrays([t_s, *labels, value], schema=schema))
