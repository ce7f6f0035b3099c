"""GPTQ and AWQ checkpoints made here by rounding, after the formats' own descriptions.

A second writing of what the libraries write: what it packs it also returns, so that a test can say
what a loaded model has to compute.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.models.weight_headers import read_weight_headers
from codewatt.quantise.linear_selection import decoder_matrices

#: The nibble of an AWQ word that holds each of eight neighbouring outputs (AutoAWQ, gemm.py).
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


@dataclass(frozen=True)
class Packing:
    """What a checkpoint is packed as; `form` is its checkpoint_format."""

    method: str = "gptq"
    bits: int = 4
    group_size: int = 32
    act_order: bool = False
    symmetric: bool = True
    form: str = "gptq"

    def says(self) -> dict[str, Any]:
        """The quantization_config of its library."""
        shared = {
            "quant_method": self.method,
            "bits": self.bits,
            "group_size": self.group_size,
        }
        if self.method == "awq":
            return {**shared, "zero_point": not self.symmetric, "version": "gemm"}
        return {
            **shared,
            "desc_act": self.act_order,
            "sym": self.symmetric,
            "checkpoint_format": self.form,
        }


PACKINGS = {
    "gptq4": Packing(),
    "gptq4-row": Packing(group_size=-1),
    "gptq4-order": Packing(act_order=True),
    "gptq4-zeros": Packing(symmetric=False, form="gptq_v2"),
    "gptq8": Packing(bits=8),
    "gptq8-row": Packing(bits=8, group_size=-1),
    "awq": Packing("awq", symmetric=False, form="gemm"),
}


def save_packed(
    source: Path, target: Path, packing: Packing, scaled: dict[str, Any] | None = None
) -> Path:
    """Write a packed checkpoint of a model; returns a directory of what it stands for, unpacked.

    Args:
        scaled: activation -> scales, of which each divides its outputs; the caller has the layer
            after it multiplied by them.
    """
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(source / "model.safetensors")
    unpacked = dict(tensors)
    for number, name in enumerate(decoder_matrices(read_weight_headers(source))):
        weight = tensors.pop(f"{name}.weight")
        parts, meant = round_matrix(weight, packing, seed=number)
        tensors |= {f"{name}.{part}": tensor.contiguous() for part, tensor in parts.items()}
        unpacked[f"{name}.weight"] = meant.contiguous()
    for name, scales in (scaled or {}).items():
        tensors[f"{name}.scales"] = scales
    shutil.copytree(source, target)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    configuration = json.loads((target / "config.json").read_text())
    said = {**configuration, "quantization_config": packing.says()}
    (target / "config.json").write_text(json.dumps(said))
    reference = target.with_name(target.name + "-unpacked")
    shutil.copytree(source, reference)
    save_file(unpacked, reference / "model.safetensors", metadata={"format": "pt"})
    assert all(torch.isfinite(tensor).all() for tensor in unpacked.values())
    return reference


def round_matrix(weight: Any, packing: Packing, seed: int = 0) -> tuple[dict[str, Any], Any]:
    """The tensors of one layer, and the weight that they stand for, float32 (out, in)."""
    import torch

    outs, ins = weight.shape
    size = ins if packing.group_size == -1 else packing.group_size
    groups = torch.arange(ins) // size
    if packing.act_order:
        groups = groups[torch.randperm(ins, generator=torch.Generator().manual_seed(seed))]
    top = 2**packing.bits - 1
    scales, zeros = [], []
    for group in range(ins // size):
        part = weight[:, groups == group]
        if packing.symmetric:
            scales.append(part.abs().amax(dim=1) * 2 / top)
            zeros.append(torch.full((outs,), 2 ** (packing.bits - 1)))
        else:
            low, high = part.amin(dim=1), part.amax(dim=1)
            scales.append((high - low) / top)
            zeros.append((-low / scales[-1]).round().clamp(0, top).to(torch.int64))
    scale, zero = torch.stack(scales).half(), torch.stack(zeros)  # (groups, out)
    wide = scale.float()[groups].T
    codes = ((weight / wide).round() + zero[groups].T).clamp(0, top).to(torch.int64)
    meant = (codes - zero[groups].T) * wide
    if packing.method == "awq":
        parts = {"qweight": _awq_words(codes.T), "qzeros": _awq_words(zero)}
        return {**parts, "scales": scale}, meant
    stored = zero - 1 if packing.form == "gptq" else zero
    parts = {
        "qweight": _words(codes, packing.bits).T,
        "qzeros": _words(stored, packing.bits),
        "scales": scale,
        "g_idx": groups.to(torch.int32),
    }
    return parts, meant


def _words(codes: Any, bits: int) -> Any:
    """(n, m) codes as (n, m * bits / 32) int32 words, the first at a word's end."""
    import torch

    per_word = 32 // bits
    words = torch.zeros(len(codes), codes.shape[1] // per_word, dtype=torch.int64)
    for place in range(per_word):
        words |= codes[:, place::per_word] << (bits * place)
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def _awq_words(codes: Any) -> Any:
    """(n, out) 4-bit codes as (n, out / 8) int32 words."""
    shuffled = codes.unflatten(1, (-1, 8))[..., AWQ_ORDER].flatten(1)
    return _words(shuffled, 4)
