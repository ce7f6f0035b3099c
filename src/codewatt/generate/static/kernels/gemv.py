"""GEMV: linear layers of one row, for dense and quantised weights.

At batch 1 a linear layer reads each weight once for one multiplication, so its time is the time of
reading. A library's GEMM is made for more rows: it starts too few blocks and reads with pauses.
Here a block loads all the weights of a few outputs at once, and those of its next outputs while it
multiplies. Norm, bias, activation, gate and residual are fused into the kernel, because a separate
launch takes as long as reading ten megabytes.

A norm before the layer needs mean and standard deviation of the whole row, and each block would
wait for them. Instead each block accumulates them beside its dot products and applies them at the
end: with norm weight g, norm bias b, mean m and standard deviation s,
W (g (x - m) / s + b) = (W (g x) - m (W g)) / s + W b, where W g and W b are computed beforehand.
"""

import triton
import triton.language as tl

from codewatt.generate.static.kernels.activations import (
    EIGHT_BIT,
    LAYER_NORM,
    NO_NORM,
    RMS_NORM,
    apply_activation,
)


@triton.jit
def _moments(s1, s2, inputs: tl.constexpr, eps: tl.constexpr, norm: tl.constexpr):
    """Mean and inverse standard deviation from the sums of x and x^2."""
    mean = 0.0
    inverse = 1.0
    if norm != NO_NORM:
        mean = tl.sum(s1) / inputs
        inverse = tl.rsqrt(tl.sum(s2) / inputs - mean * mean + eps)
    return mean, inverse


@triton.jit
def _apply_norm_and_bias(
    total, rows, inside, mean, inverse, sums, bias,
    norm: tl.constexpr, has_bias: tl.constexpr,
):  # fmt: skip
    """Apply norm and bias to dot products (ROWS,); sums is W g, bias includes W b."""
    if norm == LAYER_NORM:
        total = (total - mean * tl.load(sums + rows, mask=inside, other=0.0)) * inverse
    if norm == RMS_NORM:
        total = total * inverse
    if has_bias:
        total += tl.load(bias + rows, mask=inside, other=0.0).to(tl.float32)
    return total


