"""Nano's tokenizer: byte-level BPE as StarCoder2 has it, trained on the training text.

Digits stand alone (with the blank before them), and a line's break merges with the indentation
that follows it. A prompt that ends in a bare newline therefore ends in a token that training
never showed there.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json

EOS = "<|endoftext|>"
PAD = "<|pad|>"
_BYTES = 256
# AutoTokenizer distrusts the tokenizer class that a folder of these model types names. It builds
# the model type's own tokenizer instead, which parts text otherwise than tokenizer.json says.
# It believes a folder that has an auto_map, even an empty one (transformers 5.23,
# tokenization_auto.py, MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS); save_pretrained keeps it.
_DISTRUSTED_MODEL_TYPES = ("qwen2",)
_EMPTY_AUTO_MAP = {"AutoTokenizer": [None, None]}


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """Train the tokenizer; returns a transformers PreTrainedTokenizerFast that pads left.

    Raises:
        CodewattError: `vocab_size` does not even hold the bytes and the two special tokens.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if vocab_size < _BYTES + 2:
        raise CodewattError(f"nano: vocab_size is {vocab_size}, at least {_BYTES + 2} is needed")
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(" ?[0-9]"), "isolated"), pre_tokenizers.ByteLevel(False)]
    )
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[EOS, PAD],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=EOS,
        pad_token=PAD,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def save_tokenizer(tokenizer: Any, directory: Path, model_type: str) -> None:
    """Save the tokenizer so that AutoTokenizer reads it back as it is in a model's folder.

    Args:
        model_type: of the model's config.json in the same folder.
    """
    tokenizer.save_pretrained(directory)
    path = directory / "tokenizer_config.json"
    config = read_json(path)
    config["tokenizer_class"] = "TokenizersBackend"
    if model_type in _DISTRUSTED_MODEL_TYPES:
        config["auto_map"] = _EMPTY_AUTO_MAP
    write_json(path, config)
