"""Memory, time and disk of jobs: parts by hand, what does not fit, what is asked for."""

import pytest

from codewatt.errors import CodewattError
from codewatt.sizing.estimate_assumptions import ASSUMPTIONS, assumed_value
from codewatt.sizing.gpu_datasheets import get_gpu
from codewatt.sizing.job_costs import (
    generate_job,
    misfit_reason,
    pass_job,
    quantise_job,
    resources,
)
from codewatt.sizing.known_configs import known_models
from codewatt.sizing.weight_bytes import weight_bytes
from codewatt.sizing.workload import workload_of
from tests.support.estimates import pruned_architecture

BF16 = {"method": "none", "dtype": "bfloat16"}
FP32 = {"method": "none", "dtype": "float32"}
NF4 = {"method": "bitsandbytes", "quant_type": "nf4", "compute_dtype": "bfloat16"}
INT4 = {"method": "torchao", "quant_type": "int4", "compute_dtype": "bfloat16", "group_size": 128}
GPTQ = {"method": "gptq", "bits": 4, "group_size": 128, "compute_dtype": "float16"}
WARMUP = {"batches": 1, "max_cv": None, "window_batches": 5, "max_batches": 50}
DECODING = {"samples": 1, "repeats": 5, "warmup": WARMUP, "strategy": "greedy"}
ENERGY = {"idle_s": 10.0, "nvml_interval_s": 0.02, "start": None}


def config(repo):
    return known_models()[repo].config


def work(batch_size=1, engine="transformers", prompt="stripped", start=None, **decoding):
    cell = {"prompt": prompt, "token_limit": 128, "batch_size": batch_size, "engine": engine}
    energy = {**ENERGY, "start": start}
    return workload_of(cell, {"kind": "humaneval_plus"}, {**DECODING, **decoding}, energy)


def generate(repo="bigcode/starcoder2-3b", precision=BF16, gpu="l40s", **asked):
    architecture = pruned_architecture(config(repo), 0)
    stored = weight_bytes(architecture, precision).total
    card = None if gpu is None else get_gpu(gpu)
    return generate_job(architecture, precision, work(**asked), card, stored)


def test_a_workload_counts_batches_completions_and_what_is_judged():
    asked = work(batch_size=32, samples=3, strategy="sampled")
    assert (asked.completions, asked.batches, asked.sequences) == (492, 6, 96)
    assert asked.judged == 5 * 492
    assert work().judged == 164, "greedy repeats are equal: judged once"
    assert work().new_tokens == 128


def test_a_chat_adds_tokens_to_every_prompt():
    direct, chat = work(), work(prompt="chat")
    assert (direct.prompt_tokens, direct.longest_prompt) == (172, 538)
    assert (chat.prompt_tokens, chat.longest_prompt) == (172 + 93, 538 + 93)


def test_an_unknown_benchmark_is_said():
    with pytest.raises(CodewattError, match="benchmark kind 'mbpp': its size is unknown; allowed:"):
        workload_of({}, {"kind": "mbpp"}, DECODING, ENERGY)


def test_gpu_memory_is_weights_cache_activations_and_logits_by_hand():
    """StarCoder2-3B, bfloat16: 30 layers, 2 kv heads of 128, hidden 3072, inner 12288."""
    need = generate(batch_size=8).vram_bytes
    weights = 2 * 3_030_371_328
    cache = 8 * (538 + 128) * 30 * 2 * 2 * 128 * 2
    activations = 8 * 538 * 2 * (6 * 3072 + 3 * 12288)
    logits = 8 * 49152 * (4 + 2)
    expected = assumed_value("context_bytes") + assumed_value("vram_margin") * (
        weights + cache + activations + logits
    )
    assert need == round(expected)


@pytest.mark.parametrize("engine", ["transformers", "graph"])
def test_samples_are_sequences_and_drawing_needs_memory(engine):
    """30 bytes for each logit: sorted scores, their order, and sums of 64-bit integers."""
    greedy = generate(batch_size=32, engine=engine).vram_bytes
    sampled = {"engine": engine, "samples": 4, "strategy": "sampled"}
    drawing = 32 * 49152 * 30
    assert generate(batch_size=8, **sampled).vram_bytes - greedy == pytest.approx(
        1.1 * drawing, abs=2
    )


