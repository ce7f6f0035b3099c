"""At which tokens a model's completions end, and what else its files say of generating.

Ends are those of transformers' `model.generate()`. What else generation_config.json asks for
(penalties, suppressed or forced tokens, sampling) would change which tokens are chosen; the study
chooses them, and it is only recorded here.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.model_files import CONFIGURATION, refuse_pointer

GENERATION_FILE = "generation_config.json"
#: Keys that say nothing of which tokens are chosen.
_HARMLESS = {
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
    """What a model directory says of generating.

    Attributes:
        ends: ids of the tokens that end a completion; none if nothing names one.
        source: where they are from: generation_config.json, config.json or tokenizer; None if
            nothing names one.
        ignored: what generation_config.json asks for and no engine does.
    """

    ends: tuple[int, ...]
    source: str | None
    ignored: dict[str, Any] = field(default_factory=dict)

    def describe(self, tokenizer: Any) -> dict[str, Any]:
        """For a manifest: end_token_ids, end_tokens, end_tokens_from, ignored_settings."""
        return {
            "end_token_ids": list(self.ends),
            "end_tokens": [tokenizer.convert_ids_to_tokens(end) for end in self.ends],
            "end_tokens_from": self.source,
            "ignored_settings": self.ignored,
        }

    def padding(self, tokenizer: Any) -> int:
        """A token to fill rows with, before their prompt and after their end: never looked at."""
        if tokenizer.pad_token_id is not None:
            return int(tokenizer.pad_token_id)
        return self.ends[0] if self.ends else 0


def generation_defaults(directory: str | Path, tokenizer: Any) -> GenerationDefaults:
    """What a model directory says of generating.

    The ends are those of generation_config.json, as for transformers' generate(). Where it is
    absent or names none they are those of config.json, and else the tokenizer's end of sequence:
    generate() would then go on to its limit.

    Raises:
        CodewattError: a file is not readable, or its ends are not token ids.
    """
    root = Path(directory)
    found = _read(root, GENERATION_FILE) if (root / GENERATION_FILE).is_file() else None
    of_model = _read(root, CONFIGURATION)
    given = of_model if found is None else found
    ignored = {
        key: value
        for key, value in given.to_diff_dict().items()
        if key not in _HARMLESS and value is not None
    }
    sources = {CONFIGURATION: of_model.eos_token_id, "tokenizer": tokenizer.eos_token_id}
    if found is not None:
        sources = {GENERATION_FILE: found.eos_token_id, **sources}
    for source, said in sources.items():
        if ends := _token_ids(root, source, said):
            return GenerationDefaults(ends, source, ignored)
    return GenerationDefaults((), None, ignored)


def _read(root: Path, name: str) -> Any:
    """transformers' GenerationConfig of one of a directory's files."""
    from transformers import GenerationConfig

    refuse_pointer(root / name)
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


def _token_ids(root: Path, source: str, said: Any) -> tuple[int, ...]:
    """Ids from one id or several; ids below 0 stand for none, as nothing generates them."""
    ids = said if isinstance(said, list | tuple) else [] if said is None else [said]
    for one in ids:
        if not isinstance(one, int) or isinstance(one, bool):
            raise CodewattError(
                f"{root / source}: eos_token_id: {said!r}; allowed: a token's id, or a list of ids"
            )
    return tuple(dict.fromkeys(one for one in ids if one >= 0))
