"""Unpacked weights are those of the package gguf, and give the logits of the model before."""

import sys
from pathlib import Path

import numpy as np
import pytest

from codewatt.errors import CodewattError
from codewatt.files import sha256_file
from codewatt.models.fetch import fetch_model
from codewatt.models.loading import load_model
from codewatt.models.model_record import MODEL
from tests.support.gguf import (
    CHAT_TEMPLATE,
    gguf_tensors,
    tiny_llama,
    tokenizer_of_smollm,
    write_gguf,
)
from tests.support.records import MADE

TEXTS = ["def add(a, b):\n    return a + b\n", "[\n    1,\n  22, 3.45]\n\t 6\n\n   7", "x1 = y22"]


@pytest.fixture(scope="module")
def bpe():
    return tokenizer_of_smollm()


@pytest.fixture(scope="module")
def model(bpe):
    return tiny_llama(bpe.get_vocab_size())


def unpack(path: Path, dtype: str = "float32", sha256: str | None = None):
    settings = {
        "source": "gguf",
        "file": {"source": "path", "path": str(path), "sha256": sha256},
        "dtype": dtype,
    }
    return fetch_model(settings, path.parent / "weights")


def loaded(path: Path):
    return load_model(path.parent / "weights", dtype="float32", device="cpu")


def refusal(path: Path) -> str:
    with pytest.raises(CodewattError) as refused:
        unpack(path)
    assert "\n" not in str(refused.value)
    assert not (path.parent / "weights" / "model.safetensors").exists()
    return str(refused.value)


@pytest.mark.parametrize("packing", ["F32", "F16", "Q8_0", "Q4_1"])
@pytest.mark.parametrize("tied", [True, False])
def test_weights_and_logits(bpe, tmp_path, packing, tied):
    """gguf's own dequantize gives the weights; a model of these weights gives the logits."""
    import gguf
    import torch

    reference = tiny_llama(bpe.get_vocab_size(), tied=tied)
    if packing != "F32":
        # Each matrix as it is after packing, by the package gguf: a matrix of the file is this one
        # with its rows in another order, and rows are packed one by one.
        kind = gguf.GGMLQuantizationType[packing]
        with torch.no_grad():
            for parameter in reference.parameters():
                if parameter.dim() > 1:
                    packed = gguf.quants.quantize(parameter.numpy(), kind)
                    parameter.copy_(torch.from_numpy(gguf.quants.dequantize(packed, kind)))
    path = write_gguf(
        tmp_path / "m.gguf", tiny_llama(bpe.get_vocab_size(), tied=tied), bpe, packing=packing
    )
    manifest = unpack(path)
    found = loaded(path)
    for name, weight in reference.named_parameters():
        np.testing.assert_array_equal(
            found.model.get_parameter(name).detach().numpy(), weight.detach().numpy(), err_msg=name
        )
    ids = torch.arange(100).reshape(2, 50)
    with torch.inference_mode():
        torch.testing.assert_close(
            found.model(ids).logits, reference(ids).logits, rtol=1e-4, atol=1e-4
        )
    matrices = 16 if not tied else 15
    assert manifest["unpacked_from"] == {
        "name": "m.gguf",
        "bytes": path.stat().st_size,
        "sha256": sha256_file(path),
        "architecture": "llama",
        "file_type": packing,
        "packed_as": packing,
        "tensors": {"F32": 5 + matrices} if packing == "F32" else {"F32": 5, packing: matrices},
    }
    assert manifest["parameters"] == sum(p.numel() for p in reference.parameters())
    assert manifest["dtypes"] == ["F32"]
    assert manifest["meaningful_accuracy"] is True
    MODEL.check({**manifest, **MADE}, "manifest.json")


def test_what_gguf_dequantizes_is_in_the_file(model, bpe, tmp_path):
    """The file itself, read by gguf's reader, against what was unpacked."""
    import gguf

    path = write_gguf(tmp_path / "m.gguf", model, bpe, packing="Q4_1")
    unpack(path)
    tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}
    of_unpacked = gguf_tensors(loaded(path).model)
    assert set(of_unpacked) == set(tensors)
    for name, tensor in tensors.items():
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        np.testing.assert_array_equal(of_unpacked[name], values, err_msg=name)


