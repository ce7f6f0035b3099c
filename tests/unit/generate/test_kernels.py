"""The kernels compute what torch's functions do; run by Triton's interpreter, without a GPU."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TRITON_INTERPRET", "1")  # read when kernels are made, and once when they run
    pytest.importorskip("triton", reason="triton is not installed (make dev installs it)")
    from codewatt.generate.static import triton_ops

from codewatt.generate.static.dense_decoder import HeadLayout, Norm
from codewatt.generate.static.linear_layers import (
    DenseWeight,
    FusedLinear,
    PackedInt4Weight,
    pack_int4,
    unpack_int4,
)
from codewatt.generate.static.torch_ops import CachePositions, TorchOps
from codewatt.models.torchao_weights import EightBitWeight

INPUTS, FEATURES = 96, 20
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch):
    """In these tests alone: jobs that others start are to have a GPU's kernels."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")


def linear(features, dtype=torch.float32, bias=True):
    layer = torch.nn.Linear(INPUTS, features, bias=bias, dtype=dtype)
    return layer.requires_grad_(False)


def norms():
    weight, bias = 1 + torch.randn(INPUTS) / 4, torch.randn(INPUTS) / 4
    return {
        "none": None,
        "layer": Norm(weight, bias, 1e-5, rms=False),
        "layer without bias": Norm(weight, None, 1e-5, rms=False),
        "rms": Norm(weight, None, 1e-6, rms=True),
    }


