"""Products of one row.

At batch 1 a product reads each weight once for one multiplication, so its time is that of reading.
A library's matrix product is made for more rows: it starts too few blocks and reads with pauses.
Here a block asks for all the weights of a few outputs at once, and for those of its next outputs
while it multiplies. What stands before and after a product (norm, bias, activation, gate, residual)
is done in it, as a launch of its own takes as long as reading ten megabytes.

A norm before a product needs the mean and deviation of the whole row, which each block would wait
for. Instead it sums them beside its product and puts them in at the end: with g the norm's weight,
m the mean, s the deviation, W (g (x - m) / s + b) = (W (g x) - m (W g)) / s + W b, where W g and
W b are known beforehand.
"""

import triton
import triton.language as tl

from codewatt.generate.static.kernels.activations import (
    EIGHT_BIT,
    LAYER_NORM,
    NO_NORM,
    RMS_NORM,
    activated,
)


@triton.jit
def _moments(s1, s2, inputs: tl.constexpr, eps: tl.constexpr, norm: tl.constexpr):
    """Mean and inverse deviation from the sums of x and x^2."""
    mean = 0.0
    inverse = 1.0
    if norm != NO_NORM:
        mean = tl.sum(s1) / inputs
        inverse = tl.rsqrt(tl.sum(s2) / inputs - mean * mean + eps)
    return mean, inverse


@triton.jit
def _finish(
    total, rows, inside, mean, inverse, sums, bias,
    norm: tl.constexpr, has_bias: tl.constexpr,
):  # fmt: skip
    """A product's row with its norm and bias put in."""
    if norm == LAYER_NORM:
        total = (total - mean * tl.load(sums + rows, mask=inside, other=0.0)) * inverse
    if norm == RMS_NORM:
        total = total * inverse
    if has_bias:
        total += tl.load(bias + rows, mask=inside, other=0.0).to(tl.float32)
    return total


