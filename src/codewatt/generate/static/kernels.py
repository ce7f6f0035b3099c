"""Kernels of a single row's products and of one token's attention, in Triton.

At batch 1 a product reads each weight once for one multiplication, so its time is that of reading.
A library's matrix product is made for more rows: it starts too few blocks and reads with pauses.
Here a block takes one or two outputs and asks for all of their weights at once. What stands before
and after a product (norm, bias, activation, gate, residual) is done in it, as a launch of its own
takes as long as reading ten megabytes.

A norm before a product needs the mean and deviation of the whole row, which each block would wait
for. Instead it sums them beside its product and puts them in at the end: with g the norm's weight,
m the mean, s the deviation, W (g (x - m) / s + b) = (W (g x) - m (W g)) / s + W b, where W g and
W b are known beforehand.
"""

import triton
import triton.language as tl

NO_NORM, LAYER_NORM, RMS_NORM = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
DENSE, INT8 = tl.constexpr(0), tl.constexpr(1)


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
def _number(word, nibble: tl.constexpr):
    """A nibble times 16^(nibble % 4), by the bits of a float and without a conversion.

    Put into the low bits of 2^23 it is that number plus the nibble, exactly. It is read in place,
    so that only half of them are shifted.
    """
    half = word if nibble < 4 else (word >> 16)
    exact = (half & (15 << (4 * (nibble % 4)))) | 0x4B000000
    return exact.to(tl.float32, bitcast=True) - 8388608.0


@triton.jit
def _row_by_nibble(
    x, gamma, inputs: tl.constexpr, group: tl.constexpr, norm: tl.constexpr,
    scaled: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The input in tiles, one a nibble of words; their sums a word; the sums of x and x^2.

    scaled: divide by 16^(nibble % 4), for numbers read in place.
    """
    words: tl.constexpr = group // 8
    tiles = ()
    sums = ()
    s1 = tl.zeros([COLUMNS], tl.float32)
    s2 = tl.zeros([COLUMNS], tl.float32)
    for first in tl.static_range(0, inputs // 8, COLUMNS):
        column = first + tl.arange(0, COLUMNS)
        there = column < inputs // 8
        element = (column // words) * group + column % words
        total = tl.zeros([COLUMNS], tl.float32)
        for nibble in tl.static_range(8):
            at = element + nibble * words
            value = tl.load(x + at, mask=there, other=0.0).to(tl.float32)
            if norm != NO_NORM:
                if norm == LAYER_NORM:
                    s1 += value
                s2 += value * value
                value *= tl.load(gamma + at, mask=there, other=0.0).to(tl.float32)
            total += value
            if scaled:
                value *= 1.0 / (1 << (4 * (nibble % 4)))
            tiles += (value,)
        sums += (total,)
    return tiles, sums, s1, s2


@triton.jit
def _dot_of_codes(
    words, values, totals, scale, zero, table, row,
    features: tl.constexpr, inputs: tl.constexpr, group: tl.constexpr, has_zero: tl.constexpr,
    has_table: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Float32 (ROWS,) of tiles of words and tiles of the input."""
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
            if has_table:
                dot += tl.load(table + ((word >> (4 * nibble)) & 15)) * value
            else:
                dot += _number(word, nibble) * value
        total = totals[first // COLUMNS][None, :]
        if not has_table:
            dot -= 8.0 * total
        acc += dot * factor
        if has_zero:
            acc += tl.load(zero + at, mask=mask, other=0.0).to(tl.float32) * total
    return tl.sum(acc, axis=1)


@triton.jit
def product_four_bit(
    x, words, scale, zero, table, sums, bias, gamma, residual, out,
    features: tl.constexpr, inputs: tl.constexpr, eps: tl.constexpr, group: tl.constexpr,
    norm: tl.constexpr, activation: tl.constexpr, gated: tl.constexpr,
    has_bias: tl.constexpr, has_residual: tl.constexpr, has_zero: tl.constexpr,
    has_table: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCKS: tl.constexpr, TURNS: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """As `product`, of 4-bit codes in groups; COLUMNS counts words of eight codes."""
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
    values, totals, s1, s2 = _row_by_nibble(x, gamma, inputs, group, norm, not has_table, COLUMNS)
    mean, inverse = _moments(s1, s2, inputs, eps, norm)
    for _ in range(TURNS):
        now = row
        rows = row + tl.arange(0, ROWS)
        inside = rows < features
        row += BLOCKS * ROWS
        if TURNS > 1:
            coming = _weights(words, row, features, inputs // 8, ROWS, COLUMNS)
        total = _dot_of_codes(
            read, values, totals, scale, zero, table, now, features, inputs, group, has_zero,
            has_table, ROWS, COLUMNS,
        )  # fmt: skip
        if TURNS > 1:
            read = coming
        total = _finish(total, rows, inside, mean, inverse, sums, bias, norm, has_bias)
        total = _activated(total, activation)
        if gated:
            if TURNS > 1:
                coming = _weights(second, row, features, inputs // 8, ROWS, COLUMNS)
            other = _dot_of_codes(
                seconds, values, totals, second_scale, second_zero, table, now, features, inputs,
                group, has_zero, has_table, ROWS, COLUMNS,
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
