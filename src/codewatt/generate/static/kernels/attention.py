"""Attention of one token a sequence, over a cache that never moves."""

import triton
import triton.language as tl


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
