"""Group sizes that no layer of a model can have are refused before any job."""

import json

import pytest

from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.files import write_json
from codewatt.grid import Grid
from codewatt.group_size_check import check_group_sizes
from codewatt.paths import Paths
from tests.support.gguf import tiny_llama, tokenizer_of_smollm, write_gguf
from tests.support.records import model_record

#: The sizes of SmolLM2-135M.
SMOLLM2 = {
    "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
}  # fmt: skip
ARCHITECTURE = {"id": "m", "source": "architecture", "config": SMOLLM2}
PACKAGE = {
    "id": "m", "source": "gguf",
    "file": {"source": "package", "package": "p", "version": "1", "name": "a.gguf",
             "sha256": "0" * 64},
}  # fmt: skip
GPTQ = {"method": "gptq", "bits": 4, "compute_dtype": "float32", "calibration": "text"}
AWQ = {"method": "awq", "compute_dtype": "bfloat16", "calibration": "text"}
INT4 = {"method": "torchao", "quant_type": "int4", "compute_dtype": "bfloat16"}


def check(root, model, precision, **changes):
    values = {
        "study": "small",
        "title": "A small study",
        "models": [model],
        "prunes": [{"id": "full", "method": "none"}],
        "corpora": [{"id": "text", "source": "stdlib", "samples": 8, "tokens": 64}],
        "precisions": [
            {"id": "fp32", "method": "none", "dtype": "float32"},
            {"id": "packed", **precision},
        ],
        "benchmarks": [{"id": "nano", "kind": "nano"}],
        "token_limits": [24],
        "baseline": {"precision": "fp32", "prune": "full"},
        **changes,
    }
    grid = Grid(validate(Study, values, "study.yaml"), "study.yaml")
    paths = Paths.of(root, grid.study)
    check_group_sizes(grid, paths)
    return grid, paths


def refusal(*arguments):
    with pytest.raises(CodewattError) as refused:
        check(*arguments)
    return str(refused.value)


@pytest.mark.parametrize("precision", [GPTQ, AWQ, INT4])
def test_128_does_not_divide_576_but_64_and_32_do(tmp_path, precision):
    """576 = 4 * 128 + 64 = 9 * 64 = 18 * 32."""
    assert refusal(tmp_path, ARCHITECTURE, {**precision, "group_size": 128}) == (
        "study.yaml: precision 'packed': group_size 128: layers 'q_proj' of model 'm' have 576 "
        "inputs, which is not a multiple of 128; allowed: 32, 64, or exclude the pair"
    )
    assert refusal(tmp_path, ARCHITECTURE, precision).endswith("or exclude the pair")  # the default
    for size in (64, 32):
        check(tmp_path, ARCHITECTURE, {**precision, "group_size": size})


def test_what_has_no_groups_and_what_is_excluded_is_not_checked(tmp_path):
    check(tmp_path, ARCHITECTURE, {**GPTQ, "group_size": -1})
    check(tmp_path, ARCHITECTURE, {**INT4, "quant_type": "int8", "compute_dtype": "float32"})
    check(tmp_path, ARCHITECTURE, GPTQ, exclude=[{"model": "m", "precision": "packed"}])


def test_a_downloaded_model_is_checked_from_then_on(tmp_path):
    grid, paths = check(tmp_path, PACKAGE, GPTQ)  # its sizes are not known yet
    folder = tmp_path / "weights"
    write_json(folder / "config.json", SMOLLM2)
    record = model_record(
        source=json.loads(grid.model_slice("m")),
        weights={"directory": str(folder), "files": {}},
    )
    write_json(paths.model("m"), record)
    assert "have 576 inputs" in refusal(tmp_path, PACKAGE, GPTQ)
    other = {**PACKAGE, "file": {**PACKAGE["file"], "version": "2"}}
    check(tmp_path, other, GPTQ)  # another model, to be downloaded


def test_a_local_gguf_file_is_checked(tmp_path):
    """Its down projection has 96 inputs: 3 * 32."""
    model = tiny_llama(tokenizer_of_smollm().get_vocab_size())
    path = write_gguf(tmp_path / "m.gguf", model)
    local = {"id": "m", "source": "gguf", "file": {"source": "path", "path": str(path)}}
    assert refusal(tmp_path, local, {**GPTQ, "group_size": 64}) == (
        "study.yaml: precision 'packed': group_size 64: layers 'down_proj' of model 'm' have 96 "
        "inputs, which is not a multiple of 64; allowed: 32, or exclude the pair"
    )
    check(tmp_path, local, {**GPTQ, "group_size": 32})


def test_a_record_of_another_model_hides_nothing(tmp_path):
    """As after the study's model was replaced: the record is of the old one."""
    _, paths = check(tmp_path, PACKAGE, GPTQ)
    folder = tmp_path / "weights"
    write_json(folder / "config.json", {**SMOLLM2, "hidden_size": 1024})
    write_json(paths.model("m"), model_record(weights={"directory": str(folder), "files": {}}))
    assert "have 576 inputs" in refusal(tmp_path, ARCHITECTURE, GPTQ)


def test_a_checkpoint_that_is_packed_keeps_its_groups(tmp_path):
    packed = {**SMOLLM2, "quantization_config": {"quant_method": "gptq", "group_size": 128}}
    write_json(tmp_path / "model" / "config.json", packed)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    check(tmp_path, {"id": "m", "source": "path", "path": str(tmp_path / "model")}, GPTQ)
