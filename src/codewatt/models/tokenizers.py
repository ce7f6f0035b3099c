"""Loads a model directory's tokenizer, and makes tokenizers for models with random weights."""

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.model_config import read_json_object, refuse_remote_code
from codewatt.models.model_files import VOCABULARIES, refuse_lfs_pointer
from codewatt.models.model_record import TokenizerSettings

_TRAINING_BYTES = 8_000_000
_END = "<|endoftext|>"
_TEST_TEXT = "def add(a, b):\n    return a + b\n"


def load_tokenizer(directory: str | Path) -> Any:
    """Load the tokenizer of a save_pretrained directory, set to left padding.

    Raises:
        CodewattError: there is none, it needs its own code, or it makes no tokens from a text.
    """
    from transformers import AutoTokenizer

    root = Path(directory)
    if not any((root / name).is_file() for name in VOCABULARIES):
        raise CodewattError(
            f"{root}: no tokenizer; allowed: a directory with tokenizer.json, tokenizer.model, "
            "vocab.json or another vocabulary of transformers' tokenizers"
        )
    for name in VOCABULARIES:
        refuse_lfs_pointer(root / name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
        ids = tokenizer(_TEST_TEXT)["input_ids"]
    except Exception as error:  # tokenizers' own errors are plain Exceptions
        settings = root / "tokenizer_config.json"
        if settings.is_file():
            refuse_remote_code(root, read_json_object(settings), "AutoTokenizer")
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CodewattError(f"{root}: the tokenizer cannot be loaded: {reason}") from None
    if not set(ids) - set(tokenizer.all_special_ids):
        raise CodewattError(
            f"{root}: the tokenizer makes no tokens from a text; its vocabulary is damaged or empty"
        )
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def make_tokenizer(settings: TokenizerSettings, vocab_size: int, directory: Path) -> Any:
    """Make the tokenizer of a model with random weights and save it into the model's directory.

    Args:
        settings: {"source": "stdlib", "vocab_size": n}, or {"source": "path", "path": directory}.
        vocab_size: of the model.
        directory: of the model.

    Returns:
        The tokenizer.

    Raises:
        CodewattError: the path has no tokenizer, or it has more entries than vocab_size.
    """
    if settings["source"] == "path":
        tokenizer = load_tokenizer(settings["path"])
    else:
        tokenizer = _from_stdlib(min(settings["vocab_size"], vocab_size))
    if len(tokenizer) > vocab_size:
        raise CodewattError(
            f"tokenizer: {len(tokenizer)} entries, but the model's vocab_size is {vocab_size}; "
            "allowed: a tokenizer with at most vocab_size entries"
        )
    tokenizer.save_pretrained(directory)
    return tokenizer


def _from_stdlib(vocab_size: int) -> Any:
    """Train a byte-level BPE tokenizer on the standard library, for realistic prompt lengths."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_stdlib_source(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=_END, pad_token=_END, padding_side="left"
    )


def _stdlib_source() -> Iterator[str]:
    """Source files of Python's standard library in sorted order, up to _TRAINING_BYTES."""
    root = Path(sysconfig.get_path("stdlib"))
    taken = 0
    for path in sorted(root.glob("*.py")) + sorted(root.glob("*/*.py")):
        if "site-packages" in path.parts or taken > _TRAINING_BYTES:
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        taken += len(text)
        yield text
    if not taken:
        raise CodewattError(f"{root}: no Python source to train a tokenizer on ({sys.version})")
