"""A cell generated for real: its windows in order, its tokens kept, its roofline described."""

from itertools import pairwise

import pyarrow.parquet
import pytest

from codewatt.generate import generate_cell, roofline_inputs
from codewatt.generate.engine import open_engine
from codewatt.models.loading import load_model
from codewatt.sizing.parameter_counts import architecture_of
from tests.support.cells import run_cell


def generated(weights, folder):
    prompts = [f"def f{n}():" for n in range(3)]
    return run_cell(weights, folder, prompts, engine="transformers", batch_size=2, token_limit=5)


@pytest.fixture(scope="module")
def cell(tiny_model, tmp_path_factory):
    return generated(tiny_model("starcoder2"), tmp_path_factory.mktemp("cell"))


def test_the_probe_has_a_window_of_its_own_before_the_warm_up(cell):
    manifest, _ = cell
    windows = sorted(manifest["windows"], key=lambda window: window["start_s"])
    outer = [w for w in windows if w["phase"] not in ("prefill", "decode")]
    assert [w["phase"] for w in outer] == [
        "idle_unloaded", "load", "idle_loaded", "probe", "warmup", "repeat", "repeat", "idle_after",
    ]  # fmt: skip
    for before, after in pairwise(outer):
        assert before["end_s"] <= after["start_s"]
    assert all(w["start_s"] >= outer[4]["end_s"] for w in windows if w["phase"] == "decode")


def test_the_manifest_says_what_model_and_machine_can_do(cell, tiny_model):
    manifest, _ = cell
    described = manifest["roofline"]
    counted = architecture_of(
        load_model(tiny_model("starcoder2"), dtype="float32", device="cpu").model.config.to_dict()
    )
    assert described["machine"]["bandwidth_bytes_per_s"] > 1e8
    assert described["machine"]["matrix_dtype"] == "float32"
    demand = described["demand"]
    assert demand["kv_bytes_per_token"] == counted.kv_bytes_per_token(4)
    # Tied: everything is read; beside the weights the few angles of the rotary embedding.
    assert 0 <= demand["step_weight_bytes"] - 4 * counted.parameters < 200
    assert demand["window"] == 128


def test_each_row_keeps_its_tokens(cell):
    _, out = cell
    rows = pyarrow.parquet.read_table(out.tasks).to_pylist()
    assert len(rows) == 2 * 3
    for row in rows:
        assert len(row["tokens"]) == row["new_tokens"] > 0
    first, again = ([r["tokens"] for r in rows if r["repeat"] == n] for n in (0, 1))
    assert first == again


def test_the_most_memory_that_was_held_is_kept(cell):
    manifest, _ = cell
    assert manifest["peak_memory"]["device_bytes"] is None
    assert 50e6 < manifest["peak_memory"]["host_bytes"] < 100e9


def test_weights_that_exceed_the_gpu_are_not_loaded(tiny_model, tmp_path, monkeypatch):
    """With a GPU of a thousand bytes: a typed record, and no window of loading."""
    monkeypatch.setattr(generate_cell, "resolve_device", lambda device: "cuda")
    monkeypatch.setattr(generate_cell, "used_gpu_uuids", lambda device: [])
    monkeypatch.setattr(generate_cell, "gpu_memory", lambda: ("NVIDIA L40S", 1000))
    manifest, out = generated(tiny_model("starcoder2"), tmp_path)
    assert manifest["status"] == "infeasible"
    assert manifest["reason"] == "the weights take 0.0 GB, the NVIDIA L40S has 0.0 GB"
    assert manifest["windows"] == []
    assert pyarrow.parquet.read_table(out.tasks).num_rows == 0


def test_a_model_of_unknown_size_has_a_machine_and_the_reason(tiny_model, monkeypatch):
    loaded = load_model(tiny_model("phi"), dtype="float32", device="cpu")
    monkeypatch.setattr(type(loaded.model.config), "model_type", "novel")
    described = roofline_inputs.describe_roofline(open_engine("transformers", loaded, lambda: None))
    assert described["demand"] is None
    assert described["reason"].startswith("model type 'novel': its size is unknown")
    assert described["machine"]["matmul_flops_per_s"] > 0


def test_a_cell_rests_before_its_model_is_loaded_and_warms_up_until_steady(tiny_model, tmp_path):
    """The limits are such that any machine meets them; energies of the rest are its own."""
    manifest, _ = run_cell(
        tiny_model("starcoder2"),
        tmp_path,
        [f"def f{n}():" for n in range(4)],
        engine="transformers",
        batch_size=2,
        token_limit=2,
        start={"below_c": None, "steady_w": 1e6, "for_s": 1.0, "at_most_s": 3.0},
        warmup={"batches": 2, "max_cv": 1000.0, "window_batches": 3, "max_batches": 9},
    )
    windows = sorted(manifest["windows"], key=lambda window: window["start_s"])
    outer = [w for w in windows if w["phase"] not in ("prefill", "decode")]
    assert [w["phase"] for w in outer[:3]] == ["rest", "idle_unloaded", "load"]
    for before, after in pairwise(outer):
        assert before["end_s"] <= after["start_s"]
    start, warmup = manifest["start"], manifest["warmup"]
    assert start["rest_s"] == outer[0]["end_s"] - outer[0]["start_s"]
    assert start["condition_met"] is (None if start["sensor"] is None else True)
    assert (warmup["batches"], warmup["steady"]) == (4, True)
    assert len(warmup["repeated_batch_s"]) == 3
    (warm,) = (w for w in outer if w["phase"] == "warmup")
    assert sum(warmup["repeated_batch_s"]) <= warm["end_s"] - warm["start_s"]


def test_a_cell_without_a_rest_has_no_window_of_one(cell):
    manifest, _ = cell
    assert manifest["start"]["conditions"] is None
    assert manifest["start"]["rest_s"] == 0
    assert manifest["warmup"] == {"batches": 1, "repeated_batch_s": [], "cv": None, "steady": None}
