"""The tokenizer of a GGUF file, with llama.cpp's splitting of text, and its stop tokens.

transformers builds the tokenizer. It knows only some of the names that `tokenizer.ggml.pre` can
have, and splits text as GPT-2 does for all others.
"""

from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.gguf_header import GgufHeader
from codewatt.untrusted_files import display_path

#: Values of tokenizer.ggml.pre for which llama.cpp splits text as GPT-2 does.
_AS_GPT2 = ("gpt-2", "phi-2", "mpt", "olmo", "jais", "gigachat", "exaone4")
#: Values for which llama.cpp takes each digit for itself, before it splits as GPT-2 does. This is
#: the pre-tokenizer of StarCoder and SmolLM; it differs after white space: "\n    1".
_DIGITS_FIRST = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
_STOP_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")


def load_gguf_tokenizer(header: GgufHeader, file: Path) -> Any:
    """transformers' tokenizer of a GGUF file, with its chat template if it has one.

    Args:
        header: of the file.
        file: path that transformers reads; in a folder without other files of a model.

    Raises:
        CodewattError: transformers cannot build it, or would split text otherwise than llama.cpp.
    """
    from transformers import AutoTokenizer

    shown, splitting = display_path(header.path), _splitting(header)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            file.parent, gguf_file=file.name, local_files_only=True
        )
    except Exception as error:  # the reader raises whatever its mappings run into
        reason = " ".join(str(error).replace(str(file), shown).split()) or type(error).__name__
        raise CodewattError(f"{shown}: transformers cannot read its tokenizer: {reason}") from None
    if splitting == "digits first":
        from tokenizers import pre_tokenizers

        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    begins = header.metadata.get("tokenizer.ggml.add_bos_token")
    ids = tokenizer("a")["input_ids"]
    if begins is not None and begins != (ids[:1] == [tokenizer.bos_token_id]):
        raise CodewattError(
            f"{shown}: tokenizer.ggml.add_bos_token is {str(begins).lower()}, but transformers' "
            "tokenizer does not do so; allowed: the original checkpoint (source: hub or path)"
        )
    return tokenizer


def stop_token_ids(header: GgufHeader) -> list[int]:
    """Ids of the tokens that end a completion: end of sequence, of a turn and of a message.

    Raises:
        CodewattError: the file names none.
    """
    found = [header.metadata.get(f"tokenizer.ggml.{key}") for key in _STOP_KEYS]
    ids = [value for value in found if isinstance(value, int)]
    if not ids:
        raise CodewattError(
            f"{display_path(header.path)}: tokenizer.ggml.eos_token_id is missing, so no token "
            "would end a completion; allowed: GGUF files that name it"
        )
    return list(dict.fromkeys(ids))


def _splitting(header: GgufHeader) -> str:
    """How llama.cpp splits text before it merges: "digits first", or "as transformers does".

    Raises:
        CodewattError: the file does not say, or transformers splits otherwise.
    """
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    kind = header.metadata.get("tokenizer.ggml.model")
    name = header.metadata.get("tokenizer.ggml.pre")
    if kind != "gpt2" or name in _AS_GPT2 or name in GGUF_PRE_TOKENIZER_SPLITS:
        return "as transformers does"
    if name in _DIGITS_FIRST:
        return "digits first"
    known = sorted({*_AS_GPT2, *_DIGITS_FIRST, *GGUF_PRE_TOKENIZER_SPLITS})
    raise CodewattError(
        f"{display_path(header.path)}: tokenizer.ggml.pre is {name!r:.80}: transformers would "
        f"split text otherwise than llama.cpp; allowed: {', '.join(known)}"
    )
