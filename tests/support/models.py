"""Little models of the studies' architectures, saved as transformers saves real ones."""

from pathlib import Path

VOCABULARY = 384
_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
ARCHITECTURES = {
    "starcoder2": {"num_key_value_heads": 2, "sliding_window": 128},
    "phi": {"num_key_value_heads": 4},
    "qwen2": {"num_key_value_heads": 2},
    "llama": {"num_key_value_heads": 2},
    "gpt_neox": {},
    "deepseek_v2": {
        "num_key_value_heads": 4,
        "moe_intermediate_size": 64,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        "kv_lora_rank": 32,
        "q_lora_rank": None,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 16,
        "v_head_dim": 16,
        "head_dim": 16,
        "n_group": 1,
        "topk_group": 1,
    },
}


def save_tiny_model(architecture: str, directory: Path, layers: int = 4) -> None:
    """Random weights, the same at every call, and a tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    values = {**_COMMON, **ARCHITECTURES[architecture], "num_hidden_layers": layers}
    torch.manual_seed(7)
    config = AutoConfig.for_model(architecture, **values)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(directory)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(["def add(a, b):\n    return a + b\n"] * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>")
    tokenizer.save_pretrained(directory)
