"""Checks that prompts and new tokens fit a model's context, before the model is loaded."""

from collections.abc import Sequence
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.models.model_config import context_length
from codewatt.models.tokenizers import load_tokenizer


def check_context_length(
    prompts: Sequence[str], task_ids: Sequence[str], directory: str | Path, token_limit: int
) -> None:
    """Check that the longest prompt and the token limit fit the model's context.

    Beyond its context, a model with learned positions fails and other models answer nonsense. Only
    the tokenizer and config.json are read. A config.json without a context length sets no limit.

    Args:
        prompts: as the model gets them, one per task.
        task_ids: of the tasks, for the message.
        directory: of the model.
        token_limit: maximum of new tokens.

    Raises:
        CodewattError: they do not fit.
    """
    context = context_length(read_json(Path(directory) / "config.json"))
    if context is None:
        return
    lengths = [len(ids) for ids in load_tokenizer(directory)(list(prompts)).input_ids]
    longest = max(lengths)
    where = f"task {task_ids[lengths.index(longest)]}: the prompt has {longest} tokens"
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
