"""Tiny GGUF files of the llama architecture, written by the package gguf as by llama.cpp."""

import json
from pathlib import Path
from typing import Any

import numpy as np

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>\n'}}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZES = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
_CONTROL, _NORMAL = 3, 1


def tokenizer_of_smollm() -> Any:
    """A tiny tokenizer that splits text as SmolLM's does: digits first, then as GPT-2."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = "def add(a, b):\n    return a + b\n\nitems = [\n    1,\n    22,\n]\n"
    bpe.train_from_iterator([text] * 3, trainer)
    return bpe


def tiny_llama(vocabulary: int, *, tied: bool = True, seed: int = 5) -> Any:
    """A llama model with random weights, in float32, as transformers makes it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        **SIZES, vocab_size=vocabulary, tie_word_embeddings=tied, rope_theta=10_000.0,
        rms_norm_eps=1e-5, initializer_range=0.2,
    )  # fmt: skip
    return LlamaForCausalLM(config).float().eval()


def gguf_tensors(model: Any) -> dict[str, np.ndarray]:
    """llama.cpp's tensors of a llama model: rows of queries and keys reordered for its RoPE."""
    config = model.config
    heads = {"q": config.num_attention_heads, "k": config.num_key_value_heads}
    parts = {
        "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    }  # fmt: skip
    weights = {name: tensor.detach().numpy() for name, tensor in model.named_parameters()}
    found = {
        "token_embd.weight": weights["model.embed_tokens.weight"],
        "output_norm.weight": weights["model.norm.weight"],
    }
    if not config.tie_word_embeddings:
        found["output.weight"] = weights["lm_head.weight"]
    for layer in range(config.num_hidden_layers):
        for theirs, ours in parts.items():
            weight = weights[f"model.layers.{layer}.{theirs}.weight"]
            if ours in ("attn_q", "attn_k"):
                count = heads[ours[-1]]
                halves = weight.reshape(count, 2, weight.shape[0] // count // 2, weight.shape[1])
                weight = halves.swapaxes(1, 2).reshape(weight.shape)
            found[f"blk.{layer}.{ours}.weight"] = weight
    return found


def write_gguf(
    path: Path,
    model: Any,
    tokenizer: Any = None,
    *,
    packing: str = "F32",
    architecture: str = "llama",
    tensors: dict[str, np.ndarray] | None = None,
    without: tuple[str, ...] = (),
    **metadata: Any,
) -> Path:
    """Write a model as GGUF: matrices in `packing`, vectors in F32.

    Args:
        path: of the file.
        model: of `tiny_llama`.
        tokenizer: of the package tokenizers; None for `tokenizer_of_smollm`.
        packing: F32, F16, Q4_1, Q8_0 or another type that gguf can quantise to.
        architecture: llama.cpp's name, for the file.
        tensors: further tensors, in F32.
        without: keys of the metadata to leave out.
        **metadata: further values by key, with __ for a dot; they replace those of this function.
    """
    import gguf

    bpe = tokenizer or tokenizer_of_smollm()
    kind = gguf.GGMLQuantizationType[packing]
    config, prefix = model.config, architecture
    values: dict[str, Any] = {
        "general.type": "model",
        "general.name": "Tiny",
        "general.file_type": int(
            gguf.LlamaFileType["ALL_F32" if packing == "F32" else f"MOSTLY_{packing}"]
        ),
        f"{prefix}.block_count": config.num_hidden_layers,
        f"{prefix}.context_length": config.max_position_embeddings,
        f"{prefix}.embedding_length": config.hidden_size,
        f"{prefix}.feed_forward_length": config.intermediate_size,
        f"{prefix}.attention.head_count": config.num_attention_heads,
        f"{prefix}.attention.head_count_kv": config.num_key_value_heads,
        f"{prefix}.rope.dimension_count": config.hidden_size // config.num_attention_heads,
        f"{prefix}.rope.freq_base": 10_000.0,
        f"{prefix}.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": CHAT_TEMPLATE,
    }
    values |= {key.replace("__", "."): value for key, value in metadata.items()}
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in values.items():
        if key in without:
            continue
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_string(key, value)
    saved = json.loads(bpe.to_str())["model"]
    tokens = sorted(saved["vocab"], key=saved["vocab"].get)
    writer.add_token_list(tokens)
    writer.add_token_types([_CONTROL if token in SPECIAL else _NORMAL for token in tokens])
    writer.add_token_merges(
        [pair if isinstance(pair, str) else " ".join(pair) for pair in saved["merges"]]
    )
    for name, weight in gguf_tensors(model).items():
        packed = packing != "F32" and weight.ndim > 1
        data = gguf.quants.quantize(weight, kind) if packed else weight.astype(np.float32)
        writer.add_tensor(name, data, raw_dtype=kind if packed else None)
    for name, weight in (tensors or {}).items():
        writer.add_tensor(name, weight.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