def test_a_window_bounds_the_cache():
    starcoder = pruned_architecture(config("bigcode/starcoder2-3b"), 0)
    asked = workload_of(
        {"prompt": "stripped", "token_limit": 9000, "batch_size": 1, "engine": "transformers"},
        {"kind": "humaneval_plus"}, DECODING, ENERGY,
    )  # fmt: skip
    kept = generate_job(starcoder, BF16, asked, get_gpu("l40s"), 0).vram_bytes
    short = generate_job(starcoder, BF16, work(), get_gpu("l40s"), 0).vram_bytes
    more = 4096 - (538 + 128)
    assert kept - short == pytest.approx(1.1 * more * 30 * 2 * 2 * 128 * 2, abs=2)


def test_graph_keeps_codes_twice_and_reads_32_prompts_at_a_time():
    architecture = pruned_architecture(config("bigcode/starcoder2-3b"), 0)
    packed = weight_bytes(architecture, INT4).packed
    graph, plain = (
        generate(precision=INT4, engine=e).vram_bytes for e in ("graph", "transformers")
    )
    assert graph - plain == pytest.approx(1.1 * packed, abs=2)
    large = [generate(batch_size=164, engine=e).vram_bytes for e in ("graph", "transformers")]
    assert large[1] - large[0] == pytest.approx(
        1.1 * (164 - 32) * 538 * 2 * (6 * 3072 + 3 * 12288), abs=2
    )


def test_vllm_takes_its_share_of_the_card():
    assert generate(engine="vllm").vram_bytes == round(0.92 * 48e9)


@pytest.mark.parametrize(
    ("repo", "precision", "gpu", "fit"),
    [
        ("bigcode/starcoder2-15b", FP32, "l40s", False),
        ("bigcode/starcoder2-15b", BF16, "l40s", True),
        ("bigcode/starcoder2-15b", BF16, "a10", False),
        ("bigcode/starcoder2-15b", NF4, "a10", True),
        ("deepseek-ai/DeepSeek-Coder-V2-Lite-Base", NF4, "a10", False),  # experts stay 16 bit
        ("deepseek-ai/DeepSeek-Coder-V2-Lite-Base", GPTQ, "a10", True),
        ("microsoft/phi-2", FP32, "t4", True),
    ],
)
def test_what_fits_a_card(repo, precision, gpu, fit):
    size = generate(repo, precision, gpu)
    reason = misfit_reason(size.vram_bytes, get_gpu(gpu))
    assert (reason is None) == fit
    if reason is not None:
        assert "GB of GPU memory, the NVIDIA" in reason


def test_a_cpu_job_has_no_gpu_memory_and_holds_the_model_itself():
    size = generate("Qwen/Qwen2.5-0.5B", FP32, None)
    assert (size.vram_bytes, size.gpu_j) == (0, 0.0)
    assert size.host_bytes == round(assumed_value("cpu_host_bytes")) + 2 * 4 * 494_032_768


def test_longer_work_takes_longer_and_leaves_more():
    one, more = generate(repeats=1), generate(repeats=2)
    assert more.metered_s > 1.7 * one.metered_s
    assert more.gpu_j > 1.5 * one.gpu_j
    assert more.disk_bytes > 1.7 * one.disk_bytes
    assert more.vram_bytes == one.vram_bytes
    assert one.job_s == one.metered_s + assumed_value("job_start_s")


def test_what_is_not_made_costs_a_manifest_and_what_is_costs_its_weights():
    source = pruned_architecture(config("microsoft/phi-2"), 0)
    pruned = pruned_architecture(config("microsoft/phi-2"), 6)
    stored, gpu = 2 * source.parameters, get_gpu("l40s")
    nothing = quantise_job(source, source, BF16, gpu, stored)
    assert (nothing.metered_s, nothing.disk_bytes, nothing.vram_bytes) == (0.0, 0, 0)
    cut = quantise_job(source, pruned, BF16, gpu, stored)
    assert cut.disk_bytes == pytest.approx(2 * pruned.parameters, rel=0.001)
    assert cut.vram_bytes == 0
    packed = quantise_job(source, source, NF4, gpu, stored)
    assert packed.disk_bytes == pytest.approx(weight_bytes(source, NF4).total, rel=0.001)
    assert packed.vram_bytes > weight_bytes(source, NF4).total
    assert packed.host_bytes > stored
    assert quantise_job(source, source, GPTQ, gpu, stored).metered_s == 0.0, "packed already"
    calibrated = quantise_job(source, source, {**GPTQ, "calibration": "code"}, gpu, stored)
    assert calibrated.metered_s > packed.metered_s + 60, "2.8e9 weights at 24 s a 1e9"


