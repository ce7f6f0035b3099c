"""Bytes and FLOPs against counts that were made token by token."""

import pytest

from codewatt.errors import CodewattError
from codewatt.sizing.parameter_counts import architecture_of
from codewatt.sizing.roofline import (
    Demand,
    GeneratedSequence,
    Work,
    decode_work,
    prefill_work,
    roofline_times,
    total,
)

DEMAND = Demand(
    step_weight_bytes=1000,
    kv_bytes_per_token=8,
    flops_per_token=400,
    head_flops=100,
    attention_flops=12,
    layers=4,
)
WINDOWED = Demand(**{**DEMAND.to_dict(), "window": 5, "windowed_layers": 3})


def spelt_out(demand, batch):
    """Decode step by step and layer by layer, as the docstring says it in words."""
    moved, flops, step = 0, 0, 0
    while live := [s for s in batch if s.new_tokens - 1 > step]:
        step += 1
        moved += demand.step_weight_bytes
        for sequence in live:
            context = sequence.prompt_tokens + step
            flops += demand.flops_per_token + demand.head_flops
            for layer in range(demand.layers):
                slides = layer < demand.windowed_layers
                attended = min(context, demand.window) if slides else context
                moved += attended * demand.kv_bytes_per_token / demand.layers
                flops += attended * demand.attention_flops / demand.layers
    return Work(moved, flops)


@pytest.mark.parametrize("demand", [DEMAND, WINDOWED])
@pytest.mark.parametrize(
    "lengths",
    [[(3, 4)], [(3, 1)], [(1, 2)], [(9, 6)], [(5, 3)], [(2, 9), (7, 3), (4, 1)], []],
)
def test_decoding_is_what_it_is_step_by_step(demand, lengths):
    batch = [GeneratedSequence(*pair) for pair in lengths]
    assert decode_work(demand, batch) == spelt_out(demand, batch)


def test_a_batch_shares_the_weights_and_nothing_else():
    one, two = GeneratedSequence(10, 5), GeneratedSequence(20, 5)
    alone = total(decode_work(DEMAND, [sequence]) for sequence in (one, two))
    together = decode_work(DEMAND, [one, two])
    assert alone.moved_bytes - together.moved_bytes == 4 * DEMAND.step_weight_bytes
    assert alone.flops == together.flops


def test_reading_prompts_by_hand():
    batch = [GeneratedSequence(3, 9), GeneratedSequence(2, 9)]
    # 5 tokens; the head twice; 1 + 2 + 3 and 1 + 2 tokens attended to.
    assert prefill_work(DEMAND, batch) == Work(1000 + 5 * 8, 5 * 400 + 2 * 100 + 9 * 12)
    assert prefill_work(DEMAND, []) == Work()


def test_a_window_bounds_what_a_prompt_attends_to_and_leaves_behind():
    work = prefill_work(WINDOWED, [GeneratedSequence(7, 1)])
    # One full layer: 28 tokens attended to. Three with a window of 5: 15 and twice 5.
    assert work.flops == 7 * 400 + 100 + (28 + 3 * 25) * 12 // 4
    assert work.moved_bytes == 1000 + (7 + 3 * 5) * 8 // 4


def test_the_least_time_is_that_of_the_slower_of_the_two():
    assert roofline_times(Work(1000, 50), 100.0, 10.0) == (10.0, 5.0, 10.0)
    assert roofline_times(Work(100, 50), 100.0, 10.0) == (1.0, 5.0, 5.0)
    assert roofline_times(Work(100, 50), None, 10.0) == (None, 5.0, None)
    assert roofline_times(Work(100, 50), 100.0, None) == (1.0, None, None)


def test_a_demand_comes_back_from_a_manifest():
    assert Demand.from_dict(WINDOWED.to_dict()) == WINDOWED
    with pytest.raises(CodewattError, match=r"manifest: roofline.demand: .*'colour'"):
        Demand.from_dict({**WINDOWED.to_dict(), "colour": 1})


def test_a_models_demand_follows_from_its_architecture():
    """Llama of 2 layers, hidden 8, 2 heads of 4, 1 kv head, MLP of 16, 10 tokens; by hand."""
    architecture = architecture_of(
        {
            "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8,
            "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16,
            "vocab_size": 10,
        }
    )  # fmt: skip
    demand = Demand.of(architecture, step_weight_bytes=77, cache_bytes=2)
    layer = 8 * 8 + 8 * 4 + 8 * 4 + 8 * 8 + 3 * 8 * 16
    assert demand.flops_per_token == 2 * 2 * layer
    assert demand.head_flops == 2 * 80
    assert demand.kv_bytes_per_token == 2 * 2 * 4 * 2
    # 2 layers * 2 heads * (4 for the key + 4 for the value) * 2.
    assert demand.attention_flops == 64
    assert demand.step_weight_bytes == 77


def test_the_operations_are_those_that_torch_counts(tiny_model):
    """Matrix products of one prompt and one step, counted by torch's own FLOP counter.

    torch counts full attention, not the causal half, and the head as asked for.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModelForCausalLM

    for model_type in ("llama", "starcoder2", "phi", "gpt_neox", "qwen2"):
        path = tiny_model(model_type)
        model = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
        demand = Demand.of(architecture_of(model.config.to_dict()), 0, 4)
        with torch.inference_mode():
            with FlopCounterMode(display=False) as counter:
                out = model(torch.arange(1, 7)[None], use_cache=True, logits_to_keep=1)
            prompt = prefill_work(demand, [GeneratedSequence(6, 1)]).flops
            hidden_half = (36 - 21) * demand.attention_flops
            rotary = counter.get_total_flops() - prompt - hidden_half
            with FlopCounterMode(display=False) as counter:
                model(torch.tensor([[7]]), past_key_values=out.past_key_values, use_cache=True)
        step = decode_work(demand, [GeneratedSequence(6, 2)]).flops
        assert counter.get_total_flops() - step == pytest.approx(rotary / 6)
        assert 0 <= rotary < 0.001 * prompt  # the angles, by a little product of their own