def kernel_weights(weight):
    """The same layer in each form that has a kernel, dequantised into its module."""
    quantised = torch.randint(0, 16, weight.shape)
    scale = torch.rand(INPUTS // 32, len(weight)) / 8
    words = pack_int4(quantised, 32)
    return {
        "dense": DenseWeight(weight),
        "int8": EightBitWeight(
            torch.randint(-128, 128, weight.shape, dtype=torch.int8), torch.rand(len(weight)) / 99
        ),
        "fp8": EightBitWeight(
            torch.randn(weight.shape).to(torch.float8_e4m3fn), torch.rand(len(weight)) / 9
        ),
        "int4": PackedInt4Weight(words, scale, torch.randn(scale.shape) / 9, 32),
        "int4 symmetric": PackedInt4Weight(words, scale, None, 32),
    }


def fused_linear(form, gated=False, bias=True):
    layer = linear(FEATURES * (2 if gated else 1), bias=bias)
    packed = kernel_weights(layer.weight.data)[form]
    layer.weight.data = packed.dequantise()
    return FusedLinear((layer,), packed, layer.bias, gated)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


FORMS = ("dense", "int8", "fp8", "int4", "int4 symmetric")


def compare(form, norm, *, gated=False, activation=None, bias=True, residual=False):
    made = fused_linear(form, gated, bias)
    row = torch.randn(1, INPUTS) * 3 + 1
    settings = {
        "norm": norms()[norm],
        "activation": activation,
        "residual": torch.randn(1, FEATURES) if residual else None,
    }
    wanted = TorchOps().linear(FusedLinear(made.modules, None, made.bias, gated), row, **settings)
    assert wanted.shape == (1, FEATURES)
    found = triton_ops.TritonOps().linear(made, row, **settings)
    # 4-bit weights are computed with an error relative to the summands, not to their sum.
    summands = (made.weight.dequantise().abs() @ row.abs()[0]).max()
    atol = 2e-5 * summands if isinstance(made.weight, PackedInt4Weight) else 2e-5
    torch.testing.assert_close(found, wanted, rtol=2e-5, atol=float(atol))


@pytest.fixture(params=[1000, 3], ids=["one turn", "several turns"])
def _turns(request, monkeypatch):
    """Blocks enough for all outputs, or so few that each takes several turns."""

    def blocks(packed, *_):
        return triton_ops.GemvConfig(
            4, 8 if isinstance(packed, PackedInt4Weight) else 64, 4, request.param
        )

    monkeypatch.setattr(triton_ops, "gemv_config", blocks)


@pytest.mark.usefixtures("_turns")
@pytest.mark.parametrize("norm", list(norms()))
@pytest.mark.parametrize("form", FORMS)
def test_a_linear_layer_after_a_norm(form, norm):
    compare(form, norm)


@pytest.mark.usefixtures("_turns")
@pytest.mark.parametrize("form", FORMS)
def test_a_gated_linear_layer(form):
    compare(form, "rms", gated=True, activation="silu", bias=False)
    compare(form, "layer", gated=True, activation="gelu")


@pytest.mark.parametrize("activation", ["gelu_tanh", "gelu", "silu", "relu"])
def test_an_activation(activation):
    compare("dense", "layer", activation=activation)


@pytest.mark.parametrize("form", FORMS)
def test_a_residual_is_added(form):
    compare(form, "none", residual=True)
    compare(form, "none", residual=True, bias=False)


@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("batch", [1, 3, 11])
@pytest.mark.parametrize("form", FORMS)
def test_gemm_of_few_rows(form, batch, splits, monkeypatch):
    blocks = triton_ops.GemmConfig(16, 32, splits, 4, 2)
    monkeypatch.setattr(triton_ops, "gemm_config", lambda *_: blocks)
    made = fused_linear(form)
    plain = FusedLinear(made.modules, None, made.bias, False)
    rows = torch.randn(batch, INPUTS) * 2
    residual = torch.randn(batch, FEATURES)
    ops = triton_ops.TritonOps()
    for settings in ({}, {"activation": "gelu_tanh"}, {"residual": residual}):
        found = ops.linear(made, rows, **settings)
        wanted = TorchOps().linear(plain, rows, **settings)
        torch.testing.assert_close(found, wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("norm", list(norms()))
def test_gemm_of_few_rows_after_a_norm(norm, monkeypatch):
    monkeypatch.setattr(
        triton_ops, "gemm_config", lambda *_: triton_ops.GemmConfig(16, 32, 1, 4, 2)
    )
    for gated, activation in ((False, None), (True, "silu")):
        made = fused_linear("int4", gated)
        plain = FusedLinear(made.modules, None, made.bias, gated)
        rows = torch.randn(3, INPUTS) * 2 + 1
        settings = {"norm": norms()[norm], "activation": activation}
        found = triton_ops.TritonOps().linear(made, rows, **settings)
        wanted = TorchOps().linear(plain, rows, **settings)
        torch.testing.assert_close(found, wanted, rtol=2e-5, atol=2e-5)


def test_half_precision_uses_tensor_cores():
    """By float16: the interpreter has no bfloat16."""
    packed = PackedInt4Weight(
        pack_int4(torch.randint(0, 16, (FEATURES, 128)), 64),
        torch.rand(2, FEATURES) / 8,
        None,
        64,
    )
    layer = torch.nn.Linear(128, FEATURES).requires_grad_(False)
    row = torch.randn(2, 128).half()

    def blocks(rows, dtype=row.dtype, kept=packed):
        return triton_ops.gemm_config(kept, rows, 128, FEATURES, dtype)

    assert blocks(2) is not None
    assert blocks(1) is None
    assert blocks(65) is None
    assert blocks(2, torch.float32) is None
    # A nibble of a group of 32 is eight inputs, too few for tensor cores.
    assert blocks(2, kept=replace(packed, group_size=32)) is None
    wanted = row.float() @ packed.dequantise().T + layer.bias
    found = (
        triton_ops.TritonOps().linear(FusedLinear((layer,), packed, layer.bias, False), row).float()
    )
    assert ((found - wanted).norm() / wanted.norm()) < 1e-3


def test_packed_int4_is_unpacked_again():
    quantised = torch.randint(0, 16, (5, 128), dtype=torch.uint8)
    for group in (32, 64, 128):
        words = pack_int4(quantised, group)
        assert words.dtype == torch.int16
        assert torch.equal(unpack_int4(words, group), quantised)
    # Nibble j of a group's int16 c is the group's element j * group / 4 + c.
    assert (int(pack_int4(quantised, 32)[0, 1]) >> 4) & 15 == int(quantised[0, 9])


LAYOUTS = {
    "grouped": HeadLayout(6, 2, 20, (0, 20), (120, 20), (160, 20), 20, 20**-0.5),
    "one head each, partly rotated": HeadLayout(3, 3, 16, (0, 16), (48, 16), (96, 16), 8, 0.25),
    "by head": HeadLayout(3, 3, 16, (0, 48), (16, 48), (32, 48), 4, 0.25),
}


@pytest.mark.parametrize("input_pos", [63, 64, 200])
@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("blocks", [1, 256])
def test_attention(layout, input_pos, blocks, monkeypatch):
    monkeypatch.setattr("codewatt.generate.static.triton_ops._ATTENTION_BLOCKS", blocks)
    heads, batch, cache_length = LAYOUTS[layout], 2, 256
    elements = (heads.heads + 2 * heads.kv_heads) * heads.size
    angles = torch.randn(cache_length, heads.rotary // 2).repeat(1, 2)
    start = torch.tensor([5, input_pos])  # the last one sees itself alone
    positions = CachePositions(angles.cos(), angles.sin(), torch.tensor([input_pos]), start)
    shape = (batch, heads.kv_heads, cache_length, heads.size)
    keys, values = torch.randn(shape), torch.randn(shape)
    qkv = torch.randn(batch, elements)
    caches = [(keys.clone(), values.clone()) for _ in range(2)]
    ops = triton_ops.TritonOps()
    wanted = TorchOps().attention(qkv, heads, positions, *caches[0])
    found = ops.attention(qkv, heads, positions, *caches[1])
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(caches[1], caches[0])
    assert not torch.equal(caches[1][0], keys)
    again = ops.attention(qkv, heads, positions, *caches[1])  # counters of the splits are reset
    torch.testing.assert_close(again, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles_for_a_gpu(capability, tmp_path):
    """In a process of its own: here kernels are made for the interpreter."""
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": "src"}
    del environment["TRITON_INTERPRET"]
    command = [sys.executable, "tests/support/compile_kernels.py", str(capability)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    # Kernels of fp8 weights only from compute capability 8.9 on.
    assert len(done.stdout.splitlines()) == (17 if capability >= 89 else 13)
