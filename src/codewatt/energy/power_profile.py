"""Power of a component over time in bins of equal width: mean, least and highest."""

import itertools
from dataclasses import dataclass

import numpy as np

from codewatt.energy.energy_sources import Source
from codewatt.energy.integration import Floats
from codewatt.energy.timeline_reader import Indices


@dataclass(frozen=True)
class PowerProfile:
    """Power of a component, summed over its devices.

    Attributes:
        edges_s: edges of the bins (s), shape (n + 1,), on the clock of the timeline.
        mean_w: energy of each bin divided by its width (W), shape (n,); NaN if a counter decreased.
        least_w, highest_w: least and highest power of single readings in each bin (W), shape (n,).
    """

    edges_s: Floats
    mean_w: Floats
    least_w: Floats
    highest_w: Floats


def power_profile(source: Source, start_s: float, end_s: float, bins: int) -> PowerProfile | None:
    """The power of a component between two times.

    The means are those of the energy that `source` gives for each bin, so they integrate to the
    energy of the whole. Bins are not shorter than the time between readings. For a counter, the
    power of a reading is the energy since the one before, divided by the time between them.

    Args:
        source: the component's selected source.
        start_s, end_s: the times (s); what the readings do not cover is left out.
        bins: largest number of bins.

    Returns:
        None if the readings cover nothing between the two times.
    """
    series = [one for one in source.series.values() if len(one.t_s) > 1]
    if len(series) < len(source.series) or not series:
        return None
    start_s = max(start_s, *(float(one.t_s[0]) for one in series))
    end_s = min(end_s, *(float(one.t_s[-1]) for one in series))
    count = min(bins, int((end_s - start_s) / max(source.resolution_s, 1e-9)))
    if count < 1:
        return None
    edges_s = np.linspace(start_s, end_s, count + 1)
    inside = [one.t_s[(one.t_s > start_s) & (one.t_s < end_s)] for one in series]
    times = np.unique(np.concatenate([edges_s, *inside]))
    joules = sum((one.joules_at(times) for one in series), np.zeros_like(times))
    if series[0].kind == "counter":
        readings_w = np.diff(joules) / np.diff(times)
        firsts = np.searchsorted(times, edges_s[:-1])
        least_w = np.minimum.reduceat(readings_w, firsts)
        highest_w = np.maximum.reduceat(readings_w, firsts)
    else:
        values = [np.interp(times, one.t_s, one.values) for one in series]
        least_w, highest_w = _range_of_samples(
            sum(values, np.zeros_like(times)), np.searchsorted(times, edges_s)
        )
    at_edges = joules[np.searchsorted(times, edges_s)]
    mean_w = np.diff(at_edges) / np.diff(edges_s)
    mean_w[least_w < 0] = np.nan
    return PowerProfile(edges_s, mean_w, least_w, highest_w)


def _range_of_samples(watts: Floats, edges: Indices) -> tuple[Floats, Floats]:
    """Least and highest power of each bin; a sample at an edge belongs to both bins."""
    parts = [watts[first : last + 1] for first, last in itertools.pairwise(edges)]
    least = np.array([part.min() for part in parts])
    return least, np.array([part.max() for part in parts])
