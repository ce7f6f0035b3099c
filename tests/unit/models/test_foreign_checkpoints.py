"""Checkpoints that AutoAWQ and AutoGPTQ made load to what those libraries compute with them.

tests/fixtures/checkpoints/make.py made them, and wrote each library's own logits beside them.
"""

import shutil
from importlib.util import find_spec

import pytest

from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json
from codewatt.models.loading import load_model
from codewatt.models.packed_checkpoints import count_packed_weights
from codewatt.models.packed_kernels import count_linear_kernels

needs_gptqmodel = pytest.mark.skipif(find_spec("gptqmodel") is None, reason="needs gptqmodel")
#: What half precision leaves of agreement; a layer that is read wrongly leaves far less.
LEAST_COSINE = 0.99999
CHECKPOINTS = {
    "autoawq-starcoder2": ("AwqTorchLinear", 6),
    "auto_gptq-llama": ("TorchLinear", 7),
}


@pytest.fixture
def checkpoints(repository):
    return repository / "tests" / "fixtures" / "checkpoints"


def _cosine(directory, expected_file):
    import torch
    from safetensors.torch import load_file

    expected = load_file(expected_file)
    model = load_model(directory, dtype="float32", device="cpu").model
    with torch.inference_mode():
        logits = model(expected["ids"][None]).logits[0]
    pair = logits.flatten().double(), expected["logits"].flatten().double()
    return torch.nn.functional.cosine_similarity(*pair, dim=0).item(), count_linear_kernels(model)


@needs_gptqmodel
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_it_loads_to_the_logits_of_the_library_that_made_it(checkpoints, name):
    cosine, kernels = _cosine(checkpoints / name, checkpoints / f"{name}.logits.safetensors")
    assert cosine > LEAST_COSINE
    kernel, layers = CHECKPOINTS[name]
    assert kernels[kernel] == layers


@needs_gptqmodel
def test_the_scales_of_activations_make_the_difference(checkpoints, tmp_path):
    """GPTQModel.load leaves them out: what comes out then is not what AutoAWQ computes."""
    import torch
    from safetensors.torch import load_file, save_file

    name = "autoawq-starcoder2"
    shutil.copytree(checkpoints / name, tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    tensors["model.layers.0.mlp.act.scales"].fill_(1)
    save_file(tensors, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    cosine, _ = _cosine(tmp_path / "model", checkpoints / f"{name}.logits.safetensors")
    assert not torch.tensor(cosine).isnan()
    assert cosine < 0.999


@needs_gptqmodel
def test_scales_that_belong_nowhere_are_refused(checkpoints, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(checkpoints / "autoawq-starcoder2", tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    scales = tensors.pop("model.layers.0.mlp.act.scales")
    tensors["model.layers.0.self_attn.act.scales"] = scales
    save_file(tensors, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CodewattError, match=r"self_attn\.act\.scales: the model has no activation"):
        load_model(tmp_path / "model", dtype="float32", device="cpu")


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_its_layers_are_counted(checkpoints, name):
    counts = count_packed_weights(checkpoints / name)
    assert counts["quantised_modules"] == CHECKPOINTS[name][1]
    assert counts["unquantised_weights"] == 384 * 64  # the tied embedding


def test_a_layout_that_is_not_read_is_refused(checkpoints, tmp_path):
    shutil.copytree(checkpoints / "autoawq-starcoder2", tmp_path / "model")
    config = read_json(tmp_path / "model" / "config.json")
    config["quantization_config"]["version"] = "gemv_fast"
    write_json(tmp_path / "model" / "config.json", config)
    with pytest.raises(CodewattError, match="awq checkpoints with gemv_fast are not supported"):
        count_packed_weights(tmp_path / "model")
