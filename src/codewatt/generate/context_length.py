"""Checks that prompts and new tokens fit a model's context, before the model is loaded."""

from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.generate.cell_prompts import CellPrompts
from codewatt.generate.prompt_batches import encode_prompts
from codewatt.models.model_config import context_length


def check_context_length(
    prompts: CellPrompts, tokenizer: Any, directory: str | Path, token_limit: int
) -> None:
    """Check that the longest prompt and the token limit fit the model's context.

    Beyond its context, a model with learned positions fails and other models answer nonsense. A
    config.json without a context length sets no limit.

    Args:
        prompts: of the cell.
        tokenizer: of the model.
        directory: of the model.
        token_limit: maximum of new tokens.

    Raises:
        CodewattError: they do not fit.
    """
    context = context_length(read_json(Path(directory) / "config.json"))
    if context is None:
        return
    ids = encode_prompts(tokenizer, prompts.texts, add_special_tokens=prompts.add_special_tokens)
    lengths = list(map(len, ids))
    longest = max(lengths)
    where = f"task {prompts.task_ids[lengths.index(longest)]}: the prompt has {longest} tokens"
    if longest >= context:
        raise CodewattError(
            f"{where}, the model's context has {context}; use a model with a longer context, or "
            "exclude this model"
        )
    if longest + token_limit > context:
        raise CodewattError(
            f"{where} and the token limit is {token_limit}, the model's context has {context}; "
            f"allowed: token limits up to {context - longest}; or use a model with a longer "
            "context, or exclude the cell"
        )
