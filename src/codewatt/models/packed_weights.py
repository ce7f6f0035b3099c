"""GPTQ's and AWQ's packed layers as plain integers and scales."""

from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.torchao_weights import INT4_MIDPOINT, EightBitWeight, Int4Weight

_INT8_MIDPOINT = 128
# Where in an AWQ word each of eight neighbouring outputs stands, counted in codes from its end.
_AWQ_PLACES = (0, 4, 1, 5, 2, 6, 3, 7)
_GROUPS = (128, 64, 32)  # that one scale an output is repeated for, as kernels take groups


def is_packed(linear: Any) -> bool:
    """Whether a layer is GPTQ's or AWQ's, with its tensors as the checkpoint has them."""
    return type(linear).__name__ in ("TorchLinear", "AwqTorchLinear")


def unpack_layer(linear: Any) -> EightBitWeight | Int4Weight | None:
    """The plain content of a packed layer; None if it is more than codes with scales.

    That is so of groups that follow the order of activations, of 8-bit codes in groups, and of
    8-bit codes whose zero points are not all in the middle.

    Args:
        linear: see `is_packed`.

    Raises:
        CodewattError: the layer is another one.
    """
    if not is_packed(linear):
        raise CodewattError(f"a layer of type {type(linear).__name__} is not packed as GPTQ or AWQ")
    if type(linear).__name__ == "AwqTorchLinear":
        codes, zeros = _outputs_of_words(linear.qweight), _outputs_of_words(linear.qzeros)
    else:
        if not _in_order(linear.g_idx, linear.scales.shape[0]):
            return None
        codes = _codes(linear.qweight.T, linear.bits).T
        zeros = _codes(linear.qzeros, linear.bits)
    if linear.bits == 8:
        return _int8(codes, zeros, linear.scales)
    return _int4(codes, zeros, linear.scales)


def _codes(words: Any, bits: int) -> Any:
    """(n, m) int32 words as (n, m * 32 / bits) codes, the first at the words' end."""
    import torch

    shifts = torch.arange(0, 32, bits, dtype=torch.int32, device=words.device)
    return ((words[..., None] >> shifts) & ((1 << bits) - 1)).flatten(-2)


def _outputs_of_words(words: Any) -> Any:
    """AWQ's (n, out / 8) int32 words as (n, out) codes."""
    import torch

    places = torch.tensor(_AWQ_PLACES, dtype=torch.int32, device=words.device)
    return ((words[..., None] >> (4 * places)) & 15).flatten(-2)


def _in_order(groups_of_inputs: Any, groups: int) -> bool:
    """Whether each group is a run of inputs, one after the other."""
    import torch

    inputs = len(groups_of_inputs)
    plain = torch.arange(inputs, device=groups_of_inputs.device) // -(-inputs // groups)
    return bool((groups_of_inputs == plain).all())


def _int8(codes: Any, zeros: Any, scales: Any) -> EightBitWeight | None:
    import torch

    if len(scales) > 1 or bool((zeros != _INT8_MIDPOINT).any()):
        return None
    shifted = (codes - _INT8_MIDPOINT).to(torch.int8)
    return EightBitWeight(shifted.T.contiguous(), scales[0].float())


def _int4(codes: Any, zeros: Any, scales: Any) -> Int4Weight | None:
    import torch

    group = len(codes) // len(scales)
    offsets = None
    if bool((zeros != INT4_MIDPOINT).any()):
        offsets = (INT4_MIDPOINT - zeros).float() * scales.float()  # exact
    if len(scales) == 1:
        group = next((size for size in _GROUPS if len(codes) % size == 0), group)
        scales = scales.expand(len(codes) // group, -1)
        offsets = None if offsets is None else offsets.expand(len(codes) // group, -1)
    return Int4Weight(
        codes.T.to(torch.uint8).contiguous(),
        scales.T.contiguous(),
        None if offsets is None else offsets.T.contiguous(),
        group,
    )
