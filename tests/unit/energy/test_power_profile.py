"""The power over time integrates to the energy of the job, and its band holds every reading."""

import json
from pathlib import Path

import numpy as np
import pytest

from codewatt.energy.energy_sources import Source, choose_sources
from codewatt.energy.integration import Series
from codewatt.energy.power_profile import power_profile
from codewatt.energy.timeline_reader import read_timeline
from tests.support.raw_study import RawStudy


def source(*series: Series) -> Source:
    return Source(
        "x", "gpu", "nvml", "energy_j", "measured", "counter", None,
        {f"GPU-{n}": one for n, one in enumerate(series)}, 0,
    )  # fmt: skip


def counter(t_s: np.ndarray, watts: np.ndarray) -> Series:
    return Series.counter(t_s, 7e5 + np.concatenate(([0.0], np.cumsum(watts * np.diff(t_s)))))


@pytest.fixture
def uneven() -> np.ndarray:
    draw = np.random.default_rng(1)
    return np.concatenate(([0.0], np.cumsum(draw.uniform(0.05, 0.15, 400))))


@pytest.mark.parametrize("bins", [1, 7, 50, 10_000])
@pytest.mark.parametrize("kind", ["counter", "power", "two counters"])
def test_the_means_integrate_to_the_energy(kind: str, bins: int, uneven: np.ndarray) -> None:
    draw = np.random.default_rng(2)
    watts = draw.uniform(50, 300, len(uneven))
    made = {
        "counter": source(counter(uneven, watts[1:])),
        "power": source(Series.power(uneven, watts)),
        "two counters": source(
            counter(uneven, watts[1:]), counter(uneven + 0.03, draw.uniform(1, 9, 400))
        ),
    }[kind]
    profile = power_profile(made, 3.3, 21.7, bins)
    assert profile is not None
    joules = float((profile.mean_w * np.diff(profile.edges_s)).sum())
    assert joules == pytest.approx(made.energy(3.3, 21.7).energy_j, rel=1e-12)
    assert len(profile.mean_w) == min(bins, int(18.4 / made.resolution_s))
    assert (profile.least_w <= profile.mean_w + 1e-9).all()
    assert (profile.mean_w <= profile.highest_w + 1e-9).all()


def test_a_peak_of_one_reading_is_in_the_band(uneven: np.ndarray) -> None:
    watts = np.full(400, 100.0)
    watts[200] = 900.0
    profile = power_profile(source(counter(uneven, watts)), 0, float(uneven[-1]), 20)
    assert profile is not None
    assert profile.highest_w.max() == pytest.approx(900)
    assert profile.mean_w.max() < 300, "the mean of 20 readings"
    assert profile.least_w == pytest.approx(np.full(20, 100.0), rel=1e-6)
    samples = power_profile(source(Series.power(uneven[1:], watts)), 0, 99, 20)
    assert samples is not None
    assert samples.highest_w.max() == 900


def test_nothing_is_drawn_that_no_reading_covers(uneven: np.ndarray) -> None:
    one = source(counter(uneven, np.full(400, 5.0)))
    profile = power_profile(one, -100, 100, 10)
    assert profile is not None
    assert (profile.edges_s[0], profile.edges_s[-1]) == (uneven[0], uneven[-1])
    assert power_profile(one, 100, 200, 10) is None
    assert power_profile(source(Series.power(uneven[:1], uneven[:1])), 0, 1, 10) is None


def test_a_counter_that_was_reset_has_no_power_there(uneven: np.ndarray) -> None:
    watts = np.full(400, 5.0)
    watts[100] = -1e4
    profile = power_profile(source(counter(uneven, watts)), 0, float(uneven[-1]), 40)
    assert profile is not None
    assert np.isnan(profile.mean_w).sum() == 1


def test_of_a_study_it_is_the_energy_that_the_record_has(tmp_path: Path) -> None:
    study = RawStudy(tmp_path).write()
    folder = study.cells[0]["generate"].parent
    repeats = json.loads((folder / "energy.json").read_text())["runs"]
    windows = json.loads((folder / "generate.json").read_text())["windows"]
    sources = choose_sources(read_timeline(folder / "timeline.parquet"))
    for repeat in repeats:
        edges = next(
            w for w in windows if (w["phase"], w["repeat"]) == ("repeat", repeat["repeat"])
        )
        for part in ("gpu", "cpu"):
            profile = power_profile(sources.figures[part], edges["start_s"], edges["end_s"], 30)
            assert profile is not None
            joules = float((profile.mean_w * np.diff(profile.edges_s)).sum())
            assert joules == pytest.approx(repeat["energy_j"][part], rel=1e-9)