@triton.jit
def _row_of_input(
    x, gamma, inputs: tl.constexpr, norm: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """The input in tiles, times the norm's weight, and the sums of x and x^2."""
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
def _weights(w, row, features: tl.constexpr, inputs: tl.constexpr, ROWS: tl.constexpr,
             COLUMNS: tl.constexpr):  # fmt: skip
    """Rows of weights, or of words, in tiles; nothing is read past the last row."""
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
    """Float32 (ROWS,) of tiles of weights or 8-bit codes, and tiles of the input."""
    acc = tl.zeros([ROWS, COLUMNS], tl.float32)
    for first in tl.static_range(0, inputs, COLUMNS):
        acc += weights[first // COLUMNS].to(tl.float32) * values[first // COLUMNS][None, :]
    return tl.sum(acc, axis=1)


@triton.jit
def product(
    x, w, scale, sums, bias, gamma, residual, out,
    features: tl.constexpr, inputs: tl.constexpr, eps: tl.constexpr,
    kind: tl.constexpr, norm: tl.constexpr, activation: tl.constexpr, gated: tl.constexpr,
    has_bias: tl.constexpr, has_residual: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCKS: tl.constexpr, TURNS: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """out (features,) of one row x (inputs,): weights or 8-bit codes w, row-major.

    A block keeps the input in registers and takes ROWS outputs at each of TURNS turns; the weights
    of the next turn are on their way while it multiplies those of this one.
    """
    # Weights do not depend on the kernel before: the first are asked for while that one ends.
    row = tl.program_id(0) * ROWS
    weights = _weights(w, row, features, inputs, ROWS, COLUMNS)
    if gated:
        second = w + features * inputs
        seconds = _weights(second, row, features, inputs, ROWS, COLUMNS)
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    values, s1, s2 = _row_of_input(x, gamma, inputs, norm, COLUMNS)
    mean, inverse = _moments(s1, s2, inputs, eps, norm)
    for _ in range(TURNS):
        rows = row + tl.arange(0, ROWS)
        inside = rows < features
        row += BLOCKS * ROWS
        if TURNS > 1:
            coming = _weights(w, row, features, inputs, ROWS, COLUMNS)
        total = _dot(weights, values, inputs, ROWS, COLUMNS)
        if TURNS > 1:
            weights = coming
        if kind == EIGHT_BIT:
            total *= tl.load(scale + rows, mask=inside, other=0.0)
        total = _finish(total, rows, inside, mean, inverse, sums, bias, norm, has_bias)
        total = activated(total, activation)
        if gated:
            if TURNS > 1:
                coming = _weights(second, row, features, inputs, ROWS, COLUMNS)
            other = _dot(seconds, values, inputs, ROWS, COLUMNS)
            if TURNS > 1:
                seconds = coming
            if kind == EIGHT_BIT:
                other *= tl.load(scale + features + rows, mask=inside, other=0.0)
            total *= _finish(
                other, features + rows, inside, mean, inverse, sums, bias, norm, has_bias
            )
        if has_residual:
            total += tl.load(residual + rows, mask=inside, other=0.0).to(tl.float32)
        tl.store(out + rows, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _one_and(words, nibble: tl.constexpr, ASM: tl.constexpr):
    """1 + code * 2^-11 of an even nibble of int32 words, 1 + code * 2^-7 of an odd one.

    By the bits of a float: a code that is put into the fraction of 1 needs no conversion. The sum
    of the ones is taken off afterwards, which costs up to 2^-24 * 2^11 = 2^-13 of the summands: a
    sixteenth of what rounding the input to bfloat16 does. ASM: one instruction for both.
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
def _row_of_codes_input(
    x, gamma, inputs: tl.constexpr, group: tl.constexpr, norm: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """The input in tiles as the nibbles of int32 words lie, and what the ones come to.

    Returns:
        Tiles (COLUMNS,) of the scaled input, eight for each tile of words; for each tile of words
        the sum of its inputs, and what to take off its product with `_one_and`; sums of x and x^2.
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
        # An int32 word is two int16 words: neighbours of the same nibble.
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
def _dot_of_codes(
    words, values, totals, offs, scale, zero, row,
    features: tl.constexpr, inputs: tl.constexpr,
    group: tl.constexpr, has_zero: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    ASM: tl.constexpr,
):  # fmt: skip
    """Float32 (ROWS,) of tiles of int32 words and tiles of the input."""
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
            dot += _one_and(word, nibble, ASM) * value
        acc += (dot - offs[first // COLUMNS][None, :]) * factor
        if has_zero:
            offset = tl.load(zero + at, mask=mask, other=0.0).to(tl.float32)
            acc += offset * totals[first // COLUMNS][None, :]
    return tl.sum(acc, axis=1)


@triton.jit
def product_of_codes(
    x, words, scale, zero, sums, bias, gamma, residual, out,
    features: tl.constexpr, inputs: tl.constexpr, eps: tl.constexpr, group: tl.constexpr,
    norm: tl.constexpr, activation: tl.constexpr, gated: tl.constexpr,
    has_bias: tl.constexpr, has_residual: tl.constexpr, has_zero: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCKS: tl.constexpr, TURNS: tl.constexpr,
    ASM: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """As `product`, of 4-bit codes in groups; words are int32, COLUMNS counts them.

    Args:
        scale, zero: (features, inputs / group); zero if has_zero.
    """
    row = tl.program_id(0) * ROWS
    read = _weights(words, row, features, inputs // 8, ROWS, COLUMNS)
    if gated:
        second = words + features * (inputs // 8)
        second_scale = scale + features * (inputs // group)
        second_zero = zero
        if has_zero:
            second_zero = zero + features * (inputs // group)
        seconds = _weights(second, row, features, inputs // 8, ROWS, COLUMNS)
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    values, totals, offs, s1, s2 = _row_of_codes_input(x, gamma, inputs, group, norm, COLUMNS)
    mean, inverse = _moments(s1, s2, inputs, eps, norm)
    for _ in range(TURNS):
        now = row
        rows = row + tl.arange(0, ROWS)
        inside = rows < features
        row += BLOCKS * ROWS
        if TURNS > 1:
            coming = _weights(words, row, features, inputs // 8, ROWS, COLUMNS)
        total = _dot_of_codes(
            read, values, totals, offs, scale, zero, now, features, inputs, group, has_zero,
            ROWS, COLUMNS, ASM,
        )  # fmt: skip
        if TURNS > 1:
            read = coming
        total = _finish(total, rows, inside, mean, inverse, sums, bias, norm, has_bias)
        total = activated(total, activation)
        if gated:
            if TURNS > 1:
                coming = _weights(second, row, features, inputs // 8, ROWS, COLUMNS)
            other = _dot_of_codes(
                seconds, values, totals, offs, second_scale, second_zero, now, features,
                inputs, group, has_zero, ROWS, COLUMNS, ASM,
            )  # fmt: skip
            if TURNS > 1:
                seconds = coming
            total *= _finish(
                other, features + rows, inside, mean, inverse, sums, bias, norm, has_bias
            )
        if has_residual:
            total += tl.load(residual + rows, mask=inside, other=0.0).to(tl.float32)
        tl.store(out + rows, total.to(out.dtype.element_ty), mask=inside)
