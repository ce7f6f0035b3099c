"""Packed weights are unpacked into the integers and scales that torchao computed."""

import pytest

from codewatt.errors import CodewattError
from codewatt.models.torchao_weights import Int4Weight, unpack, unpack_by_matmul


def _linear(outputs, inputs, dtype, device="cpu"):
    import torch

    torch.manual_seed(3)
    # A mean that is not zero: a lost offset or midpoint would be seen.
    linear = torch.nn.Linear(inputs, outputs, dtype=dtype, device=device)
    linear.weight.data += 0.3 * linear.weight.abs().max()
    return linear


def _quantised_by_torchao(weight, group_size):
    """What torchao quantises a weight to, before it is packed: (out, in), 0..15."""
    import torch
    from torchao.quantization.quant_primitives import (
        MappingType,
        _choose_qparams_affine_tinygemm,
        _quantize_affine_tinygemm,
    )

    block, kind = [1, group_size], torch.int32
    scale, zero = _choose_qparams_affine_tinygemm(
        weight, MappingType.ASYMMETRIC, block, kind, 0, 15, 1e-6, weight.dtype, weight.dtype
    )
    codes = _quantize_affine_tinygemm(weight, block, scale, zero, kind, 0, 15)
    return codes.to(torch.uint8)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_int8_is_what_the_layer_multiplies_by(dtype):
    import torch
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    linear = _linear(48, 96, getattr(torch, dtype))
    quantize_(linear, Int8WeightOnlyConfig(set_inductor_config=False))
    plain = unpack(linear)
    assert (plain.quantised.dtype, plain.quantised.shape) == (torch.int8, (48, 96))
    assert (plain.scales.dtype, plain.scales.shape) == (torch.float32, (48,))
    assert plain.quantised.abs().amax(dim=1).min() == 127, "each row uses its whole range"
    assert torch.equal(plain.dequantise().to(linear.weight.dtype), linear.weight.dequantize())


def test_fp8_is_what_the_layer_multiplies_by():
    import torch
    from torchao.quantization import Float8WeightOnlyConfig, PerRow, quantize_

    linear = _linear(48, 96, torch.bfloat16)
    quantize_(linear, Float8WeightOnlyConfig(granularity=PerRow(), set_inductor_config=False))
    plain = unpack(linear)
    assert (plain.quantised.dtype, plain.quantised.shape) == (torch.float8_e4m3fn, (48, 96))
    assert (plain.scales.dtype, plain.scales.shape) == (torch.float32, (48,))
    assert torch.equal(plain.dequantise().to(linear.weight.dtype), linear.weight.dequantize())


@pytest.mark.parametrize("outputs", [48, 64, 80])  # whole blocks of the packing and remainders
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("group_size", [32, 64, 128])
def test_int4_of_a_cpu_is_what_torchao_chose(outputs, dtype, group_size):
    import torch
    from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig
    from torchao.quantization import quantize_

    linear = _linear(outputs, 256, getattr(torch, dtype))
    expected = _quantised_by_torchao(linear.weight.detach(), group_size)
    quantize_(
        linear, PrototypeInt4WeightOnlyConfig(group_size=group_size, set_inductor_config=False)
    )
    plain = unpack(linear)
    assert torch.equal(plain.quantised, expected)
    assert plain.scales.shape == plain.zeros.shape == (outputs, 256 // group_size)
    assert plain.scales.dtype == getattr(torch, dtype)
    _equals_the_layer(plain, linear)


def _equals_the_layer(plain, linear):
    """Compare the dequantised weight with the layer's product with the identity."""
    import torch

    weight = linear.weight
    rows = torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)
    product = torch.nn.functional.linear(rows, weight).T.float()
    step = float(torch.finfo(weight.dtype).eps)  # each rounds to its dtype once
    torch.testing.assert_close(plain.dequantise(), product, rtol=step, atol=step / 8)


