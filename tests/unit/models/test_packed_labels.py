"""Labels of packed checkpoints against what is packed: read right, or refused in one line."""

import json

import pytest

from codewatt.errors import CodewattError
from codewatt.models.loading import load_model
from codewatt.models.packed_checkpoints import count_packed_weights
from codewatt.models.packed_format import parse_packed_format, read_packed_format
from codewatt.quantise.quantiser import open_quantiser
from tests.support.packed import PACKINGS, Packing, save_packed

KINDS = {
    **{name: PACKINGS[name] for name in ("gptq4", "gptq8", "gptq4-order", "gptq4-zeros", "awq")},
    "gptq4-v2": Packing(form="gptq_v2"),
    "gptq8-v2": Packing(bits=8, form="gptq_v2"),
}


@pytest.fixture(scope="module")
def packed(tiny_model, tmp_path_factory):
    """packed(kind): a checkpoint of that packing and one of what it stands for, made once."""
    made = {}

    def make(kind):
        if kind not in made:
            target = tmp_path_factory.mktemp("packed") / kind
            made[kind] = target, save_packed(tiny_model("llama", 2), target, KINDS[kind])
        return made[kind]

    return make


def labelled(source, target, **labels):
    """The same checkpoint, its weights linked, with other labels; None takes one away."""
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    config = json.loads((target / "config.json").read_text())
    said = {**config["quantization_config"], **labels}
    config["quantization_config"] = {key: value for key, value in said.items() if value != "-"}
    (target / "config.json").write_text(json.dumps(config))
    return target


def cosine(directory, reference):
    import torch

    ids = torch.tensor([[34, 68, 69, 70, 110, 71, 72, 73]])
    with torch.inference_mode():
        rows = [
            load_model(d, dtype="float32", device="cpu").model(ids).logits.flatten().double()
            for d in (directory, reference)
        ]
    return float(torch.nn.functional.cosine_similarity(*rows, dim=0))


def refused(directory, said):
    for refuse in (count_packed_weights, lambda d: load_model(d, dtype="float32", device="cpu")):
        with pytest.raises(CodewattError, match=said) as error:
            refuse(directory)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"awq"}))
def test_under_its_true_label_a_checkpoint_is_what_it_stands_for(packed, kind):
    assert cosine(*packed(kind)) > 0.9999


@pytest.mark.parametrize(
    ("kind", "labels", "said"),
    [
        ("gptq4", {"checkpoint_format": "gptq_v2"},
         "config.json says symmetric gptq_v2, but .* are 7; symmetric gptq has 7, so config.json "
         "is wrong"),
        ("gptq4", {"checkpoint_format": "-", "format": "GPTQ_V2"}, "points are 7; symmetric gptq"),
        ("gptq8", {"checkpoint_format": "gptq_v2"}, "points are 127; symmetric gptq has 127"),
        ("gptq4-v2", {"checkpoint_format": "gptq"}, "points are 8; symmetric gptq_v2 has 8"),
        ("gptq4-v2", {"checkpoint_format": "-"}, "config.json says symmetric gptq, but .* are 8"),
        ("gptq8-v2", {"checkpoint_format": "gptq"}, "points are 128; symmetric gptq_v2 has 128"),
        ("gptq4-order", {"checkpoint_format": "gptq_v2"}, "points are 7; symmetric gptq has 7"),
        ("gptq4-zeros", {"sym": True}, r"says symmetric gptq_v2, but .* are \d+ to \d+"),
        ("gptq4-zeros", {"sym": True, "checkpoint_format": "gptq"}, r"symmetric gptq, but .* to "),
        ("gptq4", {"sym": False, "checkpoint_format": "gptq_v2"}, "says asymmetric gptq_v2"),
        ("gptq4-order", {"desc_act": False}, "g_idx: groups are not .* but desc_act is false"),
        ("gptq4-order", {"desc_act": "False"}, "but desc_act is false"),
        ("awq", {"zero_point": False}, r"config.json says symmetric gemm, but .* are \d+ to \d+"),
        ("awq", {"zero_point": "false"}, "config.json says symmetric gemm"),
        ("awq", {"version": "gemv"}, "format: awq checkpoints with gemv"),
        ("awq", {"quant_method": "gptq", "version": "-"}, r"missing: g_idx|need"),
        ("gptq4", {"quant_method": "awq", "checkpoint_format": "gemm"}, "need"),
        ("gptq4", {"bits": 8}, "8 bits in groups of 32 need"),
        ("gptq8", {"bits": "4"}, "4 bits in groups of 32 need"),
        ("gptq4", {"bits": 4.5}, "bits: gptq checkpoints with 4.5 .* an integer"),
        ("gptq4", {"bits": True}, "bits: gptq checkpoints with true .* an integer"),
        ("gptq4", {"group_size": None}, "group_size: gptq checkpoints with null"),
        ("gptq4", {"group_size": "-"}, "group_size: gptq checkpoints with null"),
        ("gptq4", {"group_size": 64.0}, "4 bits in groups of 64 need"),
        ("gptq4", {"sym": "maybe"}, "sym: gptq checkpoints with .maybe. .*true, false"),
        ("gptq4", {"sym": "False"}, "sym: .*false in format 'gptq'"),
        ("gptq4", {"quant_method": "-"}, "quantization_config: .*with quant_method"),
    ],
)  # fmt: skip
def test_a_label_that_is_not_what_is_packed_is_refused(packed, tmp_path, kind, labels, said):
    refused(labelled(packed(kind)[0], tmp_path / "q", **labels), said)


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("gptq4", {"bits": "4", "group_size": "32", "desc_act": "False", "sym": "true"}),
        ("gptq4", {"bits": 4.0, "group_size": 32.0, "desc_act": 0, "sym": 1}),
        ("gptq4", {"quant_method": "GPTQ", "checkpoint_format": "GPTQ"}),
        ("gptq4", {"desc_act": True}),  # groups in order are an order too
        ("gptq4", {"lm_head": "False", "is_marlin_format": "false", "desc_act": None}),
        ("gptq4-v2", {"checkpoint_format": "GPTQ_V2"}),
    ],
)
def test_a_label_that_is_written_otherwise_is_read(packed, tmp_path, kind, labels):
    directory, reference = packed(kind)
    assert cosine(labelled(directory, tmp_path / "q", **labels), reference) > 0.9999


