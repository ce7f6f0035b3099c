"""GPTQModel quantises every layer as asked, says so, and its files load to a close model."""

import json
import os
from importlib.util import find_spec

import pytest

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.errors import CodewattError
from codewatt.models.loading import load_model
from codewatt.models.packed_format import parse_packed_format
from codewatt.models.packed_kernels import count_linear_kernels
from codewatt.models.weight_headers import describe_weights, read_weight_headers
from codewatt.quantise.gptq_awq import check_quantised_checkpoint, join_to_one_length
from codewatt.quantise.linear_selection import decoder_matrices
from codewatt.quantise.quantiser import open_quantiser
from tests.support.models import save_tiny_model
from tests.support.packed import PACKINGS, save_packed

pytestmark = pytest.mark.skipif(find_spec("gptqmodel") is None, reason="needs gptqmodel")
TEXT = PreparedCorpus(
    ["def add(a, b):\n    return a + b\n\n\ndef f(x, *, y=1):\n    return [x, y, 'z']\n" * 20],
    {"source": "stdlib", "samples": 8, "tokens": 32},
    "0",
)
GPTQ = {"method": "gptq", "bits": 4, "group_size": 32, "act_order": False}
GPTQ |= {"compute_dtype": "float32", "backend": "gptqmodel"}
AWQ = {"method": "awq", "bits": 4, "group_size": 32, "compute_dtype": "bfloat16"}
AWQ |= {"backend": "gptqmodel"}
SETTINGS = {
    "gptq4": GPTQ,
    "gptq4-order": {**GPTQ, "act_order": True},
    "gptq8": {**GPTQ, "bits": 8, "group_size": 64},
    "gptq8-row": {**GPTQ, "bits": 8, "group_size": -1},
    "awq": AWQ,
}
LEAST_COSINE = {"gptq4": 0.95, "gptq4-order": 0.95, "gptq8": 0.999, "gptq8-row": 0.999, "awq": 0.95}
#: Keys and values wide enough for AWQ's search, which takes 64 outputs at a time.
WIDE = {"num_attention_heads": 2, "num_key_value_heads": 2}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """source(architecture): a little model with two layers, and heads that AWQ takes."""
    made = {}

    def make(architecture):
        if architecture not in made:
            made[architecture] = tmp_path_factory.mktemp(architecture) / "model"
            wide = {} if architecture == "deepseek_v2" else WIDE
            save_tiny_model(architecture, made[architecture], 2, **wide)
        return made[architecture]

    return make


def _quantise(source, target, settings, text=TEXT):
    return open_quantiser(settings["method"]).quantise(source, target, settings, "cpu", text)


def _logits(loaded):
    import torch

    ids = loaded.tokenizer("def add(a, b):\n    return", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return loaded.model(ids).logits.flatten().float()


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("starcoder2", "gptq4"),
        ("qwen2", "gptq8"),
        ("llama", "gptq4-order"),
        ("phi", "gptq8-row"),
        ("gpt_neox", "gptq4"),
        ("deepseek_v2", "gptq4"),
        ("starcoder2", "awq"),
        ("gpt_neox", "awq"),
    ],
)
def test_models_are_smaller_close_but_not_equal(source, tmp_path, monkeypatch, architecture, kind):
    import torch

    monkeypatch.chdir(tmp_path)
    before = set(os.environ)
    directory, settings = source(architecture), SETTINGS[kind]
    counts = _quantise(directory, tmp_path / "q", settings)
    assert [path.name for path in tmp_path.iterdir()] == ["q"], "nothing is left elsewhere"
    assert not {"PYTORCH_ALLOC_CONF", "CUDA_DEVICE_ORDER"} & (set(os.environ) - before)
    matrices = decoder_matrices(read_weight_headers(directory))
    assert counts["quantised_modules"] == len(matrices)
    assert counts["quantised_weights"] == sum(outs * ins for outs, ins in matrices.values())
    others = [h["shape"] for h in read_weight_headers(directory).values() if len(h["shape"]) > 1]
    assert counts["unquantised_weights"] == (
        sum(first * second for first, second in others) - counts["quantised_weights"]
    )
    assert counts.get("rounded_modules", 0) == 0
    packing = parse_packed_format(json.loads((tmp_path / "q" / "config.json").read_text()))
    assert (packing.bits, packing.group_size) == (settings["bits"], settings["group_size"])
    assert packing.symmetric is (kind != "awq")

    base = load_model(directory, dtype=settings["compute_dtype"], device="cpu")
    quantised = load_model(tmp_path / "q", dtype=settings["compute_dtype"], device="cpu")
    wanted, got = _logits(base), _logits(quantised)
    assert not torch.equal(wanted, got), "quantising changed nothing"
    assert torch.cosine_similarity(wanted, got, dim=0) > LEAST_COSINE[kind]
    kernel = "AwqTorchLinear" if kind == "awq" else "TorchLinear"
    assert count_linear_kernels(quantised.model) == {"Linear": 1, kernel: len(matrices)}
    described = describe_weights(tmp_path / "q")
    assert described["parameters"] == describe_weights(directory)["parameters"]
    assert described["size_bytes"] < 0.8 * describe_weights(directory)["size_bytes"]


def test_calibration_decides_what_gptq_writes(source, tmp_path):
    """The same model on another text: codes differ, and with the same text they do not."""
    import torch
    from safetensors.torch import load_file

    other = PreparedCorpus(["x = 1; y = 2\n" * 200], TEXT.settings, "1")
    written = []
    for name, text in (("a", TEXT), ("b", TEXT), ("c", other)):
        _quantise(source("phi"), tmp_path / name, GPTQ, text)
        written.append(load_file(tmp_path / name / "model.safetensors"))
    first, again, others = written
    names = [name for name in first if name.endswith(".qweight")]
    assert all(torch.equal(first[name], again[name]) for name in names)
    assert not all(torch.equal(first[name], others[name]) for name in names)


