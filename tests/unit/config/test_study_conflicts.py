"""Settings that are good one by one, but not together, are refused before a job starts."""

import pytest

from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from tests.support.good_study import GOOD, GPTQ, TORCHAO, changed


@pytest.mark.parametrize(
    ("device", "settings", "message"),
    [
        ("cuda", {"compute_dtype": "float32"}, "compute_dtype float32 is not allowed on device"),
        (
            "cpu",
            {"compute_dtype": "float32", "group_size": 256},
            "group_size 256 is not allowed on device",
        ),
    ],
)
def test_a_device_without_the_kernel_is_refused(device, settings, message):
    study = changed(("precisions", 1), {**TORCHAO, "quant_type": "int4", **settings})
    validate(Study, {**study, "device": "auto"}, "study.yaml")
    with pytest.raises(CodewattError, match=f"precision 'nf4': .*{message}"):
        validate(Study, {**study, "device": device}, "study.yaml")


def test_a_backend_that_needs_a_gpu_is_refused_on_a_cpu():
    study = changed(("precisions", 1), {**GPTQ, "backend": "auto_gptq"})
    study["models"][0]["architecture"] = "qwen2"
    validate(Study, {**study, "device": "cuda"}, "study.yaml")
    with pytest.raises(CodewattError) as refused:
        validate(Study, {**study, "device": "cpu"}, "study.yaml")
    assert str(refused.value) == (
        "study.yaml: precision 'nf4': backend auto_gptq: AutoGPTQ 0.7.1 quantises on device 'cuda' "
        "only; allowed on 'cpu': backend: gptqmodel"
    )


def test_a_model_that_a_backend_does_not_know_can_be_excluded():
    study = changed(("precisions", 1), {**GPTQ, "backend": "auto_gptq"})
    pair = {"model": "m", "precision": "nf4"}
    validate(Study, {**study, "exclude": [pair]}, "study.yaml")
    with pytest.raises(CodewattError, match="or exclude the pair"):
        validate(Study, {**study, "exclude": [{**pair, "prune": "last1"}]}, "study.yaml")


LONG = {"id": "long", "source": "stdlib", "tokens": 512}


READS_LONG = {"id": "bi", "method": "block_influence", "layers": 1, "calibration": "long"}


def _reading(model=(), corpus=(), **keys):
    """The good study with a further corpus of sequences longer than nano's 256 tokens."""
    models = [{**GOOD["models"][0], **dict(model)}]
    return {
        **GOOD,
        "models": models,
        "corpora": [*GOOD["corpora"], {**LONG, **dict(corpus)}],
        **keys,
    }


@pytest.mark.parametrize(
    ("keys", "what", "entry"),
    [
        ({"fidelity": {"corpus": "long"}}, "fidelity.corpus", {"model": "m"}),
        (
            {"prunes": [*GOOD["prunes"], READS_LONG]},
            "prune 'bi': calibration",
            {"model": "m", "prune": "bi"},
        ),
        (
            {"precisions": [GOOD["precisions"][0], {**GPTQ, "calibration": "long"}]},
            "precision 'nf4': calibration",
            {"model": "m", "precision": "nf4"},
        ),
    ],
)
def test_sequences_longer_than_a_model_reads_are_refused(keys, what, entry):
    """By the models whose context is known beforehand."""
    with pytest.raises(CodewattError) as refused:
        validate(Study, _reading(**keys), "study.yaml")
    left_out = "the pair" if len(entry) > 1 else "the model"
    assert str(refused.value) == (
        f"study.yaml: {what}: sequences of corpus 'long' have 512 tokens, model 'm' reads 256; "
        f"allowed: tokens up to 256, or exclude {left_out}"
    )
    validate(Study, _reading(corpus={"tokens": 256}, **keys), "study.yaml")
    validate(Study, _reading(corpus={"source": "nano"}, **keys), "study.yaml")  # cut, not joined
    validate(Study, _reading(model={"max_tokens": 512}, **keys), "study.yaml")
    validate(Study, _reading(exclude=[entry], **keys), "study.yaml")
    config = {"model_type": "gpt2", "n_positions": 300, "n_layer": 3}
    random = {"id": "m", "source": "architecture", "config": config}
    with pytest.raises(CodewattError, match="model 'm' reads 300; allowed"):
        validate(Study, {**_reading(**keys), "models": [random]}, "study.yaml")
