"""A model directory's tokenizer, and tokenizers for configurations that come without one."""

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.model_config import read_object, refuse_code
from codewatt.models.model_files import VOCABULARIES, refuse_pointer

_TRAINING_BYTES = 8_000_000
_END = "<|endoftext|>"
_PROBED_TEXT = "def add(a, b):\n    return a + b\n"


def load_tokenizer(directory: str | Path) -> Any:
    """The tokenizer of a save_pretrained directory, padding on the left.

    Raises:
        CodewattError: there is none, it needs code of its own, or it makes no tokens of a text.
    """
    from transformers import AutoTokenizer

    root = Path(directory)
    if not any((root / name).is_file() for name in VOCABULARIES):
        raise CodewattError(
            f"{root}: no tokenizer; allowed: a directory with tokenizer.json, tokenizer.model, "
            "vocab.json or another vocabulary of transformers' tokenizers"
        )
    for name in VOCABULARIES:
        refuse_pointer(root / name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
        ids = tokenizer(_PROBED_TEXT)["input_ids"]
    except Exception as error:  # tokenizers' own errors are plain Exceptions
        settings = root / "tokenizer_config.json"
        if settings.is_file():
            refuse_code(root, read_object(settings), "AutoTokenizer")
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CodewattError(f"{root}: its tokenizer cannot be loaded: {reason}") from None
    if not set(ids) - set(tokenizer.all_special_ids):
        raise CodewattError(f"{root}: its tokenizer makes no tokens of a text")
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def make_tokenizer(settings: dict[str, Any], vocab_size: int, directory: Path) -> Any:
    """Save the tokenizer that an `architecture` model asks for into its directory.

    Args:
        settings: {"source": "stdlib", "vocab_size"} or {"source": "path", "path"}.
        vocab_size: the model's; a tokenizer with more entries cannot be used with it.
        directory: the model's directory.

    Returns:
        The tokenizer.

    Raises:
        CodewattError: there is no tokenizer in the path, or it has more entries than the model.
    """
    if settings["source"] == "path":
        tokenizer = load_tokenizer(settings["path"])
    else:
        tokenizer = _from_stdlib(min(settings["vocab_size"], vocab_size))
    if len(tokenizer) > vocab_size:
        raise CodewattError(
            f"tokenizer: {len(tokenizer)} entries, the model's vocab_size is {vocab_size}"
        )
    tokenizer.save_pretrained(directory)
    return tokenizer


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
