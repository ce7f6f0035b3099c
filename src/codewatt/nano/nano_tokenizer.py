"""Nano's tokenizer: byte-level BPE like that of StarCoder2, trained on the training functions.

Each digit (with the space before it) is its own token, and a newline merges with the indentation
that follows it. A prompt that ends in a bare newline therefore ends in a token that does not occur
there in training.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json

EOS = "<|endoftext|>"
PAD = "<|pad|>"
_BYTES = 256
# For these model types AutoTokenizer ignores the tokenizer class of a model directory. It builds
# the model type's default tokenizer, which splits text differently from tokenizer.json. It uses
# the class if the directory has an auto_map, even an empty one (transformers 5.23,
# tokenization_auto.py, MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS); save_pretrained keeps the
# auto_map.
_MODEL_TYPES_WITH_IGNORED_CLASS = ("qwen2",)
_EMPTY_AUTO_MAP = {"AutoTokenizer": [None, None]}


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """Train the tokenizer.

    Args:
        texts: training texts.
        vocab_size: number of tokens, including 256 bytes and 2 special tokens.

    Returns:
        A transformers PreTrainedTokenizerFast that pads on the left.

    Raises:
        CodewattError: `vocab_size` is below 258.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if vocab_size < _BYTES + 2:
        raise CodewattError(f"nano: vocab_size: expected at least {_BYTES + 2}, found {vocab_size}")
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
    """Save the tokenizer so that AutoTokenizer reads it back unchanged.

    Args:
        tokenizer: the tokenizer.
        directory: directory of the model.
        model_type: model_type in the model's config.json.
    """
    tokenizer.save_pretrained(directory)
    path = directory / "tokenizer_config.json"
    config = read_json(path)
    config["tokenizer_class"] = "TokenizersBackend"
    if model_type in _MODEL_TYPES_WITH_IGNORED_CLASS:
        config["auto_map"] = _EMPTY_AUTO_MAP
    write_json(path, config)
