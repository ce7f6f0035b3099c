"""Stop tokens of a model, and the settings of its generation_config.json that are ignored.

Stop tokens are those of transformers' `model.generate()`. Other settings (penalties, suppressed or
forced tokens, sampling) would change which tokens are chosen; the study sets how tokens are chosen,
so these are recorded and ignored.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.model_files import CONFIGURATION, refuse_lfs_pointer
from codewatt.models.model_record import GenerationRecord

GENERATION_FILE = "generation_config.json"
#: Keys that do not change which tokens are chosen.
_NEUTRAL_KEYS = {
    "_from_model_config",
    "bos_token_id",
    "decoder_start_token_id",
    "eos_token_id",
    "output_attentions",
    "output_hidden_states",
    "output_logits",
    "output_scores",
    "pad_token_id",
    "return_dict_in_generate",
    "transformers_version",
    "use_cache",
}


@dataclass(frozen=True)
class GenerationDefaults:
    """Stop tokens and ignored generation settings of a model directory.

    Attributes:
        stop_token_ids: ids of the tokens that end a completion; empty if no file names one.
        stop_tokens_from: generation_config.json, config.json or tokenizer; None if no file names a
            stop token.
        ignored: settings of generation_config.json that no engine uses.
    """

    stop_token_ids: tuple[int, ...]
    stop_tokens_from: str | None
    ignored: dict[str, Any] = field(default_factory=dict)

    def describe(self, tokenizer: Any) -> GenerationRecord:
        """The stop tokens and the ignored settings, for manifests."""
        return {
            "stop_token_ids": list(self.stop_token_ids),
            "stop_tokens": [
                tokenizer.convert_ids_to_tokens(token) for token in self.stop_token_ids
            ],
            "stop_tokens_from": self.stop_tokens_from,
            "ignored_settings": self.ignored,
        }

    def padding(self, tokenizer: Any) -> int:
        """The token id that pads rows before their prompt and after their end; always masked."""
        if tokenizer.pad_token_id is not None:
            return int(tokenizer.pad_token_id)
        return self.stop_token_ids[0] if self.stop_token_ids else 0


def read_generation_defaults(directory: str | Path, tokenizer: Any) -> GenerationDefaults:
    """Read the stop tokens and the ignored generation settings of a model directory.

    Stop tokens are eos_token_id of generation_config.json, as for transformers' generate(); if it
    is absent or names none, those of config.json; else the tokenizer's end-of-sequence token, with
    which generate() would continue to its limit.

    Raises:
        CodewattError: a file cannot be read, or its eos_token_id is not a token id.
    """
    root = Path(directory)
    found = _read(root, GENERATION_FILE) if (root / GENERATION_FILE).is_file() else None
    from_config = _read(root, CONFIGURATION)
    chosen = from_config if found is None else found
    ignored = {
        key: value
        for key, value in chosen.to_diff_dict().items()
        if key not in _NEUTRAL_KEYS and value is not None
    }
    sources = {CONFIGURATION: from_config.eos_token_id, "tokenizer": tokenizer.eos_token_id}
    if found is not None:
        sources = {GENERATION_FILE: found.eos_token_id, **sources}
    for source, eos_token_id in sources.items():
        if stop_token_ids := _token_ids(root, source, eos_token_id):
            return GenerationDefaults(stop_token_ids, source, ignored)
    return GenerationDefaults((), None, ignored)


def _read(root: Path, name: str) -> Any:
    """transformers' GenerationConfig from a file of the directory."""
    from transformers import GenerationConfig

    refuse_lfs_pointer(root / name)
    try:
        return GenerationConfig.from_pretrained(
            root,
            config_file_name=name,
            local_files_only=True,
            **({"_from_model_config": True} if name == CONFIGURATION else {}),
        )
    except (OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CodewattError(f"{root / name}: cannot be read: {reason}") from None


def _token_ids(root: Path, source: str, value: Any) -> tuple[int, ...]:
    """Token ids from one id or a list; ids below 0 are left out, as no model generates them."""
    ids = value if isinstance(value, list | tuple) else [] if value is None else [value]
    for one in ids:
        if not isinstance(one, int) or isinstance(one, bool):
            raise CodewattError(
                f"{root / source}: eos_token_id: {value!r}; allowed: a token id, or a list of "
                "token ids"
            )
    return tuple(dict.fromkeys(one for one in ids if one >= 0))
