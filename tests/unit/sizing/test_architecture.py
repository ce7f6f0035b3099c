"""Parameters and cache are those of the model that transformers builds, to the last one."""

from collections import Counter

import pytest

from codewatt.errors import CodewattError
from codewatt.sizing.known_configs import known_gguf_models, known_models
from codewatt.sizing.parameter_counts import MODEL_TYPES, architecture_of
from tests.support.architectures import ARCHITECTURES, COMMON

#: One repository of each architecture.
REAL = sorted({id(model.config): repo for repo, model in known_models().items()}.values())
#: What a configuration can switch, each on a small model.
SWITCHED = [
    ("starcoder2", {"use_bias": False}),
    ("starcoder2", {"tie_word_embeddings": False, "sliding_window": None}),
    ("starcoder2", {"head_dim": 32}),
    ("phi", {"qk_layernorm": True}),
    ("phi", {"tie_word_embeddings": True, "num_key_value_heads": None}),
    ("qwen2", {"tie_word_embeddings": True, "num_key_value_heads": None}),
    ("llama", {"attention_bias": True, "mlp_bias": True}),
    ("llama", {"tie_word_embeddings": True, "head_dim": 8}),
    ("gpt_neox", {"attention_bias": False}),
    ("gpt_neox", {"tie_word_embeddings": True}),
    ("deepseek_v2", {"q_lora_rank": 24, "attention_bias": True}),
    ("deepseek_v2", {"first_k_dense_replace": 0, "n_shared_experts": 2}),
    ("deepseek_v2", {"first_k_dense_replace": 9, "mlp_bias": True}),
    ("deepseek_v2", {"mlp_bias": True, "v_head_dim": 24}),
]


def small(model_type, **changes):
    config = {"model_type": model_type, **COMMON, **ARCHITECTURES[model_type]}
    return {**config, "num_hidden_layers": 4, **changes}


