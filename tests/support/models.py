"""Little models of the studies' architectures, saved as transformers saves real ones."""

from pathlib import Path
from typing import Any

from tests.support.architectures import ARCHITECTURES, COMMON, VOCABULARY

__all__ = ["ARCHITECTURES", "save_tiny_model", "save_tiny_tokenizer"]


def save_tiny_model(
    architecture: str, directory: Path, layers: int = 4, **configuration: Any
) -> None:
    """Random weights, the same at every call, and a tokenizer; of any architecture."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    values = {**COMMON, **ARCHITECTURES.get(architecture, {}), "num_hidden_layers": layers}
    values |= configuration
    torch.manual_seed(7)
    config = AutoConfig.for_model(architecture, **values)
    AutoModelForCausalLM.from_config(config).float().save_pretrained(directory)
    save_tiny_tokenizer(directory)


def save_tiny_tokenizer(directory: Path) -> Any:
    """A byte-level tokenizer; also returned."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

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
    return tokenizer