def test_weights_are_rounded_to_a_dtype_that_the_study_names(model, bpe, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", model, bpe, packing="Q8_0")
    exact = unpack(path)
    assert unpack(path, "bfloat16")["dtypes"] == ["BF16"]
    assert unpack(path, "bfloat16")["size_bytes"] * 2 == exact["size_bytes"]


def test_text_is_split_as_the_models_own_tokenizer_splits_it(model, bpe, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", model, bpe)
    unpack(path)
    tokenizer = loaded(path).tokenizer
    for text in TEXTS:
        assert tokenizer(text)["input_ids"] == bpe.encode(text).ids, text
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_chat_template_and_end_tokens_are_kept(model, bpe, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", model, bpe)
    unpack(path)
    found = loaded(path)
    assert found.tokenizer.chat_template == CHAT_TEMPLATE
    asked = found.tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert asked == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    start, end = bpe.token_to_id("<|im_start|>"), bpe.token_to_id("<|im_end|>")
    assert found.tokenizer(asked)["input_ids"].count(start) == 2
    assert found.tokenizer(asked)["input_ids"].count(end) == 1
    assert found.generation.stop_token_ids == (end,)
    assert found.generation.describe(found.tokenizer)["stop_tokens"] == ["<|im_end|>"]


def test_the_end_of_a_turn_ends_a_completion_too(model, bpe, tmp_path):
    path = write_gguf(
        tmp_path / "m.gguf", model, bpe, tokenizer__ggml__eos_token_id=0,
        tokenizer__ggml__eot_token_id=2,
    )  # fmt: skip
    unpack(path)
    assert loaded(path).generation.stop_token_ids == (0, 2)


def test_a_model_without_a_chat_template_has_none(model, bpe, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", model, bpe, without=("tokenizer.chat_template",))
    unpack(path)
    assert loaded(path).tokenizer.chat_template is None


def test_an_architecture_that_transformers_does_not_read_is_refused(model, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", model, architecture="plamo")
    said = refusal(path)
    assert said.startswith(f"{path}: architecture 'plamo': transformers ")
    assert "does not read it from GGUF; allowed: bloom, deci, " in said
    assert {"llama", "qwen2", "qwen2moe", "starcoder2"} <= set(
        said.split("allowed: ")[1].split(", ")
    )
    assert not {"general", "t5", "tokenizer"} & set(said.split("allowed: ")[1].split(", "))


def test_weights_that_transformers_skips_are_refused(model, tmp_path):
    """Llama 3.1's RoPE scaling is such a tensor; without it long prompts get wrong logits."""
    extra = {"rope_freqs.weight": np.ones(8)}
    path = write_gguf(tmp_path / "m.gguf", model, tensors=extra)
    weights = sum(weight.size for weight in gguf_tensors(model).values())
    assert refusal(path) == (
        f"{path}: {weights + 8} weights in the file, but transformers' model of it has {weights}; "
        "the tensors outside layers are output_norm.weight, rope_freqs.weight; allowed: files "
        "whose tensors are all read"
    )


def test_rope_scaling_in_the_metadata_is_refused(model, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", model, llama__rope__scaling__type="yarn")
    assert refusal(path) == (
        f"{path}: RoPE scaling 'yarn': transformers does not read it from GGUF; allowed: files "
        "without scaling, or the original checkpoint (source: hub or path)"
    )


def test_an_unknown_splitting_of_text_is_refused(model, tmp_path):
    for name, shown in (("deepseek-coder", "'deepseek-coder'"), (None, "None")):
        without = ("tokenizer.ggml.pre",) if name is None else ()
        named = {} if name is None else {"tokenizer__ggml__pre": name}
        path = write_gguf(tmp_path / "m.gguf", model, without=without, **named)
        assert refusal(path).startswith(
            f"{path}: tokenizer.ggml.pre is {shown}: transformers would split text otherwise than "
            "llama.cpp; allowed: codeshell, "
        )


def test_a_file_that_names_no_end_is_refused(model, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", model, without=("tokenizer.ggml.eos_token_id",))
    assert refusal(path) == (
        f"{path}: tokenizer.ggml.eos_token_id is missing, so no token would end a completion; "
        "allowed: GGUF files that name it"
    )


def test_a_first_token_that_the_file_asks_for_is_added(model, bpe, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", model, bpe, tokenizer__ggml__add_bos_token=True)
    unpack(path)
    assert loaded(path).tokenizer("a")["input_ids"][0] == 1


def test_a_missing_package_is_named(model, tmp_path, monkeypatch):
    path = write_gguf(tmp_path / "m.gguf", model)
    for name in [name for name in sys.modules if name.partition(".")[0] == "gguf"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert refusal(path) == (
        f"{path}: the Python package gguf is missing in this environment; `make setup` installs it"
    )
