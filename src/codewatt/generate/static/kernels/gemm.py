"""GEMM of few rows by tensor cores, for dense and quantised weights; and the norm before it."""

import triton
import triton.language as tl

from codewatt.generate.static.kernels.activations import (
    EIGHT_BIT,
    FOUR_BIT,
    LAYER_NORM,
    RMS_NORM,
    apply_activation,
)


@triton.jit
def _nibble_as_float(words, nibble: tl.constexpr, kind, ASM: tl.constexpr):
    """q - 8 for the 4-bit q in one nibble of int16 words.

    ASM: two q at a time become bfloat16 by bit operations: in the low bits of the fraction of 128,
    q makes the number 128 + q, exactly.
    """
    if not ASM:
        return (((words.to(tl.int32) >> (4 * nibble)) & 15) - 8).to(kind)
    if nibble == 0:
        return _nibble_pairs_as_bfloat16(words, "mov.b32 t, $1;")
    if nibble == 1:
        return _nibble_pairs_as_bfloat16(words, "shr.u32 t, $1, 4;")
    if nibble == 2:
        return _nibble_pairs_as_bfloat16(words, "shr.u32 t, $1, 8;")
    return _nibble_pairs_as_bfloat16(words, "shr.u32 t, $1, 12;")


@triton.jit
def _prefetch_l2(pointers):
    """Prefetch lines of memory into the L2 cache."""
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.b32 $0, 0;", "=r,l", [pointers], dtype=tl.int32,
        is_pure=False, pack=1,
    )  # fmt: skip


@triton.jit
def _nibble_pairs_as_bfloat16(words, shift: tl.constexpr):
    """See `_nibble_as_float`: ((w & 15) | bits of 128) - 136, in both halves of a register."""
    return tl.inline_asm_elementwise(
        "{ .reg .b32 t, one, less; " + shift + " lop3.b32 t, t, 0x000F000F, 0x43004300, 0xEA; "
        "mov.b32 one, 0x3F803F80; mov.b32 less, 0xC308C308; "
        "fma.rn.bf16x2 $0, t, one, less; }",
        "=r,r", [words], dtype=tl.bfloat16, is_pure=True, pack=2,
    )  # fmt: skip


@triton.jit
def norm_rows(
    x, gamma, beta, out, inputs: tl.constexpr, eps: tl.constexpr, norm: tl.constexpr,
    has_beta: tl.constexpr, COLUMNS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """LayerNorm or RMSNorm of x (rows, inputs); one row per block.

    Args:
        gamma, beta: the norm's weight and bias, (inputs,).
    """
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
def gemm(
    x, w, scale, zero, bias, residual, out, partial, arrived,
    features: tl.constexpr, inputs: tl.constexpr, batch: tl.constexpr, kind: tl.constexpr,
    group: tl.constexpr, activation: tl.constexpr, has_bias: tl.constexpr,
    has_residual: tl.constexpr, has_zero: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BATCH: tl.constexpr, SPLITS: tl.constexpr,
    STAGES: tl.constexpr, LINES: tl.constexpr, GROUPS: tl.constexpr, ASM: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """out (batch, features) = x (batch, inputs) @ weights.T, for few rows, by tensor cores.

    Tensor cores multiply eight rows in the time of one and need a tenth of the instructions of
    scalar multiplications: that saves energy, most of all for quantised weights. Split-K: SPLITS
    blocks share the inputs, and the last of them adds up the partial sums.

    Args:
        w: weights (features, inputs): unquantised, 8-bit, or 4-bit packed by `pack_int4` into int16
            (features, inputs / 4).
        scale: (features,) for 8-bit weights; (inputs / group, features) for 4-bit weights.
        zero: as scale, for 4-bit weights, if has_zero; added after scaling.
        partial, arrived: float32 partial sums, and a counter per block at zero; for SPLITS > 1.
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
        # Weights do not depend on the previous kernel: prefetch the first while that one ends.
        line: tl.constexpr = 128 // (w.dtype.element_ty.primitive_bitwidth // 8)
        lines: tl.constexpr = LINES
        ahead = tl.program_id(1) * (a_row // SPLITS) + tl.arange(0, lines) * line
        there_is = tl.minimum(rows, features - 1).to(tl.int64)[:, None]
        _prefetch_l2(w + there_is * a_row + ahead[None, :])
        if kind == FOUR_BIT:  # the loop loads scales only one group ahead
            group_of = tl.program_id(1) * tiles + tl.arange(0, GROUPS)
            at_line = tl.minimum(group_of, inputs // COLUMNS - 1) * features + block * ROWS
            _prefetch_l2(scale + at_line)
            if has_zero:
                _prefetch_l2(zero + at_line)
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
                plane = _nibble_as_float(word, nibble, number, ASM)
                dot = tl.dot(plane, value, dot, input_precision="ieee")
                if has_zero:  # sum of the inputs of each row; tensor cores have time for it
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
                mask=inside[:, None], other=0.0,
            )  # fmt: skip
            value = tl.load(x + n[None, :] * inputs + element[:, None], mask=there, other=0.0)
            acc = tl.dot(weight.to(number), value, acc, input_precision="ieee")
        if kind == EIGHT_BIT:
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
        acc = apply_activation(acc, activation)
        at_out = n[None, :] * features + rows[:, None]
        kept = inside[:, None] & there
        if has_residual:
            acc += tl.load(residual + at_out, mask=kept, other=0.0).to(tl.float32)
        tl.store(out + at_out, acc.to(out.dtype.element_ty), mask=kept)
