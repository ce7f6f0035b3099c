"""The energy of making a variant: quantising it and scoring the layers that it lost."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codewatt.energy.boundaries import PARTS
from codewatt.energy.energy_record import MAKING_ENERGY
from codewatt.energy.making_energy import measure_making
from codewatt.energy.timeline_writer import write_empty_timeline
from codewatt.errors import CodewattError
from codewatt.files import sha256_file, write_json

WINDOW = {"phase": "quantise", "start_s": 1031.0, "end_s": 1036.0}
IDS = {"model": "m", "prune": "full", "precision": "int8"}
MADE = {
    "variant": IDS, "windows": [WINDOW], "duration_s": 5.0, "device": "cuda", "sampler": {},
}  # fmt: skip
GPU = ("nvml", "gpu", "GPU-0")
HOST = ("host", "host", "machine")


@pytest.fixture
def timeline(bench: Any, tmp_path: Path) -> Path:
    """The machine draws 363 W, of which 300 W are the GPU's."""
    path: Path = bench.write(tmp_path / "timeline.parquet")
    return path


def test_the_energy_of_quantising_is_that_of_its_window(timeline: Path) -> None:
    stage = measure_making(MADE, timeline, None, None, {})["quantise"]
    assert stage["energy_j"]["node"] == pytest.approx(5 * 363)
    assert stage["energy_j"]["gpu"] == pytest.approx(5 * 300)
    assert stage["energy_status"]["node"] == "measured"
    assert (stage["duration_s"], stage["energy_note"]) == (5.0, None)


def test_other_processes_on_the_gpu_are_noted(bench: Any, timeline: Path) -> None:
    t_s, values = bench.series[*GPU, "other_processes"]
    bench.series[*GPU, "other_processes"] = (t_s, np.ones(len(values)))
    bench.write(timeline)
    stage = measure_making(MADE, timeline, None, None, {})["quantise"]
    assert stage["energy_note"] == "gpu: other processes on the GPU"


def test_others_on_the_machine_are_noted_by_the_studys_own_limits(
    bench: Any, timeline: Path
) -> None:
    """Others keep 3.1 CPUs busy: no problem where CPU energy is not part of the figures."""
    t_s, values = bench.series[*HOST, "busy_s"]
    bench.series[*HOST, "busy_s"] = (t_s, values + 3 * np.clip(t_s - 1030, 0, 10))
    bench.write(timeline)

    def note(settings: dict[str, Any]) -> str | None:
        return measure_making(MADE, timeline, None, None, settings)["quantise"]["energy_note"]

    assert note({}) == "cpu: others keep 3.1 CPUs busy (limit 0.4)"
    assert note({"boundary": "gpu"}) is None
    assert note({"validity": {"max_other_cpus": 4.0, "max_other_cpu_share": 0.5}}) is None


def test_a_variant_that_was_not_made_has_no_energy(tmp_path: Path) -> None:
    timeline = tmp_path / "timeline.parquet"
    write_empty_timeline(timeline)
    nothing = {"variant": IDS, "windows": [], "duration_s": 0.0}
    record = measure_making(nothing, timeline, None, None, {})
    assert record["quantise"] == {
        "duration_s": 0.0,
        "energy_j": dict.fromkeys(PARTS),
        "energy_status": dict.fromkeys(PARTS),
        "energy_note": None,
    }
    assert record["score_layers"] is None


def test_a_window_of_one_reading_is_not_trusted(timeline: Path) -> None:
    short = {**MADE, "windows": [{**WINDOW, "end_s": 1031.15}]}
    stage = measure_making(short, timeline, None, None, {})["quantise"]
    assert stage["energy_note"] == "too short for two readings of a meter"


def test_scoring_layers_is_measured_by_its_own_timeline(timeline: Path, tmp_path: Path) -> None:
    scores = tmp_path / "layers.json"
    window = {"phase": "score_layers", "start_s": 1033.0, "end_s": 1035.0}
    write_json(scores, {**MADE, "windows": [window], "duration_s": 2.0})
    named = {"path": str(scores), "sha256": sha256_file(scores)}
    manifest = {**MADE, "scores": named}
    stage = measure_making(manifest, timeline, scores, timeline, {})["score_layers"]
    assert stage is not None
    assert stage["energy_j"]["node"] == pytest.approx(2 * 363)
    write_json(scores, {**MADE, "windows": [], "duration_s": 2.0})
    with pytest.raises(CodewattError, match=r"layers\.json: the variant was pruned by an earlier"):
        measure_making(manifest, timeline, scores, timeline, {})
    with pytest.raises(CodewattError, match="the file or its timeline is missing"):
        measure_making(manifest, timeline, None, None, {})


def test_a_missing_timeline_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CodewattError, match="no such file"):
        measure_making(MADE, tmp_path / "timeline.parquet", None, None, {})


def test_the_record_is_read_in_its_own_version_only(timeline: Path, tmp_path: Path) -> None:
    path = tmp_path / "making_energy.json"
    record = measure_making(MADE, timeline, None, None, {})
    whole = {**record, "code": ["measure_making_energy.py aaaa"]}
    write_json(path, whole)
    assert MAKING_ENERGY.read(path) == whole
    write_json(path, {**whole, "schema": 9})
    with pytest.raises(CodewattError, match="record version 9, this version of codewatt reads 2"):
        MAKING_ENERGY.read(path)