def test_awq_gets_sequences_of_one_length():
    assert join_to_one_length([[1, 2], [3, 4]], 0) == [[1, 2], [3, 4]]
    assert join_to_one_length([[1, 2, 3], [4], [5, 6]], 0) == [[1, 2, 3], [0, 4, 0], [5, 6, 0]]


def test_what_cannot_be_quantised_is_one_line_before_any_weight_is_read(source, tmp_path):
    narrow = tmp_path / "narrow"
    save_tiny_model("llama", narrow, 2)
    for directory, settings, text, said in [
        (
            source("phi"),
            GPTQ,
            None,
            r"not quantised yet and calibration is missing; allowed: the id",
        ),
        (source("phi"), {**GPTQ, "group_size": 128}, TEXT, r"fc1: 64 inputs are not a multiple"),
        (
            narrow,
            AWQ,
            TEXT,
            r"k_proj: 32 outputs and 64 inputs; allowed for AWQ of backend gptqmodel: mult",
        ),
        (
            source("deepseek_v2"),
            AWQ,
            TEXT,
            r"gptqmodel does not support model type deepseek_v2; allowed: .*gptq",
        ),
    ]:
        with pytest.raises(CodewattError, match=said):
            _quantise(directory, tmp_path / "q", settings, text)
        assert not (tmp_path / "q").exists()


@pytest.mark.parametrize("kind", ["gptq4", "awq"])
def test_sequences_longer_than_the_model_can_read_are_refused(tiny_model, tmp_path, kind):
    """GPTQModel would cut them: what follows would have no effect, and the manifest would lie."""
    text = PreparedCorpus(TEXT.documents, {**TEXT.settings, "samples": 1, "tokens": 257}, "")
    with pytest.raises(CodewattError, match="a sequence has 257 tokens; allowed: up to 256, the"):
        _quantise(tiny_model("llama"), tmp_path / "q", SETTINGS[kind], text)
    assert not (tmp_path / "q").exists()


def test_a_failing_worker_is_an_exception_and_not_the_end_of_the_process(tmp_path, monkeypatch):
    """GPTQModel's own threads would end the process without a word to the log."""
    import codewatt.quantise.backends.gptqmodel as backend

    monkeypatch.setattr(backend, "_check_awq", lambda source: None)
    save_tiny_model("llama", tmp_path / "narrow", 2)
    with pytest.raises(AssertionError):
        _quantise(tmp_path / "narrow", tmp_path / "q", AWQ)


def test_what_a_library_wrote_is_checked_layer_by_layer(tiny_model, tmp_path):
    source = tiny_model("phi", layers=2)
    save_packed(source, tmp_path / "q", PACKINGS["gptq4"])
    matrices, target = decoder_matrices(read_weight_headers(source)), tmp_path / "q"
    assert check_quantised_checkpoint(target, matrices, GPTQ)["quantised_modules"] == len(matrices)
    left = {**matrices, "model.layers.0.mlp.fc3": (64, 64)}
    with pytest.raises(CodewattError, match=r"fc3: gptqmodel left this layer unquantised"):
        check_quantised_checkpoint(target, left, GPTQ)
    less = dict(list(matrices.items())[1:])
    with pytest.raises(
        CodewattError,
        match=r"packed this layer, which is not a matrix of the model's decoder layers",
    ):
        check_quantised_checkpoint(target, less, GPTQ)
    wrong = {**matrices, "model.layers.0.mlp.fc1": (64, 64)}
    with pytest.raises(
        CodewattError, match=r"fc1: gptqmodel packed 128 x 64 weights; expected 64 x 64"
    ):
        check_quantised_checkpoint(target, wrong, GPTQ)
    with pytest.raises(
        CodewattError, match=r"with bits 4, but the precision has bits: 8; allowed: bits: 4"
    ):
        check_quantised_checkpoint(target, matrices, {**GPTQ, "bits": 8})
    with pytest.raises(CodewattError, match=r"config\.json: quant_method is not awq"):
        check_quantised_checkpoint(target, matrices, AWQ)


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="needs a GPU")
@pytest.mark.parametrize("kind", ["gptq4", "gptq4-order", "gptq8-row", "awq"])
def test_packed_layers_on_a_gpu(source, tmp_path, kind):
    """By the fastest kernel and by one that keeps the checkpoint's tensors: the same logits."""
    import torch

    settings = {**SETTINGS[kind], "compute_dtype": "float16"}
    method = open_quantiser(settings["method"])
    method.quantise(source("llama"), tmp_path / "q", settings, "cuda", TEXT)
    base = load_model(source("llama"), dtype="float16", device="cuda")
    ids = base.tokenizer("def add(a, b):\n", return_tensors="pt")["input_ids"].cuda()
    with torch.inference_mode():
        wanted = base.model(ids).logits.flatten().float()
        for keep_packed_layout in (False, True):
            loaded = load_model(
                tmp_path / "q",
                dtype="float16",
                device="cuda",
                keep_packed_layout=keep_packed_layout,
            )
            got = loaded.model(ids).logits.flatten().float()
            assert torch.cosine_similarity(wanted, got, dim=0) > LEAST_COSINE[kind]
            torchs = {"TorchLinear", "AwqTorchLinear"} & set(count_linear_kernels(loaded.model))
            assert bool(torchs) is (keep_packed_layout and kind != "gptq4-order")