@pytest.mark.parametrize(
    ("method", "measured_s", "measured_j"), [("gptq", 69.9, 14_200), ("awq", 279.7, 63_100)]
)
def test_quantising_takes_the_energy_that_was_measured(method, measured_s, measured_j):
    """docs/archive/gptq-awq-fp8.md, H100; at rest alone AWQ would take 0.58 of it, GPTQ 0.73."""
    source = pruned_architecture(config("bigcode/starcoder2-3b"), 0)
    precision = {**GPTQ, "method": method, "calibration": "code"}
    made = quantise_job(source, source, precision, get_gpu("h100"), 2 * source.parameters)
    assert 1 < made.metered_s / measured_s < 1.3
    assert 1 < made.gpu_j / measured_j < 1.3


def test_passes_over_a_text_grow_with_its_tokens_and_with_models_loaded():
    phi = pruned_architecture(config("microsoft/phi-2"), 0)
    stored, gpu = 2 * phi.parameters, get_gpu("l40s")
    once = pass_job(phi, gpu, stored, 65_536, loads=1)
    more = pass_job(phi, gpu, stored, 10 * 65_536, loads=1)
    twice = pass_job(phi, gpu, stored, 65_536, loads=2)
    flops = 65_536 * 2 * (phi.active_layer_weights + phi.head)
    running_s = flops / (362.05e12 * assumed_value("prefill_share_transformers"))
    assert more.metered_s - once.metered_s == pytest.approx(9 * running_s)
    loading_s = assumed_value("load_s") + stored / assumed_value("load_bytes_per_s")
    assert twice.metered_s - once.metered_s == pytest.approx(loading_s)
    assert once.vram_bytes > stored
    on_cpu = pass_job(phi, None, stored, 65_536, loads=1)
    assert (on_cpu.gpu_j, on_cpu.vram_bytes) == (0.0, 0)
    assert on_cpu.metered_s > 100 * running_s


def test_a_scheduler_is_asked_for_more_than_is_needed():
    size = generate()
    asked = resources(size)
    assert asked["mem_mb"] * 1e6 > 1.2 * size.host_bytes
    assert asked["runtime_min"] * 60 > 2 * size.job_s + 599
    assert asked["vram_bytes"] == size.vram_bytes
    assert asked["disk_mb"] >= 1


def test_every_assumption_has_a_source_that_says_what_it_is():
    for name, item in ASSUMPTIONS.items():
        assert item.value > 0, name
        assert item.what, name
        assert item.unit, name
        assert item.source.startswith(
            ("measured", "assumed", "docs/", "CodeCarbon", "seen with")
        ), name


REST = {"below_c": 45.0, "steady_w": 3.0, "for_s": 30.0, "at_most_s": 600.0}


def test_a_rest_is_counted_as_expected_and_requested_as_long_as_it_may_last():
    without, rested = generate(), generate(start=REST)
    assert rested.metered_s - without.metered_s == pytest.approx(30)
    assert rested.job_s - without.job_s == pytest.approx(30)
    assert (without.delay_s, rested.delay_s) == (0, pytest.approx(570))
    idle_w = (rested.gpu_j - without.gpu_j) / 30
    assert 0 < idle_w < 200
    margin = assumed_value("runtime_margin")
    more_min = resources(rested)["runtime_min"] - resources(without)["runtime_min"]
    assert more_min == pytest.approx(margin * 600 / 60, abs=1)


def test_a_warm_up_until_steady_is_counted_as_expected_and_requested_to_its_limit():
    """At least 2 - 1 + 5 batches instead of 2; at most 50. A batch is what a repeat has of it."""
    fixed = generate(warmup={**WARMUP, "batches": 2})
    steady = generate(warmup={**WARMUP, "batches": 2, "max_cv": 0.02})
    batch_s = (generate(repeats=6).metered_s - generate(repeats=5).metered_s) / 164
    assert steady.metered_s - fixed.metered_s == pytest.approx(4 * batch_s)
    assert (fixed.delay_s, steady.delay_s) == (0, pytest.approx(44 * batch_s))
