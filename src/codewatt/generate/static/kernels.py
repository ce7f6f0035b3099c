"""Kernels of products of one row and of few, and of one token's attention, in Triton.

At batch 1 a product reads each weight once for one multiplication, so its time is that of reading.
A library's matrix product is made for more rows: it starts too few blocks and reads with pauses.
Here a block asks for all the weights of a few outputs at once, and for those of its next outputs
while it multiplies. What stands before and after a product (norm, bias, activation, gate, residual)
is done in it, as a launch of its own takes as long as reading ten megabytes. Few rows, and large
products of codes, go through the matrix units (`product_of_rows`).

A norm before a product needs the mean and deviation of the whole row, which each block would wait
for. Instead it sums them beside its product and puts them in at the end: with g the norm's weight,
m the mean, s the deviation, W (g (x - m) / s + b) = (W (g x) - m (W g)) / s + W b, where W g and
W b are known beforehand.
"""

import triton
import triton.language as tl

NO_NORM, LAYER_NORM, RMS_NORM = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
DENSE, INT8, FOUR_BIT = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@triton.jit
def _tanh(x):
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def _activated(x, activation: tl.constexpr):
    if activation == "gelu_tanh":
        return 0.5 * x * (1 + _tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))
    if activation == "gelu":
        return 0.5 * x * (1 + tl.erf(x * 0.7071067811865476))
    if activation == "silu":
        return x * tl.sigmoid(x)
    if activation == "relu":
        return tl.maximum(x, 0.0)
    return x


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
            tl.load(w + at + columns[None, :], mask=mask, other=0, eviction_policy="evict_first"),
        )
    return tiles


@triton.jit
def _dot(weights, values, inputs: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Float32 (ROWS,) of tiles of weights or int8 codes, and tiles of the input."""
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
    """out (features,) of one row x (inputs,): weights or int8 codes w, row-major.

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
        if kind == INT8:
            total *= tl.load(scale + rows, mask=inside, other=0.0)
        total = _finish(total, rows, inside, mean, inverse, sums, bias, norm, has_bias)
        total = _activated(total, activation)
        if gated:
            if TURNS > 1:
                coming = _weights(second, row, features, inputs, ROWS, COLUMNS)
            other = _dot(seconds, values, inputs, ROWS, COLUMNS)
            if TURNS > 1:
                seconds = coming
            if kind == INT8:
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
        total = _activated(total, activation)
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


@triton.jit
def _plane(words, nibble: tl.constexpr, kind, ASM: tl.constexpr):
    """code - 8 of one nibble of int16 words.

    ASM: two codes at a time become bfloat16 by their bits alone: put into the low bits of 128 they
    are that number plus the code, exactly.
    """
    if not ASM:
        return (((words.to(tl.int32) >> (4 * nibble)) & 15) - 8).to(kind)
    if nibble == 0:
        return _codes_of_pairs(words, "mov.b32 t, $1;")
    if nibble == 1:
        return _codes_of_pairs(words, "shr.u32 t, $1, 4;")
    if nibble == 2:
        return _codes_of_pairs(words, "shr.u32 t, $1, 8;")
    return _codes_of_pairs(words, "shr.u32 t, $1, 12;")


@triton.jit
def _expect(pointers):
    """Have lines of memory brought to the cache that all multiprocessors share."""
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.b32 $0, 0;", "=r,l", [pointers], dtype=tl.int32,
        is_pure=False, pack=1,
    )  # fmt: skip


@triton.jit
def _codes_of_pairs(words, shift: tl.constexpr):
    """See `_plane`: ((w & 15) | 128's bits) - 136, of both halves of a register."""
    return tl.inline_asm_elementwise(
        "{ .reg .b32 t, one, less; " + shift + " lop3.b32 t, t, 0x000F000F, 0x43004300, 0xEA; "
        "mov.b32 one, 0x3F803F80; mov.b32 less, 0xC308C308; "
        "fma.rn.bf16x2 $0, t, one, less; }",
        "=r,r", [words], dtype=tl.bfloat16, is_pure=True, pack=2,
    )  # fmt: skip


