"""The libraries that make GPTQ and AWQ checkpoints: what they are given, and what they are refused.

Where a library is installed (its own environment, docs/compression.md), it runs for real; elsewhere
those tests are skipped. What it makes is loaded in tests/unit/models/test_foreign_checkpoints.py.
"""

import warnings
from importlib.util import find_spec

import pytest

from codewatt.config.gptq_awq_libraries import BACKENDS
from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json
from codewatt.models.packed_checkpoints import count_packed_weights
from codewatt.models.weight_headers import read_weight_headers
from codewatt.quantise.backends.backend import open_backend
from codewatt.quantise.backends.checkpoint_files import write_checkpoint_config
from codewatt.quantise.backends.tensor_names import restore_tensor_names
from codewatt.quantise.backends.transformers4 import (
    transformers4_config,
    transformers4_directory,
    transformers4_tokenizer_config,
)
from codewatt.quantise.quantiser import open_quantiser

MODULES = {"autoawq": "awq", "auto_gptq": "auto_gptq"}
SETTINGS = {
    "autoawq": {"method": "awq", "bits": 4, "group_size": 32, "compute_dtype": "float16"},
    "auto_gptq": {
        "method": "gptq",
        "bits": 4,
        "group_size": 32,
        "act_order": True,
        "compute_dtype": "float16",
    },
}
needs_autoawq = pytest.mark.skipif(
    find_spec("awq") is None, reason="needs AutoAWQ: its own environment (make autoawq)"
)
needs_auto_gptq = pytest.mark.skipif(
    find_spec("auto_gptq") is None, reason="needs AutoGPTQ: its own environment (make autogptq)"
)


class _Text:
    """In place of a prepared text: sequences that need no tokenizer."""

    def sequences(self, tokenizer):
        import torch

        generator = torch.Generator().manual_seed(0)
        return torch.randint(0, 384, (16, 64), generator=generator).tolist()


def _quantise(backend, source, target, device="cpu"):
    settings = {**SETTINGS[backend], "backend": backend}
    quantiser = open_quantiser(settings["method"])
    return quantiser.quantise(source, target, settings, device, _Text())


@pytest.mark.parametrize("backend", MODULES)
def test_a_library_that_is_not_installed_is_one_line(backend):
    if find_spec(MODULES[backend]) is not None:
        pytest.skip("it is installed here")
    with pytest.raises(CodewattError) as refused:
        open_backend(backend).import_libraries()
    environment = BACKENDS[backend].environment
    assert str(refused.value) == (
        f"backend {backend}: {BACKENDS[backend].library} is not installed; quantise this "
        f"variant in the library's own environment: envs/{environment}.yaml with conda, or the "
        f"one that `make {environment}` makes (docs/compression.md); or set backend: gptqmodel"
    )


@pytest.mark.parametrize(
    ("backend", "model_type", "device", "message"),
    [
        ("auto_gptq", "llama", "cpu", "quantises on device 'cuda' only; allowed on 'cpu': backend"),
        ("auto_gptq", "starcoder2", "cuda", "not for models of type starcoder2; allowed: backend"),
        ("autoawq", "phi", "cpu", "AutoAWQ 0.2.9 is not for models of type phi; allowed: backend"),
        ("autoawq", "deepseek_v2", "cuda", "not for models of type deepseek_v2; allowed: backend"),
    ],
)
def test_what_a_library_cannot_do_is_refused_before_it_is_imported(
    tmp_path, backend, model_type, device, message
):
    write_json(tmp_path / "config.json", {"model_type": model_type})
    with pytest.raises(CodewattError, match=message):
        _quantise(backend, tmp_path, tmp_path / "out", device)


