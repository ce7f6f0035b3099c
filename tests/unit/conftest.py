"""Little models of the studies' architectures, saved as transformers saves real ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.architectures import ARCHITECTURES, COMMON, VOCABULARY


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """tiny_model(architecture, layers=4): a save_pretrained directory, made once a session."""
    made: dict[tuple[str, int], Path] = {}

    def make(architecture: str, layers: int = 4) -> Path:
        key = (architecture, layers)
        if key not in made:
            made[key] = tmp_path_factory.mktemp(f"{architecture}-{layers}")
            _save(architecture, layers, made[key])
        return made[key]

    return make


def _save(architecture: str, layers: int, directory: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    values = {**COMMON, **ARCHITECTURES[architecture], "num_hidden_layers": layers}
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
