"""Recordings of real jobs replay to the same joules, and their faults are found again.

- h200_matmul: matrix products on an H200 (driver 580), before averages of power were recorded.
- h100_decode_bf16, h100_decode_nf4: StarCoder2-3B's architecture with random weights on an H100,
  five repeats of five completions of 128 tokens at batch 1, by transformers' generate().
- h100_shared: matrix products on an H100; from the second repeat on a stranger uses the card too.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from codewatt.energy.cell_energy import measure_cell

DATA = Path(__file__).resolve().parents[2] / "fixtures" / "energy"


def manifest(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return content


def replayed(name: str, **settings: Any) -> dict[str, Any]:
    settings = {"boundary": "gpu", **settings}
    timeline = DATA / f"{name}.parquet"
    return measure_cell(manifest(name), timeline, None, None, settings).record


def gpu_joules(cell: dict[str, Any]) -> list[float]:
    return [run["energy_j"]["gpu"] for run in cell["runs"]]


def failed(cell: dict[str, Any]) -> set[tuple[str, int | None]]:
    return {(e["name"], e["repeat"]) for e in cell["checks"] if e["passed"] is False}


def test_matrix_products_replay_to_their_joules() -> None:
    cell = replayed("h200_matmul")
    joules = gpu_joules(cell)
    assert joules == pytest.approx([6586.996, 6600.103, 6613.498], abs=0.01)
    samples = [run["alternatives"]["gpu_samples_j"] for run in cell["runs"]]
    assert samples == pytest.approx(joules, rel=0.01)
    assert cell["baseline"]["idle_loaded_w"]["gpu"] == pytest.approx(125.5, abs=0.1)
    assert cell["components"]["cpu"]["status"] == "unavailable"
    assert cell["components"]["gpu"]["status"] == "measured"
    assert cell["components"]["node"]["status"] == "unavailable"
    assert cell["runs"][0]["energy_j"]["node"] is None
    assert cell["valid"] is True
    # Prefill windows of 28 ms are below the counter's 100 ms; the card ran into its 700 W limit.
    # Decode windows of 1.8 s: the counter's steps at their edges leave more than a tenth open.
    assert {name for name, _ in failed(cell)} == {
        *("prefill_resolved", "decode_resolved", "no_power_cap"),
        "measured_window_long_enough",
    }


@pytest.mark.parametrize(
    ("name", "joules", "within"),
    [
        ("h100_decode_bf16", [2437.723, 2254.304, 2019.782, 1986.733, 2118.006], 0.005),
        ("h100_decode_nf4", [2366.791, 2197.786, 2174.301, 2133.264, 2167.182], 0.005),
    ],
)
def test_decoding_replays_to_its_joules(name: str, joules: list[float], within: float) -> None:
    cell = replayed(name)
    assert gpu_joules(cell) == pytest.approx(joules, abs=0.01)
    # The counter against one-second averages, over windows of 11 to 16 s.
    averages = [run["alternatives"]["gpu_average_j"] for run in cell["runs"]]
    assert averages == pytest.approx(joules, rel=within)
    for run in cell["runs"]:
        assert run["uncertainty_j"]["gpu"] < 0.02 * run["energy_j"]["gpu"]
        assert 0 < run["net_energy_j"]["gpu"] < run["energy_j"]["gpu"]
    assert cell["valid"] is True


def test_codecarbon_beside_the_counter_is_the_same_counter_read_less_often() -> None:
    cell = replayed("h100_decode_bf16")
    for run in cell["runs"]:
        other = run["alternatives"]["codecarbon_gpu_j"]
        assert other == pytest.approx(run["energy_j"]["gpu"], rel=0.005)
    # 64 W is CodeCarbon's guess for a processor that it does not know: modelled, and said.
    assert cell["components"]["cpu"]["status"] == "modelled"
    assert cell["components"]["node"]["status"] == "modelled"
    assert ("energy_measured", None) in failed(cell)


def test_tasks_add_up_to_their_phases() -> None:
    path = DATA / "h100_decode_bf16.parquet"
    tasks = DATA / "h100_decode_bf16_tasks.parquet"
    rows = measure_cell(manifest("h100_decode_bf16"), path, None, None, {}, tasks).tasks
    runs = replayed("h100_decode_bf16")["runs"]
    assert len(rows) == 25
    for run in runs:
        own = [row for row in rows if row["repeat"] == run["repeat"]]
        phases_s = run["prefill_s"] + run["decode_s"]
        # Between tasks of this recording the host went through the vocabulary for half a second
        # each time, at less power than decoding takes.
        assert phases_s < 0.87 * run["duration_s"]
        watts = run["energy_j"]["gpu"] / run["duration_s"]
        assert watts < sum(row["gpu_j"] for row in own) / phases_s < 1.1 * watts
        assert ("phases_cover", run["repeat"]) in failed(replayed("h100_decode_bf16"))
        for row in own:
            assert 0 < row["gpu_uncertainty_j"] < 0.15 * row["gpu_j"]


def test_a_stranger_on_the_card_fails_the_repeat_it_came_in() -> None:
    cell = replayed("h100_shared")
    assert gpu_joules(cell) == pytest.approx([3673.81, 7672.96], abs=0.01)
    assert ("gpu_not_shared", 1) in failed(cell)
    assert ("gpu_not_shared", 0) not in failed(cell)
    assert cell["valid"] is False