@triton.jit
def normed_rows(
    x, gamma, beta, out, inputs: tl.constexpr, eps: tl.constexpr, norm: tl.constexpr,
    has_beta: tl.constexpr, COLUMNS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """LayerNorm or RMSNorm of one row of x (rows, inputs) a block."""
    columns = tl.arange(0, COLUMNS)
    inside = columns < inputs
    weight = tl.load(gamma + columns, mask=inside, other=0.0).to(tl.float32)
    if has_beta:
        shift = tl.load(beta + columns, mask=inside, other=0.0).to(tl.float32)
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    at = tl.program_id(0).to(tl.int64) * inputs + columns
    value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    if norm == LAYER_NORM:
        value = tl.where(inside, value - tl.sum(value) / inputs, 0.0)
    value *= tl.rsqrt(tl.sum(value * value) / inputs + eps)
    kind = out.dtype.element_ty
    if norm == RMS_NORM:  # rounded before the weight, as transformers does
        value = value.to(kind).to(tl.float32) * weight
    else:
        value *= weight
        if has_beta:
            value += shift
    tl.store(out + at, value.to(kind), mask=inside)


@triton.jit
def product_of_rows(
    x, w, scale, zero, bias, residual, out, partial, arrived,
    features: tl.constexpr, inputs: tl.constexpr, batch: tl.constexpr, kind: tl.constexpr,
    group: tl.constexpr, activation: tl.constexpr, has_bias: tl.constexpr,
    has_residual: tl.constexpr, has_zero: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BATCH: tl.constexpr, SPLITS: tl.constexpr,
    STAGES: tl.constexpr, LINES: tl.constexpr, GROUPS: tl.constexpr, ASM: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """out (batch, features) of few rows x (batch, inputs), by the matrix units.

    They multiply eight rows at the price of one, and a weight passes through them in a tenth of the
    instructions that a multiplication of its own takes: what is saved is energy, most of all where
    codes become numbers. The inputs are shared out among SPLITS blocks; the last joins their sums.

    Args:
        w: weights, int8 codes, or int16 words of four codes; of a group, nibble j of word c is
            element j * group / 4 + c.
        scale: (features,) of int8; (inputs / group, features) of 4-bit codes, as zero is.
    """
    block = tl.program_id(0)
    rows = block * ROWS + tl.arange(0, ROWS)
    inside = rows < features
    n = tl.arange(0, BATCH)
    there = (n < batch)[None, :]
    number = x.dtype.element_ty
    acc = tl.zeros([ROWS, BATCH], tl.float32)
    a_row: tl.constexpr = inputs // 4 if kind == FOUR_BIT else inputs
    tiles: tl.constexpr = inputs // COLUMNS // SPLITS
    if ASM:
        # Weights do not depend on the kernel before: the first are sent for while that one ends.
        line: tl.constexpr = 128 // (w.dtype.element_ty.primitive_bitwidth // 8)
        lines: tl.constexpr = LINES
        ahead = tl.program_id(1) * (a_row // SPLITS) + tl.arange(0, lines) * line
        there_is = tl.minimum(rows, features - 1).to(tl.int64)[:, None]
        _expect(w + there_is * a_row + ahead[None, :])
        if kind == FOUR_BIT:  # the loop asks for scales one group ahead: time for the cache alone
            group_of = tl.program_id(1) * tiles + tl.arange(0, GROUPS)
            at_line = tl.minimum(group_of, inputs // COLUMNS - 1) * features + block * ROWS
            _expect(scale + at_line)
            if has_zero:
                _expect(zero + at_line)
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    first = tl.program_id(1) * tiles
    if kind == FOUR_BIT:
        words: tl.constexpr = group // 4
        c = tl.arange(0, words)
        at_scale = first * features + rows
        factor = tl.load(scale + at_scale, mask=inside, other=0.0)
        if has_zero:
            offset = tl.load(zero + at_scale, mask=inside, other=0.0)
        ones = tl.full([ROWS, words], 1.0, tl.float32).to(number)
        for step in tl.range(0, tiles, num_stages=STAGES):
            at = (first + step) * words
            word = tl.load(
                w + rows.to(tl.int64)[:, None] * a_row + (at + c)[None, :],
                mask=inside[:, None], other=0,
            )  # fmt: skip
            at_scale += features
            more = inside & (step + 1 < tiles)
            coming = tl.load(scale + at_scale, mask=more, other=0.0)
            if has_zero:
                coming_offset = tl.load(zero + at_scale, mask=more, other=0.0)
            dot = tl.zeros([ROWS, BATCH], tl.float32)
            total = tl.zeros([ROWS, BATCH], tl.float32)
            for nibble in tl.static_range(4):
                element = (first + step) * group + nibble * words + c
                value = tl.load(x + n[None, :] * inputs + element[:, None], mask=there, other=0.0)
                plane = _plane(word, nibble, number, ASM)
                dot = tl.dot(plane, value, dot, input_precision="ieee")
                if has_zero:  # each row's sum of the inputs, where the matrix units idle anyway
                    total = tl.dot(ones, value, total, input_precision="ieee")
            acc += dot * factor.to(tl.float32)[:, None]
            factor = coming
            if has_zero:
                acc += total * offset.to(tl.float32)[:, None]
                offset = coming_offset
    else:
        c = tl.arange(0, COLUMNS)
        for step in tl.range(0, tiles, num_stages=STAGES):
            element = (first + step) * COLUMNS + c
            weight = tl.load(
                w + rows.to(tl.int64)[:, None] * inputs + element[None, :],
                mask=inside[:, None], other=0,
            )  # fmt: skip
            value = tl.load(x + n[None, :] * inputs + element[:, None], mask=there, other=0.0)
            acc = tl.dot(weight.to(number), value, acc, input_precision="ieee")
        if kind == INT8:
            acc *= tl.load(scale + rows, mask=inside, other=0.0)[:, None]

    joins = True
    if SPLITS > 1:
        at = tl.arange(0, ROWS)[:, None] * BATCH + n[None, :]
        own = (block * SPLITS + tl.program_id(1)) * ROWS * BATCH
        tl.store(partial + own + at, acc)
        tl.debug_barrier()
        joins = tl.atomic_add(arrived + block, 1, sem="acq_rel") == SPLITS - 1
        if joins:
            tl.store(arrived + block, 0)
            acc = tl.zeros([ROWS, BATCH], tl.float32)
            for other in tl.static_range(SPLITS):  # in this order, whoever came last
                whose = (block * SPLITS + other) * ROWS * BATCH
                acc += tl.load(partial + whose + at, cache_modifier=".cg")
    if joins:
        if has_bias:
            acc += tl.load(bias + rows, mask=inside, other=0.0).to(tl.float32)[:, None]
        acc = _activated(acc, activation)
        at_out = n[None, :] * features + rows[:, None]
        kept = inside[:, None] & there
        if has_residual:
            acc += tl.load(residual + at_out, mask=kept, other=0.0).to(tl.float32)
        tl.store(out + at_out, acc.to(out.dtype.element_ty), mask=kept)


@triton.jit
def _rotated(base, offsets, inside, cos, sin, d, partner,
             turned, sign):  # fmt: skip
    """Heads' elements, the leading ones rotated; offsets (..., size)."""
    own = tl.load(base + offsets + d, mask=inside, other=0.0).to(tl.float32)
    other = tl.load(base + offsets + partner, mask=inside & turned, other=0.0).to(tl.float32)
    return own * cos + sign * other * sin


@triton.jit
def _places(keys, values, at_head, first, start, place, size: tl.constexpr, SIZE: tl.constexpr,
            PLACES: tl.constexpr):  # fmt: skip
    """Keys and values (PLACES, SIZE) of the places from `first` that were written before."""
    t = first + tl.arange(0, PLACES)
    d = tl.arange(0, SIZE)
    mask = ((t >= start) & (t < place))[:, None] & (d < size)[None, :]
    at = at_head + t[:, None] * size + d[None, :]
    return tl.load(keys + at, mask=mask, other=0.0), tl.load(values + at, mask=mask, other=0.0)


@triton.jit
def attention(
    qkv, cos_table, sin_table, place_ptr, start_ptr, keys, values,
    partial, stats, arrived, out,
    qkv_stride, cache_row, cache_head,
    q_first: tl.constexpr, q_stride: tl.constexpr, k_first: tl.constexpr, k_stride: tl.constexpr,
    v_first: tl.constexpr, v_stride: tl.constexpr,
    kv_heads: tl.constexpr, group: tl.constexpr, size: tl.constexpr, rotary: tl.constexpr,
    scaling: tl.constexpr, splits: tl.constexpr, steps: tl.constexpr,
    GROUP: tl.constexpr, SIZE: tl.constexpr, PLACES: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """One token's attention of one key/value head and the query heads that share it.

    Flash attention (Dao et al. 2022) over the places; the splits of a row share them out in turn,
    and the last to arrive joins what all of them found (as in split-K "flash decoding").
    """
    pair = tl.program_id(0)
    split = tl.program_id(1)
    row = pair // kv_heads
    head = pair % kv_heads
    # Of the cache only the newest place depends on the kernel before, and that is not read.
    place = tl.load(place_ptr).to(tl.int32)
    start = tl.load(start_ptr + row).to(tl.int32)
    d = tl.arange(0, SIZE)
    g = tl.arange(0, GROUP)
    half: tl.constexpr = rotary // 2
    turned = d < rotary
    partner = tl.where(d < half, d + half, d - half)
    sign = tl.where(d < half, -1.0, 1.0)
    at_angle = (place - start) * rotary + d
    cos = tl.load(cos_table + at_angle, mask=turned, other=1.0).to(tl.float32)
    sin = tl.load(sin_table + at_angle, mask=turned, other=0.0).to(tl.float32)
    kind = keys.dtype.element_ty
    at_head = row.to(tl.int64) * cache_row + head * cache_head
    k, v = _places(keys, values, at_head, split * PLACES, start, place, size, SIZE, PLACES)
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    here = qkv + row.to(tl.int64) * qkv_stride
    real = (g < group)[:, None] & (d < size)[None, :]
    q = _rotated(
        here, (q_first + (head * group + g) * q_stride)[:, None], real, cos[None, :], sin[None, :],
        d[None, :], partner[None, :], turned[None, :], sign[None, :],
    ).to(kind)  # fmt: skip
    k_new = _rotated(
        here, k_first + head * k_stride, d < size, cos, sin, d, partner, turned, sign
    ).to(kind)
    v_new = tl.load(here + v_first + head * v_stride + d, mask=d < size, other=0.0).to(kind)

    best = tl.full([GROUP], float("-inf"), tl.float32)
    weight = tl.zeros([GROUP], tl.float32)
    acc = tl.zeros([GROUP, SIZE], tl.float32)
    for step in range(steps):
        first = (step * splits + split) * PLACES
        t = first + tl.arange(0, PLACES)
        newest = (t == place)[:, None]
        k = tl.where(newest, k_new[None, :], k)
        v = tl.where(newest, v_new[None, :], v)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * (scaling * 1.4426950408889634)
        seen = (t >= start) & (t <= place)
        scores = tl.where(seen[None, :], scores, float("-inf"))
        higher = tl.maximum(best, tl.max(scores, axis=1))
        shift = tl.where(higher == float("-inf"), 0.0, higher)
        shrink = tl.exp2(best - shift)
        p = tl.exp2(scores - shift[:, None])
        weight = weight * shrink + tl.sum(p, axis=1)
        acc = acc * shrink[:, None] + tl.dot(p.to(kind), v, input_precision="ieee")
        best = higher
        if steps > 1:
            after = first + splits * PLACES
            k, v = _places(keys, values, at_head, after, start, place, size, SIZE, PLACES)
        if (place >= first) & (place < first + PLACES):
            tl.store(keys + at_head + place * size + d, k_new, mask=d < size)
            tl.store(values + at_head + place * size + d, v_new, mask=d < size)

    at_out = ((row * kv_heads + head) * group + g)[:, None] * size + d[None, :]
    if splits == 1:
        tl.store(out + at_out, (acc / weight[:, None]).to(out.dtype.element_ty), mask=real)
    else:
        at_stats = (pair * splits + split) * 2 * GROUP + g
        tl.store(stats + at_stats, best)
        tl.store(stats + at_stats + GROUP, weight)
        at_partial = ((pair * splits + split) * GROUP + g)[:, None] * SIZE + d[None, :]
        tl.store(partial + at_partial, acc)
        tl.debug_barrier()
        before = tl.atomic_add(arrived + pair, 1, sem="acq_rel")
        if before == splits - 1:
            tl.store(arrived + pair, 0)
            best = tl.full([GROUP], float("-inf"), tl.float32)
            weight = tl.zeros([GROUP], tl.float32)
            acc = tl.zeros([GROUP, SIZE], tl.float32)
            for other in range(splits):
                at_stats = (pair * splits + other) * 2 * GROUP + g
                found = tl.load(stats + at_stats, cache_modifier=".cg")
                higher = tl.maximum(best, found)
                shift = tl.where(higher == float("-inf"), 0.0, higher)
                ours = tl.exp2(best - shift)
                theirs = tl.exp2(found - shift)
                weight = weight * ours + theirs * tl.load(
                    stats + at_stats + GROUP, cache_modifier=".cg"
                )
                at_partial = ((pair * splits + other) * GROUP + g)[:, None] * SIZE + d[None, :]
                acc = acc * ours[:, None] + theirs[:, None] * tl.load(
                    partial + at_partial, cache_modifier=".cg"
                )
                best = higher
            tl.store(out + at_out, (acc / weight[:, None]).to(out.dtype.element_ty), mask=real)