def test_the_file_that_a_library_wrote_beside_config_json_is_read(packed, tmp_path):
    directory, reference = packed("gptq4")
    moved = labelled(directory, tmp_path / "q")
    config = json.loads((moved / "config.json").read_text())
    said = config.pop("quantization_config")
    (moved / "config.json").write_text(json.dumps(config))
    refused(moved, r"qweight is packed, but no file describes the format; .*quantize_config\.json")
    said.pop("quant_method")  # AutoGPTQ did not write it
    (moved / "quantize_config.json").write_text(json.dumps(said))
    assert read_packed_format(moved) == read_packed_format(directory)
    assert cosine(moved, reference) > 0.9999
    settings = {"method": "gptq", "bits": 4, "group_size": 32, "act_order": False}
    assert open_quantiser("gptq").existing_counts(moved, settings) == count_packed_weights(
        directory
    )
    with pytest.raises(CodewattError, match="already quantised by gptq"):
        open_quantiser("none").existing_counts(moved, {"method": "none"})
    (moved / "quantize_config.json").write_text("[]")
    refused(moved, r"quantize_config\.json: .*a JSON object")


def test_autoawqs_own_keys_are_read(packed, tmp_path):
    directory, _ = packed("awq")
    moved = labelled(directory, tmp_path / "q")
    config = json.loads((moved / "config.json").read_text())
    config.pop("quantization_config")
    (moved / "config.json").write_text(json.dumps(config))
    said = {"zero_point": True, "q_group_size": 32, "w_bit": 4, "version": "GEMM"}
    (moved / "quant_config.json").write_text(json.dumps(said))
    assert read_packed_format(moved) == read_packed_format(directory)
    assert count_packed_weights(moved) == count_packed_weights(directory)


def test_a_left_over_file_makes_no_plain_model_packed(tiny_model, tmp_path):
    import shutil

    plain = shutil.copytree(tiny_model("llama", 2), tmp_path / "plain")
    (plain / "quantize_config.json").write_text('{"bits": 4}')
    assert read_packed_format(plain) is None
    load_model(plain, dtype="float32", device="cpu")


@pytest.mark.parametrize("said", [[], "gptq", 4])
def test_a_description_that_is_no_object_is_one_line(said):
    if not said:
        assert parse_packed_format({"quantization_config": said}) is None
        return
    with pytest.raises(CodewattError, match="allowed: a JSON object"):
        parse_packed_format({"quantization_config": said})


@pytest.mark.parametrize(
    ("part", "spoil", "said"),
    [
        ("g_idx", lambda t: t + 100, r"g_idx: group indices 100 to \d+; allowed: 0 to"),
        ("g_idx", lambda t: t.long(), "g_idx: dtype I64; layout gptq needs I32"),
        ("qzeros", lambda t: t.float(), "qzeros: dtype F32; layout gptq needs I32"),
        ("scales", lambda t: t.int(), "scales: dtype I32; layout gptq needs F16 or BF16 or F32"),
        ("scales", lambda t: t.flatten(), "scales.*layout gptq needs matrices"),
        ("qzeros", lambda t: t + 1, r"points are 7 to 8; allowed: 7"),
    ],
)
def test_one_layer_that_is_otherwise_is_refused(packed, tmp_path, part, spoil, said):
    from safetensors.torch import load_file, save_file

    directory = labelled(packed("gptq4")[0], tmp_path / "q")
    tensors = load_file(directory / "model.safetensors")
    name = f"model.layers.1.mlp.up_proj.{part}"
    tensors[name] = spoil(tensors[name])
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    refused(directory, said)
