"""Tiny models whose next token depends on the last one alone: a test says what they write."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VOCABULARY = 320
#: Special tokens, by the ids that they have.
SPECIALS = {"<|end|>": 256, "<|turn|>": 257, "<|fill|>": 258}


def save_chain(
    directory: Path,
    texts: Sequence[str | Sequence[str]],
    *,
    eos: str | None = "<|end|>",
    pad: str | None = None,
    side: str = "left",
    generation: Mapping[str, Any] | None = None,
    configuration: Mapping[str, Any] | None = None,
) -> Any:
    """Save a model that goes on from each text's first token to its last, and there stays.

    Args:
        texts: each a string of single bytes, or several and special tokens between them.
        eos, pad, side: of the tokenizer.
        generation: generation_config.json; none is written if absent.
        configuration: what config.json says beside.

    Returns:
        The model, in float32.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = _tokenizer(eos, pad, side)
    following = {}
    for text in texts:
        ids = [i for part in _parts(text) for i in _ids(tokenizer, part)]
        following |= dict(zip(ids, [*ids[1:], ids[-1]], strict=True))
    size = VOCABULARY
    values = {
        "hidden_size": size,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "vocab_size": size,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": False,
        "eos_token_id": None,
        "bos_token_id": None,
        "pad_token_id": None,
        **(configuration or {}),
    }
    config = AutoConfig.for_model("llama", **values)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.zero_()  # nothing but the last token reaches the head
        model.get_input_embeddings().weight.copy_(torch.eye(size))
        head = 1e-3 * torch.randn(size, size)
        for token in range(size):
            head[following.get(token, token), token] = 1.0
        model.get_output_embeddings().weight.copy_(head)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    path = directory / "generation_config.json"
    path.unlink()
    if generation is not None:
        path.write_text(json.dumps(dict(generation)))
    return model


def _parts(text: Any) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def _ids(tokenizer: Any, part: str) -> list[int]:
    if part in SPECIALS:
        return [SPECIALS[part]]
    found: list[int] = tokenizer(part, add_special_tokens=False)["input_ids"]
    return found


def _tokenizer(eos: str | None, pad: str | None, side: str) -> Any:
    """Bytes as tokens 0 to 255, then the special ones."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    whole = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.decoder = decoders.ByteLevel()
    whole.add_special_tokens([AddedToken(name, special=True) for name in SPECIALS])
    named = {
        key: value for key, value in (("eos_token", eos), ("pad_token", pad)) if value is not None
    }
    return PreTrainedTokenizerFast(tokenizer_object=whole, padding_side=side, **named)