def test_a_configuration_of_transformers_5_becomes_one_of_4():
    llama3 = {"rope_theta": 5e5, "rope_type": "llama3", "factor": 8.0}
    assert transformers4_config(
        {"model_type": "llama", "dtype": "bfloat16", "rope_parameters": llama3, "vocab_size": 9}
    ) == {
        "model_type": "llama",
        "torch_dtype": "bfloat16",
        "vocab_size": 9,
        "rope_theta": 5e5,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0},
    }
    neox = {"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.25}
    assert transformers4_config({"model_type": "gpt_neox", "rope_parameters": neox}) == {
        "model_type": "gpt_neox",
        "rotary_emb_base": 1e4,
        "rotary_pct": 0.25,
    }
    older = {"model_type": "qwen2", "torch_dtype": "float16", "rope_theta": 1e6}
    assert transformers4_config(older) == older


@pytest.mark.parametrize(
    ("model_type", "rotary"),
    [
        ("gemma3", {"rope_theta": 1e4, "rope_type": "default"}),
        ("llama", {"full_attention": {"rope_theta": 1e4}}),
        ("llama", {"rope_theta": 1e4, "partial_rotary_factor": 0.5}),
    ],
)
def test_a_rotation_that_transformers_4_has_no_name_for_is_refused(model_type, rotary):
    with pytest.raises(
        CodewattError, match=f"rope_parameters .* of {model_type} cannot be translated"
    ):
        transformers4_config({"model_type": model_type, "rope_parameters": rotary})


def test_a_tokenizer_of_transformers_5_becomes_one_of_4(tiny_model):
    made = {"backend": "tokenizers", "eos_token": "<e>", "tokenizer_class": "TokenizersBackend"}
    assert transformers4_tokenizer_config(made) == {
        "eos_token": "<e>",
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    older = {"tokenizer_class": "LlamaTokenizerFast", "eos_token": "</s>"}
    assert transformers4_tokenizer_config(older) == older
    source = tiny_model("llama")
    with transformers4_directory(source) as directory:
        assert {path.name for path in directory.iterdir()} == {p.name for p in source.iterdir()}
        assert (directory / "model.safetensors").resolve() == source / "model.safetensors"
        found = read_json(directory / "tokenizer_config.json")["tokenizer_class"]
        assert found.startswith("PreTrainedTokenizer")
    assert not directory.exists()


def test_the_configuration_written_is_the_models_own(tiny_model, tmp_path):
    source = tiny_model("qwen2")
    write_checkpoint_config(source, tmp_path, {"quant_method": "awq"}, "float16")
    before, after = (read_json(folder / "config.json") for folder in (source, tmp_path))
    key = "dtype" if "dtype" in before else "torch_dtype"  # transformers 5's, and 4's
    assert after == {**before, key: "float16", "quantization_config": {"quant_method": "awq"}}
    assert (tmp_path / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
    assert not list(tmp_path.glob("*.safetensors"))
    older = tmp_path / "older"
    write_json(older / "config.json", {"torch_dtype": "float32"})
    write_checkpoint_config(older, tmp_path, {}, "bfloat16")
    assert read_json(tmp_path / "config.json")["torch_dtype"] == "bfloat16"


def test_tensors_get_the_names_that_files_have(tmp_path):
    """GPTQModel writes GPT-NeoX's head under the name that transformers 5 has for it in memory."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = {"lm_head.weight": torch.ones(2, 2), "gpt_neox.embed_in.weight": torch.zeros(2, 2)}
    parts = {
        "model-1.safetensors": "lm_head.weight",
        "model-2.safetensors": "gpt_neox.embed_in.weight",
    }
    for file, name in parts.items():
        save_file({name: tensors[name]}, tmp_path / file, metadata={"format": "pt"})
    write_json(tmp_path / "config.json", {"model_type": "gpt_neox"})
    write_json(
        tmp_path / "model.safetensors.index.json",
        {"metadata": {"total_size": 32}, "weight_map": {n: f for f, n in parts.items()}},
    )
    untouched = (tmp_path / "model-2.safetensors").stat().st_mtime_ns
    restore_tensor_names(tmp_path)
    assert set(read_weight_headers(tmp_path)) == {"embed_out.weight", "gpt_neox.embed_in.weight"}
    assert load_file(tmp_path / "model-1.safetensors")["embed_out.weight"].equal(torch.ones(2, 2))
    assert (tmp_path / "model-2.safetensors").stat().st_mtime_ns == untouched
    index = read_json(tmp_path / "model.safetensors.index.json")
    assert index["weight_map"]["embed_out.weight"] == "model-1.safetensors"
    write_json(tmp_path / "config.json", {"model_type": "llama"})
    restore_tensor_names(tmp_path)
    assert "embed_out.weight" in read_weight_headers(tmp_path)


@needs_autoawq
def test_autoawq_quantises_each_matrix(tiny_model, tmp_path):
    counts = _quantise("autoawq", tiny_model("gpt_neox", layers=2), tmp_path / "out")
    assert counts["quantised_modules"] == 8
    names = set(read_weight_headers(tmp_path / "out"))
    assert {"embed_out.weight", "gpt_neox.layers.1.mlp.act.scales"} <= names
    assert count_packed_weights(tmp_path / "out") == counts


@needs_autoawq
def test_autoawq_knows_what_is_said_of_it_and_changes_nothing_else():
    filters = list(warnings.filters)
    open_backend("autoawq").import_libraries()
    assert warnings.filters == filters
    from awq.models.auto import AWQ_CAUSAL_LM_MODEL_MAP

    assert set(BACKENDS["autoawq"].model_types) <= set(AWQ_CAUSAL_LM_MODEL_MAP)


@needs_autoawq
def test_autoawq_refuses_a_width_that_it_cannot_clip(tiny_model, tmp_path):
    with pytest.raises(
        CodewattError, match=r"k_proj: 32 outputs and 64 inputs; allowed for AutoAWQ"
    ):
        _quantise("autoawq", tiny_model("llama"), tmp_path / "out")


@needs_auto_gptq
def test_auto_gptq_knows_what_is_said_of_it():
    open_backend("auto_gptq").import_libraries()
    from auto_gptq.modeling.auto import GPTQ_CAUSAL_LM_MODEL_MAP

    assert set(BACKENDS["auto_gptq"].model_types) <= set(GPTQ_CAUSAL_LM_MODEL_MAP)


@needs_auto_gptq
def test_auto_gptqs_transformers_reads_what_the_pipelines_wrote(repository):
    """A model and a tokenizer of transformers 5, in an environment with transformers 4."""
    from codewatt.quantise.backends import auto_gptq

    source = repository / "tests" / "fixtures" / "checkpoints" / "auto_gptq-llama"
    tokenizer = open_backend("auto_gptq").load_tokenizer(source)
    assert tokenizer("def add", add_special_tokens=False).input_ids == [271, 270]
    with transformers4_directory(source) as directory:
        write_json(directory / "config.json", _unquantised(directory))
        with pytest.raises(CodewattError, match="packed: 7 missing keys on loading"):
            auto_gptq._load(directory, "float32", "packed")


def _unquantised(directory):
    config = read_json(directory / "config.json")
    return {key: value for key, value in config.items() if key != "quantization_config"}


@needs_auto_gptq
@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="needs a GPU")
def test_auto_gptq_quantises_each_matrix_on_a_gpu(tiny_model, tmp_path):
    counts = _quantise("auto_gptq", tiny_model("gpt_neox", layers=2), tmp_path / "out", "cuda")
    assert counts["quantised_modules"] == 8
    assert count_packed_weights(tmp_path / "out") == counts
