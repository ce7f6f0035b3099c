"""Headers of GGUF files are read as the package gguf wrote them; other files get one line."""

import struct

import pytest

from codewatt.errors import CodewattError
from codewatt.models.gguf_header import configuration_of, packed_as, read_gguf_header
from tests.support.gguf import SIZES, gguf_tensors, tiny_llama, tokenizer_of_smollm, write_gguf


@pytest.fixture(scope="module")
def model():
    return tiny_llama(tokenizer_of_smollm().get_vocab_size())


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", model, packing="Q4_1")


def test_the_header_says_what_the_writer_was_told(file, model):
    header = read_gguf_header(file)
    assert header.architecture == "llama"
    assert header.metadata["general.name"] == "Tiny"
    assert header.metadata["tokenizer.ggml.add_bos_token"] is False
    assert header.of_architecture("attention.head_count_kv") == SIZES["num_key_value_heads"]
    assert header.array_lengths["tokenizer.ggml.tokens"] == model.config.vocab_size
    tensors = {tensor.name: tensor for tensor in header.tensors}
    assert {name: t.shape[::-1] for name, t in tensors.items()} == {
        name: weight.shape for name, weight in gguf_tensors(model).items()
    }
    # Of each of two layers 7 matrices and 2 norms; embedding and last norm.
    assert header.packings == {"F32": 5, "Q4_1": 15}
    assert tensors["blk.0.ffn_down.weight"].packing == "Q4_1"
    assert tensors["output_norm.weight"].packing == "F32"


def test_the_configuration_has_the_models_sizes(file, model):
    assert configuration_of(read_gguf_header(file)) == {
        "model_type": "llama", "tie_word_embeddings": True, "vocab_size": model.config.vocab_size,
        **SIZES,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("packing", "file_type", "wanted"),
    [
        ("Q4_1", 3, "Q4_1"),
        ("Q8_0", 7, "Q8_0"),
        ("F32", 0, "F32"),
        ("F16", 1, "F16"),
        ("Q8_0", 1, "Q8_0"),  # the file says F16, its weights are Q8_0
        ("Q4_1", 999, "Q4_1"),  # no type of llama.cpp
        ("Q4_1", None, "Q4_1"),
    ],
)
def test_what_most_weights_are_packed_as(model, tmp_path, packing, file_type, wanted):
    said = {"general__file_type": file_type}
    if file_type is None:
        said = {"without": ("general.file_type",)}
    path = write_gguf(tmp_path / "m.gguf", model, packing=packing, **said)
    assert packed_as(read_gguf_header(path)) == wanted


def test_a_file_that_changed_is_read_again(model, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", model)
    assert read_gguf_header(path).metadata["general.name"] == "Tiny"
    write_gguf(path, model, general__name="Another name")
    assert read_gguf_header(path).metadata["general.name"] == "Another name"


def _refusal(path):
    with pytest.raises(CodewattError) as refused:
        read_gguf_header(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.05])
def test_a_truncated_file_is_refused(file, tmp_path, kept):
    content = file.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(content[: int(kept * len(content))])
    said = _refusal(path)
    size = int(kept * len(content))
    if kept == 0.05:
        assert said == (
            f"{path}: the file ends within its header, after {size} bytes; it is truncated or "
            "damaged, fetch it again"
        )
    else:
        assert said == (
            f"{path}: {size} bytes, but its header says {len(content)}; the file is truncated, "
            "fetch it again"
        )


def test_every_shorter_header_is_refused_in_one_line(file, tmp_path):
    """Wherever the file ends, the message is codewatt's own."""
    content = file.read_bytes()
    path = tmp_path / "cut.gguf"
    for size in range(4, 4000, 37):
        path.write_bytes(content[:size])
        assert "truncated" in _refusal(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a GGUF file: it is empty"),
        (b"PK\x03\x04rest", "not a GGUF file: it begins with b'PK\\x03\\x04', not b'GGUF'"),
        (b"ggml\x01\x00", "not a GGUF file: it begins with b'ggml', not b'GGUF'"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "a Git LFS pointer, not the file itself; `git lfs pull` in its directory fetches it",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
            "GGUF version 1; allowed: little-endian files of versions 2 and 3",
        ),
        (
            b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
            "GGUF version 50331648; allowed: little-endian files of versions 2 and 3",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 0),
            "it has no tensors; allowed: GGUF files with weights",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sI", 1, b"k", 77),
            "'k' has type number 77; the file is damaged, fetch it again",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 9, 1),
            "'k' is an array of type number 9; the file is damaged, fetch it again",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q1sIQIQ", 1, b"t", 1, 32, 99, 0),
            "tensor 't' has type number 99; allowed: F32, F16,",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q1sI", 1, b"t", 9),
            "tensor 't' has 9 dimensions; the file is damaged, fetch it again",
        ),
    ],
)
def test_another_file_is_refused(tmp_path, content, message):
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    assert _refusal(path).startswith(f"{path}: {message}")


def test_an_absent_file_and_a_folder_are_refused(tmp_path):
    assert _refusal(tmp_path / "m.gguf") == f"{tmp_path / 'm.gguf'}: no such file"
    assert _refusal(tmp_path) == f"{tmp_path}: is a directory; allowed: a file"


def test_a_part_of_a_model_is_refused(model, tmp_path):
    path = write_gguf(tmp_path / "m-00001-of-00003.gguf", model, split__count=3)
    assert _refusal(path) == (
        f"{path}: one of 3 parts of a model; allowed: a single file, which `llama-gguf-split "
        "--merge` makes"
    )
