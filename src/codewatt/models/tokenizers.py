"""Tokenizers for configurations that come without one."""

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError

_TRAINING_BYTES = 8_000_000
_END = "<|endoftext|>"


def make_tokenizer(settings: dict[str, Any], vocab_size: int, directory: Path) -> None:
    """Save the tokenizer that an `architecture` model asks for into its directory.

    Args:
        settings: {"source": "stdlib", "vocab_size"} or {"source": "path", "path"}.
        vocab_size: the model's; a tokenizer with more entries cannot be used with it.
        directory: the model's directory.

    Raises:
        CodewattError: the tokenizer has more entries than the model.
    """
    from transformers import AutoTokenizer

    if settings["source"] == "path":
        tokenizer = AutoTokenizer.from_pretrained(settings["path"], local_files_only=True)
    else:
        tokenizer = _from_stdlib(min(settings["vocab_size"], vocab_size))
    if len(tokenizer) > vocab_size:
        raise CodewattError(
            f"tokenizer: {len(tokenizer)} entries, the model's vocab_size is {vocab_size}"
        )
    tokenizer.save_pretrained(directory)


def _from_stdlib(vocab_size: int) -> Any:
    """Train a byte-level BPE on the standard library's source: prompts get realistic lengths."""
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
    """Source files of Python's standard library in order, up to a fixed number of bytes."""
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
