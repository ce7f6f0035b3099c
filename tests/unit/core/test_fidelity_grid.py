"""What a variant is compared with, and that fidelity's slice holds what fidelity reads."""

import json

import pytest

from codewatt.cells import Variant
from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.grid import Grid

FP32 = {"compute_dtype": "float32"}


def _study(**changes):
    values = {
        "study": "small",
        "title": "A small study",
        "models": [
            {"id": "a", "source": "nano", "architecture": "starcoder2"},
            {"id": "b", "source": "nano", "architecture": "qwen2"},
        ],
        "prunes": [{"id": "full", "method": "none"}],
        "precisions": [
            {"id": "fp32", "method": "none", "dtype": "float32"},
            {"id": "nf4", "method": "bitsandbytes", "quant_type": "nf4", **FP32},
        ],
        "benchmarks": [{"id": "nano", "kind": "nano"}],
        "token_limits": [24],
        "corpora": [
            {"id": "held", "source": "nano", "part": "held_out", "samples": 8, "tokens": 64}
        ],
        "fidelity": {"corpus": "held"},
        "baseline": {"precision": "fp32", "prune": "full"},
    }  # fmt: skip
    return validate(Study, {**values, **changes}, "study.yaml")


def test_a_baseline_is_of_the_same_model_and_may_be_missing():
    grid = Grid(_study(exclude=[{"model": "b", "precision": "fp32"}]))
    base = Variant("a", "full", "fp32")
    assert grid.baseline_of(Variant("a", "full", "nf4")) == base
    assert grid.baseline_of(base) == base
    lonely = Variant("b", "full", "nf4")
    assert grid.baseline_of(lonely) is None
    assert json.loads(grid.fidelity_slice(lonely))["baseline"] is None


def test_the_slice_is_what_fidelity_reads():
    grid = Grid(_study())
    before = grid.fidelity_slice(grid.variants[1])
    assert json.loads(before) == {
        "id": "a--full--nf4",
        "variant": {"model": "a", "prune": "full", "precision": "nf4"},
        "baseline": "a--full--fp32",
        "corpus": {
            "id": "held",
            "source": "nano",
            "part": "held_out",
            "samples": 8,
            "tokens": 64,
            "seed": 0,
        },
        "calibrations": [],
        "device": "auto",
        "hardware": None,
    }
    corpus = {**_study().corpora[0].model_dump(exclude={"label"}), "label": "Held out"}
    for same in ({"token_limits": [48]}, {"corpora": [corpus]}, {"decoding": {"repeats": 9}}):
        assert Grid(_study(**same)).fidelity_slice(grid.variants[1]) == before
    for other in ({"device": "cpu"}, {"corpora": [{**corpus, "tokens": 32}]}):
        assert Grid(_study(**other)).fidelity_slice(grid.variants[1]) != before


def test_a_study_without_fidelity_has_no_slice():
    grid = Grid(_study(fidelity=None), "study.yaml")
    with pytest.raises(CodewattError, match=r"study.yaml: fidelity: there is none"):
        grid.fidelity_slice(grid.variants[0])


def test_a_text_that_a_variant_is_calibrated_on_is_refused():
    calibrated = {
        "corpora": [{"id": name, "source": "nano"} for name in ("held", "calib")],
        "precisions": [
            {"id": "fp32", "method": "none", "dtype": "float32"},
            {"id": "gptq4", "method": "gptq", "bits": 4, **FP32, "calibration": "calib"},
        ],
    }
    grid = Grid(_study(**calibrated))
    assert json.loads(grid.fidelity_slice(grid.variant("b--full--gptq4")))["calibrations"] == [
        "calib"
    ]
    with pytest.raises(CodewattError, match=r"fidelity.corpus: precision 'gptq4' is calibrated on"):
        _study(**calibrated, fidelity={"corpus": "calib"})
