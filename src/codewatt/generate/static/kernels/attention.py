"""Attention of one new token per sequence over a static KV cache, with rotary embedding."""

import triton
import triton.language as tl


@triton.jit
def _load_rotated(base, offsets, inside, cos, sin, d, partner, rotated, sign):
    """Elements of heads, the leading ones with rotary embedding; offsets (..., size)."""
    own = tl.load(base + offsets + d, mask=inside, other=0.0).to(tl.float32)
    other = tl.load(base + offsets + partner, mask=inside & rotated, other=0.0).to(tl.float32)
    return own * cos + sign * other * sin


@triton.jit
def _load_cache(
    keys, values, at_head, first, start_pos, input_pos,
    size: tl.constexpr, SIZE: tl.constexpr, POSITIONS: tl.constexpr,
):  # fmt: skip
    """Keys and values (POSITIONS, SIZE) of the cache positions from `first` before the new one."""
    t = first + tl.arange(0, POSITIONS)
    d = tl.arange(0, SIZE)
    mask = ((t >= start_pos) & (t < input_pos))[:, None] & (d < size)[None, :]
    at = at_head + t[:, None] * size + d[None, :]
    return tl.load(keys + at, mask=mask, other=0.0), tl.load(values + at, mask=mask, other=0.0)


@triton.jit
def attention(
    qkv, cos_table, sin_table, input_pos_ptr, start_pos_ptr, keys, values,
    partial, stats, arrived, out,
    qkv_stride, cache_row, cache_head,
    q_first: tl.constexpr, q_stride: tl.constexpr, k_first: tl.constexpr, k_stride: tl.constexpr,
    v_first: tl.constexpr, v_stride: tl.constexpr,
    kv_heads: tl.constexpr, group: tl.constexpr, size: tl.constexpr, rotary: tl.constexpr,
    scaling: tl.constexpr, splits: tl.constexpr, steps: tl.constexpr,
    GROUP: tl.constexpr, SIZE: tl.constexpr, POSITIONS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Attention of one token for one key/value head and the query heads that share it.

    FlashAttention (Dao et al. 2022) over the cache positions. As in Flash-Decoding, `splits` blocks
    share the positions of a sequence and the last to finish combines their partial results. The new
    key and value are written into the cache.

    Args:
        qkv: (batch, elements); where heads lie: q_first, q_stride, ... (see `HeadLayout`).
        cos_table, sin_table: (cache length, rotary).
        input_pos_ptr: int64 (1,), cache position of the new token.
        start_pos_ptr: int64 (batch,), first cache position of each sequence.
        keys, values: (batch, kv heads, cache length, size).
        partial, stats, arrived: float32 partial results, and a counter per pair of sequence and
            key/value head at zero; for splits > 1.
        out: (batch, heads * size).
    """
    pair = tl.program_id(0)
    split = tl.program_id(1)
    row = pair // kv_heads
    head = pair % kv_heads
    # Only the new position of the cache depends on the previous kernel, and it is not loaded.
    input_pos = tl.load(input_pos_ptr).to(tl.int32)
    start_pos = tl.load(start_pos_ptr + row).to(tl.int32)
    d = tl.arange(0, SIZE)
    g = tl.arange(0, GROUP)
    half: tl.constexpr = rotary // 2
    rotated = d < rotary
    partner = tl.where(d < half, d + half, d - half)
    sign = tl.where(d < half, -1.0, 1.0)
    at_angle = (input_pos - start_pos) * rotary + d
    cos = tl.load(cos_table + at_angle, mask=rotated, other=1.0).to(tl.float32)
    sin = tl.load(sin_table + at_angle, mask=rotated, other=0.0).to(tl.float32)
    kind = keys.dtype.element_ty
    at_head = row.to(tl.int64) * cache_row + head * cache_head
    k, v = _load_cache(
        keys, values, at_head, split * POSITIONS, start_pos, input_pos, size, SIZE, POSITIONS
    )
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    here = qkv + row.to(tl.int64) * qkv_stride
    real = (g < group)[:, None] & (d < size)[None, :]
    q = _load_rotated(
        here, (q_first + (head * group + g) * q_stride)[:, None], real, cos[None, :], sin[None, :],
        d[None, :], partner[None, :], rotated[None, :], sign[None, :],
    ).to(kind)  # fmt: skip
    k_new = _load_rotated(
        here, k_first + head * k_stride, d < size, cos, sin, d, partner, rotated, sign
    ).to(kind)
    v_new = tl.load(here + v_first + head * v_stride + d, mask=d < size, other=0.0).to(kind)

    best = tl.full([GROUP], float("-inf"), tl.float32)
    weight = tl.zeros([GROUP], tl.float32)
    acc = tl.zeros([GROUP, SIZE], tl.float32)
    for step in range(steps):
        first = (step * splits + split) * POSITIONS
        t = first + tl.arange(0, POSITIONS)
        newest = (t == input_pos)[:, None]
        k = tl.where(newest, k_new[None, :], k)
        v = tl.where(newest, v_new[None, :], v)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * (scaling * 1.4426950408889634)
        mask = (t >= start_pos) & (t <= input_pos)
        scores = tl.where(mask[None, :], scores, float("-inf"))
        higher = tl.maximum(best, tl.max(scores, axis=1))
        shift = tl.where(higher == float("-inf"), 0.0, higher)
        shrink = tl.exp2(best - shift)
        p = tl.exp2(scores - shift[:, None])
        weight = weight * shrink + tl.sum(p, axis=1)
        acc = acc * shrink[:, None] + tl.dot(p.to(kind), v, input_precision="ieee")
        best = higher
        if steps > 1:
            after = first + splits * POSITIONS
            k, v = _load_cache(
                keys, values, at_head, after, start_pos, input_pos, size, SIZE, POSITIONS
            )  # fmt: skip
        if (input_pos >= first) & (input_pos < first + POSITIONS):
            tl.store(keys + at_head + input_pos * size + d, k_new, mask=d < size)
            tl.store(values + at_head + input_pos * size + d, v_new, mask=d < size)

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