@triton.jit
def _load_input(
    x, gamma, inputs: tl.constexpr, norm: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """The input in tiles, multiplied by the norm's weight; and the sums of x and x^2."""
    tiles = ()
    s1 = tl.zeros([COLUMNS], tl.float32)
    s2 = tl.zeros([COLUMNS], tl.float32)
    for first in tl.static_range(0, inputs, COLUMNS):
        columns = first + tl.arange(0, COLUMNS)
        value = tl.load(x + columns, mask=columns < inputs, other=0.0).to(tl.float32)
        if norm != NO_NORM:
            if norm == LAYER_NORM:
                s1 += value
            s2 += value * value
            value *= tl.load(gamma + columns, mask=columns < inputs, other=0.0).to(tl.float32)
        tiles += (value,)
    return tiles, s1, s2


@triton.jit
def _load_weights(w, row, features: tl.constexpr, inputs: tl.constexpr, ROWS: tl.constexpr,
             COLUMNS: tl.constexpr):  # fmt: skip
    """Tiles of ROWS rows of weights (int32 words if 4-bit); no row past the last is read."""
    rows = row + tl.arange(0, ROWS)
    at = rows.to(tl.int64)[:, None] * inputs
    tiles = ()
    for first in tl.static_range(0, inputs, COLUMNS):
        columns = first + tl.arange(0, COLUMNS)
        mask = (rows < features)[:, None]
        if inputs % COLUMNS != 0:
            mask = mask & (columns < inputs)[None, :]
        tiles += (
            tl.load(w + at + columns[None, :], mask=mask, other=0.0, eviction_policy="evict_first"),
        )
    return tiles


@triton.jit
def _dot(weights, values, inputs: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Float32 dot products (ROWS,) of tiles of dense or 8-bit weights and tiles of the input."""
    acc = tl.zeros([ROWS, COLUMNS], tl.float32)
    for first in tl.static_range(0, inputs, COLUMNS):
        acc += weights[first // COLUMNS].to(tl.float32) * values[first // COLUMNS][None, :]
    return tl.sum(acc, axis=1)


@triton.jit
def gemv(
    x, w, scale, sums, bias, gamma, residual, out,
    features: tl.constexpr, inputs: tl.constexpr, eps: tl.constexpr,
    kind: tl.constexpr, norm: tl.constexpr, activation: tl.constexpr, gated: tl.constexpr,
    has_bias: tl.constexpr, has_residual: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCKS: tl.constexpr, TURNS: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """out (features,) = w @ x for one row x (inputs,).

    A block keeps the input in registers and computes ROWS outputs in each of TURNS turns; the
    weights of the next turn are loaded while it multiplies those of this one.

    Args:
        w: unquantised or 8-bit weights (features, inputs), row-major; if gated, those of the gate
            and then as many of the layer that it gates.
        scale: (features,) for 8-bit weights.
        sums, bias: W g, and W b plus the layer's bias; float32 (features,); see the module.
        gamma: weight of the norm, (inputs,).
        residual: (features,), added at the end.
    """
    # Weights do not depend on the previous kernel: load the first while that one ends.
    row = tl.program_id(0) * ROWS
    weights = _load_weights(w, row, features, inputs, ROWS, COLUMNS)
    if gated:
        second = w + features * inputs
        seconds = _load_weights(second, row, features, inputs, ROWS, COLUMNS)
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    values, s1, s2 = _load_input(x, gamma, inputs, norm, COLUMNS)
    mean, inverse = _moments(s1, s2, inputs, eps, norm)
    for _ in range(TURNS):
        rows = row + tl.arange(0, ROWS)
        inside = rows < features
        row += BLOCKS * ROWS
        if TURNS > 1:
            coming = _load_weights(w, row, features, inputs, ROWS, COLUMNS)
        total = _dot(weights, values, inputs, ROWS, COLUMNS)
        if TURNS > 1:
            weights = coming
        if kind == EIGHT_BIT:
            total *= tl.load(scale + rows, mask=inside, other=0.0)
        total = _apply_norm_and_bias(total, rows, inside, mean, inverse, sums, bias, norm, has_bias)
        total = apply_activation(total, activation)
        if gated:
            if TURNS > 1:
                coming = _load_weights(second, row, features, inputs, ROWS, COLUMNS)
            other = _dot(seconds, values, inputs, ROWS, COLUMNS)
            if TURNS > 1:
                seconds = coming
            if kind == EIGHT_BIT:
                other *= tl.load(scale + features + rows, mask=inside, other=0.0)
            total *= _apply_norm_and_bias(
                other, features + rows, inside, mean, inverse, sums, bias, norm, has_bias
            )
        if has_residual:
            total += tl.load(residual + rows, mask=inside, other=0.0).to(tl.float32)
        tl.store(out + rows, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _nibble_as_float(words, nibble: tl.constexpr, ASM: tl.constexpr):
    """1 + q * 2^-11 for the q in an even nibble of int32 words, 1 + q * 2^-7 in an odd one.

    Putting q into the fraction bits of the float 1 needs no conversion. The sum of the ones is
    subtracted afterwards, with an error up to 2^-24 * 2^11 = 2^-13 of the summands: a sixteenth of
    the error of rounding the input to bfloat16. ASM: one instruction masks and sets the bits.
    """
    if nibble < 2:
        words = words << 12
    elif nibble < 4:
        words = words << 4
    elif nibble < 6:
        words = words >> 4
    else:
        words = words >> 12
    if nibble % 2 == 0:
        if ASM:
            bits = tl.inline_asm_elementwise(
                "lop3.b32 $0, $1, 0x0000F000, 0x3F800000, 0xEA;",
                "=r,r", [words], dtype=tl.int32, is_pure=True, pack=1,
            )  # fmt: skip
        else:
            bits = (words & 0xF000) | 0x3F800000
    else:
        if ASM:
            bits = tl.inline_asm_elementwise(
                "lop3.b32 $0, $1, 0x000F0000, 0x3F800000, 0xEA;",
                "=r,r", [words], dtype=tl.int32, is_pure=True, pack=1,
            )  # fmt: skip
        else:
            bits = (words & 0xF0000) | 0x3F800000
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def _load_input_int4(
    x, gamma, inputs: tl.constexpr, group: tl.constexpr, norm: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """The input in tiles in the order of the nibbles of int32 words.

    Returns:
        Tiles (COLUMNS,) of the scaled input, eight for each tile of words; for each tile of words
        the sum of its inputs, and what to subtract from its dot product with `_nibble_as_float`;
        sums of x and x^2.
    """
    words: tl.constexpr = group // 8
    tiles = ()
    totals = ()
    offs = ()
    s1 = tl.zeros([COLUMNS], tl.float32)
    s2 = tl.zeros([COLUMNS], tl.float32)
    for first in tl.static_range(0, inputs // 8, COLUMNS):
        column = first + tl.arange(0, COLUMNS)
        inside = column < inputs // 8
        # An int32 holds two adjacent int16: for each nibble, two adjacent inputs.
        element = (column // words) * group + (column % words) * 2
        total = tl.zeros([COLUMNS], tl.float32)
        off = tl.zeros([COLUMNS], tl.float32)
        for nibble in tl.static_range(8):
            at = element + (nibble % 4) * (group // 4) + nibble // 4
            value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
            if norm != NO_NORM:
                if norm == LAYER_NORM:
                    s1 += value
                s2 += value * value
                value *= tl.load(gamma + at, mask=inside, other=0.0).to(tl.float32)
            total += value
            value *= 2048.0 if nibble % 2 == 0 else 128.0
            off += value
            tiles += (value,)
        totals += (total,)
        offs += (off + 8.0 * total,)
    return tiles, totals, offs, s1, s2


@triton.jit
def _dot_int4(
    words, values, totals, offs, scale, zero, row,
    features: tl.constexpr, inputs: tl.constexpr,
    group: tl.constexpr, has_zero: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    ASM: tl.constexpr,
):  # fmt: skip
    """Float32 dot products (ROWS,) of tiles of int32 words and tiles of the input."""
    acc = tl.zeros([ROWS, COLUMNS], tl.float32)
    rows = row + tl.arange(0, ROWS)
    for first in tl.static_range(0, inputs // 8, COLUMNS):
        word = words[first // COLUMNS]
        column = first + tl.arange(0, COLUMNS)
        mask = (rows < features)[:, None] & (column < inputs // 8)[None, :]
        at = rows[:, None] * (inputs // group) + (column // (group // 8))[None, :]
        factor = tl.load(scale + at, mask=mask, other=0.0).to(tl.float32)
        dot = tl.zeros([ROWS, COLUMNS], tl.float32)
        for nibble in tl.static_range(8):
            value = values[first // COLUMNS * 8 + nibble][None, :]
            dot += _nibble_as_float(word, nibble, ASM) * value
        acc += (dot - offs[first // COLUMNS][None, :]) * factor
        if has_zero:
            offset = tl.load(zero + at, mask=mask, other=0.0).to(tl.float32)
            acc += offset * totals[first // COLUMNS][None, :]
    return tl.sum(acc, axis=1)


@triton.jit
def gemv_int4(
    x, qweight, scale, zero, sums, bias, gamma, residual, out,
    features: tl.constexpr, inputs: tl.constexpr, eps: tl.constexpr, group: tl.constexpr,
    norm: tl.constexpr, activation: tl.constexpr, gated: tl.constexpr,
    has_bias: tl.constexpr, has_residual: tl.constexpr, has_zero: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCKS: tl.constexpr, TURNS: tl.constexpr,
    ASM: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """As `gemv`, for 4-bit weights in groups; COLUMNS counts int32 words.

    Args:
        qweight: packed by `pack_int4`, seen as int32 (features, inputs / 8).
        scale: (features, inputs / group).
        zero: as scale, if has_zero; added after scaling.
    """
    row = tl.program_id(0) * ROWS
    read = _load_weights(qweight, row, features, inputs // 8, ROWS, COLUMNS)
    if gated:
        second = qweight + features * (inputs // 8)
        second_scale = scale + features * (inputs // group)
        second_zero = zero
        if has_zero:
            second_zero = zero + features * (inputs // group)
        seconds = _load_weights(second, row, features, inputs // 8, ROWS, COLUMNS)
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    values, totals, offs, s1, s2 = _load_input_int4(x, gamma, inputs, group, norm, COLUMNS)
    mean, inverse = _moments(s1, s2, inputs, eps, norm)
    for _ in range(TURNS):
        now = row
        rows = row + tl.arange(0, ROWS)
        inside = rows < features
        row += BLOCKS * ROWS
        if TURNS > 1:
            coming = _load_weights(qweight, row, features, inputs // 8, ROWS, COLUMNS)
        total = _dot_int4(
            read, values, totals, offs, scale, zero, now, features, inputs, group, has_zero,
            ROWS, COLUMNS, ASM,
        )  # fmt: skip
        if TURNS > 1:
            read = coming
        total = _apply_norm_and_bias(total, rows, inside, mean, inverse, sums, bias, norm, has_bias)
        total = apply_activation(total, activation)
        if gated:
            if TURNS > 1:
                coming = _load_weights(second, row, features, inputs // 8, ROWS, COLUMNS)
            other = _dot_int4(
                seconds, values, totals, offs, second_scale, second_zero, now, features,
                inputs, group, has_zero, ROWS, COLUMNS, ASM,
            )  # fmt: skip
            if TURNS > 1:
                seconds = coming
            total *= _apply_norm_and_bias(
                other, features + rows, inside, mean, inverse, sums, bias, norm, has_bias
            )
        if has_residual:
            total += tl.load(residual + rows, mask=inside, other=0.0).to(tl.float32)
        tl.store(out + rows, total.to(out.dtype.element_ty), mask=inside)
