"""Products of few rows by the matrix units, and the norm before them."""

import triton
import triton.language as tl

from codewatt.generate.static.kernels.activations import (
    EIGHT_BIT,
    FOUR_BIT,
    LAYER_NORM,
    RMS_NORM,
    activated,
)


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
        w: weights, 8-bit codes, or int16 words of four codes; of a group, nibble j of word c is
            element j * group / 4 + c.
        scale: (features,) of 8-bit codes; (inputs / group, features) of 4-bit codes, as zero is.
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
        acc = activated(acc, activation)
        at_out = n[None, :] * features + rows[:, None]
        kept = inside[:, None] & there
        if has_residual:
            acc += tl.load(residual + at_out, mask=kept, other=0.0).to(tl.float32)
        tl.store(out + at_out, acc.to(out.dtype.element_ty), mask=kept)