def built(config, device="meta"):
    """The model of a configuration; on torch's meta device it takes no memory."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    values = dict(config)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(
            AutoConfig.for_model(values.pop("model_type"), **values)
        ).eval()


def linear_layers(model):
    """(last part of the name, outputs, inputs) -> how many, the head aside."""
    import torch

    head = model.get_output_embeddings()
    return Counter(
        (name.rpartition(".")[2], module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    )


def linear_layers_counted(counted):
    found = Counter()
    for matrix in counted.matrices:
        if matrix.kind == "linear":
            found[matrix.name, matrix.outs, matrix.ins] += matrix.count
    return found


def parts(model):
    """Parameters by what they are for, asked of the model."""
    import torch

    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    counts = {"table": embedding.weight.numel(), "layers": 0, "biases": 0, "norms": 0}
    linear = {f"{name}.bias" for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    for name, parameter in model.named_parameters():
        if parameter is embedding.weight or parameter is head.weight:
            continue
        kind = "biases" if name in linear else "layers" if parameter.dim() > 1 else "norms"
        counts[kind] += parameter.numel()
    return counts


@pytest.mark.parametrize("repo", REAL)
def test_a_real_models_parameters_are_exactly_those(repo):
    known = known_models()[repo]
    counted, model = architecture_of(known.config), built(known.config)
    assert counted.parameters == sum(p.numel() for p in model.parameters())
    assert linear_layers(model) == linear_layers_counted(counted)
    if known.parameters is not None:
        assert counted.parameters == known.parameters


def test_every_model_of_the_studies_is_known():
    """de Reus et al. 2024, Buis 2025, and StarCoder2-15B; each model type has a real model."""
    wanted = {
        "bigcode/starcoder2-3b", "bigcode/starcoder2-7b", "bigcode/starcoder2-15b",
        "microsoft/phi-2", "meta-llama/Llama-3.1-8B-Instruct",
        "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct", "Qwen/Qwen2.5-Coder-7B-Instruct",
        "EleutherAI/pythia-2.8b",
        *(
            f"Qwen/Qwen2.5-{size}{kind}"
            for size in ("0.5B", "1.5B", "3B", "7B", "14B")
            for kind in (
                "", "-Instruct", "-Instruct-GPTQ-Int8", "-Instruct-GPTQ-Int4", "-Instruct-AWQ",
            )
        ),
    }  # fmt: skip
    assert wanted <= set(known_models())
    assert {m.config["model_type"] for m in known_models().values()} == set(MODEL_TYPES)


@pytest.mark.parametrize(
    "config", [small(t) for t in MODEL_TYPES] + [small(t, **c) for t, c in SWITCHED]
)
def test_each_part_is_exactly_that_of_the_model(config):
    counted, model = architecture_of(config), built(config)
    found = parts(model)
    assert counted.input_embedding == counted.head == found["table"]
    assert counted.layer_weights == found["layers"]
    assert linear_layers_counted(counted) == linear_layers(model)
    assert counted.biases == found["biases"]
    assert counted.norms == found["norms"]
    shared = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert counted.tied == shared
    assert counted.parameters == sum(p.numel() for p in model.parameters())


def test_what_a_configuration_leaves_out_has_the_defaults_of_transformers():
    for model_type in MODEL_TYPES:
        config = {"model_type": model_type, **COMMON, "num_hidden_layers": 2}
        config["hidden_size"] = 2048  # 32 kv heads are qwen2's default
        config["num_attention_heads"] = 32
        config["num_experts_per_tok"] = 2
        expected = sum(p.numel() for p in built(config).parameters())
        assert architecture_of(config).parameters == expected


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_cache_of_a_token_is_what_the_model_keeps(model_type):
    import torch

    config = small(model_type)
    model, counted = built(config, "cpu"), architecture_of(config)
    tokens = torch.arange(10).reshape(2, 5)
    with torch.inference_mode():
        cache = model(tokens, use_cache=True).past_key_values
    kept_bytes = sum(
        states.numel() * states.element_size()
        for layer in cache.layers
        for states in (layer.keys, layer.values)
    )
    assert kept_bytes == 2 * 5 * counted.kv_bytes_per_token(4)


def test_one_token_makes_use_of_some_experts_only():
    """The model's own tensors: of 4 experts, 2 are used, in 3 of 4 layers."""
    counted, model = architecture_of(small("deepseek_v2")), built(small("deepseek_v2"))
    experts = sum(p.numel() for n, p in model.named_parameters() if ".experts." in n)
    assert counted.expert_weights == experts
    assert counted.active_parameters == counted.parameters - experts // 2
    lite = architecture_of(known_models()["deepseek-ai/DeepSeek-Coder-V2-Lite-Base"].config)
    # "2.4B active parameters" (DeepSeek-AI 2024, arXiv:2406.11931), the input embedding aside.
    assert (lite.active_parameters - lite.input_embedding) / 1e9 == pytest.approx(2.4, abs=0.06)
    dense = architecture_of(small("llama"))
    assert dense.active_parameters == dense.parameters


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (None, 0)),  # Qwen2 names a window that it does not use
        ({"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}, (16, 3)),
        ({"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 4}, (None, 0)),
        (
            {
                "use_sliding_window": True,
                "sliding_window": 16,
                "layer_types": ["full_attention", "sliding_attention"] * 2,
            },
            (16, 2),
        ),
    ],
)
def test_windows_are_those_of_the_layers(changes, expected):
    config = small("qwen2", **{"sliding_window": 64, **changes})
    counted = architecture_of(config)
    assert (counted.window, counted.windowed_layers) == expected
    kinds = built(config).config.layer_types
    assert counted.windowed_layers == kinds.count("sliding_attention")


def test_every_layer_of_starcoder2_has_the_window():
    counted = architecture_of(small("starcoder2"))
    assert (counted.window, counted.windowed_layers) == (128, 4)


def test_an_unknown_model_type_and_an_absent_size_are_said():
    with pytest.raises(CodewattError, match=r"'bert': its size is unknown; allowed: starcoder2"):
        architecture_of({"model_type": "bert"})
    config = small("llama")
    del config["intermediate_size"]
    with pytest.raises(CodewattError, match="model type llama: intermediate_size is None"):
        architecture_of(config)


def test_known_gguf_files_have_the_parameters_of_their_headers():
    """SmolLM2-135M: 134,515,008 weights, summed over the tensors of the file's table."""
    for model in known_gguf_models().values():
        assert architecture_of(model.config).parameters == model.parameters
    assert {model.parameters for model in known_gguf_models().values()} == {134_515_008}