def test_tiles_are_trimmed_of_their_padding():
    """tinygemm's tiles with a stand-in for its kernel, which packs row by row."""
    import torch
    from torch.library import _scoped_library
    from torchao.quantization import Int4TilePackedTo4dTensor

    outputs, inputs, group_size = 12, 64, 32
    torch.manual_seed(5)
    codes = torch.randint(0, 16, (16, 1024), dtype=torch.int64)
    codes[0, :2] = torch.tensor([0, 15])
    shifts = 4 * torch.arange(8)
    # int32 keeps the lower half of the bits, its sign included.
    packed = (codes.view(-1, 8) << shifts).sum(dim=1).to(torch.int32).view(2, 8, 32, 4)
    scale_and_zero = torch.randn(1024 // group_size, 16, 2, dtype=torch.bfloat16)

    def kernel(rows, tiles, group, scales):
        assert rows.dtype == scales.dtype == torch.bfloat16
        assert rows.shape[1] == 1024
        held = ((tiles.reshape(-1, 1).long() >> shifts) & 15).view(16, 1024)
        wide = scales.permute(2, 1, 0).repeat_interleave(group, dim=2).float()
        weight = (held.float() - 8) * wide[0] + wide[1]
        return (rows.float() @ weight.T).to(torch.bfloat16)

    linear = torch.nn.Linear(inputs, outputs, dtype=torch.bfloat16)
    weight = Int4TilePackedTo4dTensor(packed, scale_and_zero, [1, group_size], [outputs, inputs])
    linear.weight = torch.nn.Parameter(weight, requires_grad=False)
    with _scoped_library("aten", "IMPL") as library:
        library.impl("_weight_int4pack_mm", kernel, "CPU")
        plain = unpack(linear)
        _equals_the_layer(plain, linear)
    assert torch.equal(plain.quantised, codes[:outputs, :inputs].to(torch.uint8))
    assert torch.equal(plain.scales, scale_and_zero[:2, :outputs, 0].T)
    assert torch.equal(plain.zeros, scale_and_zero[:2, :outputs, 1].T)


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="needs a GPU")
@pytest.mark.parametrize("shape", [(12, 64), (256, 3072), (3072, 12288)])
@pytest.mark.parametrize("group_size", [32, 64])
def test_int4_of_a_gpu_is_what_torchao_chose(shape, group_size):
    import torch
    from torchao.quantization import Int4WeightOnlyConfig, quantize_

    linear = _linear(*shape, torch.bfloat16, "cuda")
    expected = _quantised_by_torchao(linear.weight.detach(), group_size)
    config = Int4WeightOnlyConfig(
        group_size=group_size,
        int4_packing_format="tile_packed_to_4d",
        set_inductor_config=False,
    )
    quantize_(linear, config)
    plain = unpack(linear)
    assert torch.equal(plain.quantised, expected)
    assert plain.scales.shape == plain.zeros.shape == (shape[0], shape[1] // group_size)
    _equals_the_layer(plain, linear)


@pytest.mark.parametrize("inputs", [7, 1024, 1030])
def test_quantised_weights_are_read_through_a_matmul(inputs):
    import torch

    torch.manual_seed(9)
    codes = torch.randint(0, 16, (5, inputs))

    def matmul(rows):
        return rows @ (codes - 8).to(rows.dtype).T

    read = unpack_by_matmul(matmul, inputs, torch.float32, "cpu")
    assert torch.equal(read, codes.to(torch.uint8))


@pytest.mark.parametrize("wrong", [8.0, -9.0, 0.5, float("nan")])
def test_products_out_of_range_are_refused(wrong):
    import torch

    def matmul(rows):
        return torch.full((len(rows), 3), wrong)

    with pytest.raises(CodewattError, match="not integers from -8 to 7"):
        unpack_by_matmul(matmul, 4, torch.float32, "cpu")


def test_what_torchao_did_not_pack_is_refused():
    import torch

    with pytest.raises(CodewattError, match="of class Parameter; allowed: Int8Tensor"):
        unpack(torch.nn.Linear(4, 4))


def test_activations_that_are_quantised_as_well_are_refused():
    import torch
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    linear = _linear(32, 64, torch.float32)
    quantize_(linear, Int8DynamicActivationInt8WeightConfig(set_inductor_config=False))
    with pytest.raises(CodewattError, match="act_quant_kwargs; allowed: weight-only"):
        unpack(linear)


def test_a_group_of_equal_weights_is_held_by_its_zeros():
    import torch

    tiny = torch.full((1, 1), torch.finfo(torch.bfloat16).smallest_normal, dtype=torch.bfloat16)
    codes = torch.zeros((1, 32), dtype=torch.uint8)
    weight = Int4Weight(codes, tiny, torch.ones(1, 1, dtype=torch.bfloat16) * 12, 32)
    assert torch.equal(weight.dequantise(), torch.full((1, 32), 12.0))
