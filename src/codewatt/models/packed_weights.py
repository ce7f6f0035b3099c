"""Unpacking of GPTQ and AWQ layers (qweight, qzeros, scales) into plain integers and scales."""

from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.torchao_weights import INT4_MIDPOINT, EightBitWeight, Int4Weight

_INT8_MIDPOINT = 128
#: Nibble of an AWQ int32, counted from its low bits, that holds each of eight adjacent outputs.
_AWQ_NIBBLES = (0, 4, 1, 5, 2, 6, 3, 7)
#: Group sizes that kernels take; where a layer has one scale per output, it is repeated for groups.
_KERNEL_GROUP_SIZES = (128, 64, 32)


def is_packed(linear: Any) -> bool:
    """Whether a layer is a GPTQ or AWQ layer with its tensors as the checkpoint stores them."""
    return type(linear).__name__ in ("TorchLinear", "AwqTorchLinear")


def unpack_layer(linear: Any) -> EightBitWeight | Int4Weight | None:
    """Unpack the weight of a GPTQ or AWQ layer.

    Args:
        linear: a layer for which `is_packed` is true.

    Returns:
        The weight; None for layouts that no kernel here reads: groups in the order of activations
        (act_order), 8 bits in groups, and 8 bits with zero points other than 128.

    Raises:
        CodewattError: the layer is not a packed one.
    """
    if not is_packed(linear):
        raise CodewattError(
            f"cannot unpack a layer of class {type(linear).__name__}; allowed: TorchLinear (GPTQ), "
            "AwqTorchLinear (AWQ)"
        )
    if type(linear).__name__ == "AwqTorchLinear":
        quantised, zero_points = _unpack_awq(linear.qweight), _unpack_awq(linear.qzeros)
    else:
        if not _groups_in_order(linear.g_idx, linear.scales.shape[0]):
            return None
        quantised = _unpack_gptq(linear.qweight.T, linear.bits).T
        zero_points = _unpack_gptq(linear.qzeros, linear.bits)
    if linear.bits == 8:
        return _eight_bit_weight(quantised, zero_points, linear.scales)
    return _int4_weight(quantised, zero_points, linear.scales)


def _unpack_gptq(packed: Any, bits: int) -> Any:
    """Int32 (n, m) as int32 (n, m * 32 / bits), the low bits first."""
    import torch

    shifts = torch.arange(0, 32, bits, dtype=torch.int32, device=packed.device)
    return ((packed[..., None] >> shifts) & ((1 << bits) - 1)).flatten(-2)


def _unpack_awq(packed: Any) -> Any:
    """AWQ's int32 (n, out / 8) as int32 (n, out)."""
    import torch

    nibbles = torch.tensor(_AWQ_NIBBLES, dtype=torch.int32, device=packed.device)
    return ((packed[..., None] >> (4 * nibbles)) & 15).flatten(-2)


def _groups_in_order(g_idx: Any, groups: int) -> bool:
    """Whether each group is a run of adjacent inputs; g_idx is (in,), the group of each input."""
    import torch

    inputs = len(g_idx)
    in_order = torch.arange(inputs, device=g_idx.device) // -(-inputs // groups)
    return bool((g_idx == in_order).all())


def _eight_bit_weight(quantised: Any, zero_points: Any, scales: Any) -> EightBitWeight | None:
    """See `unpack_layer`; quantised is (in, out), zero points and scales are (groups, out)."""
    import torch

    if len(scales) > 1 or bool((zero_points != _INT8_MIDPOINT).any()):
        return None
    signed = (quantised - _INT8_MIDPOINT).to(torch.int8)
    return EightBitWeight(signed.T.contiguous(), scales[0].float())


def _int4_weight(quantised: Any, zero_points: Any, scales: Any) -> Int4Weight | None:
    """See `unpack_layer`; quantised is (in, out), zero points and scales are (groups, out)."""
    import torch

    group_size = len(quantised) // len(scales)
    zeros = None
    if bool((zero_points != INT4_MIDPOINT).any()):
        zeros = (INT4_MIDPOINT - zero_points).float() * scales.float()  # exact
    if len(scales) == 1:
        sizes = (size for size in _KERNEL_GROUP_SIZES if len(quantised) % size == 0)
        group_size = next(sizes, group_size)
        scales = scales.expand(len(quantised) // group_size, -1)
        zeros = None if zeros is None else zeros.expand(len(quantised) // group_size, -1)
    return Int4Weight(
        quantised.T.to(torch.uint8).contiguous(),
        scales.T.contiguous(),
        None if zeros is None else zeros.T.contiguous(),
        group_size,
    )
