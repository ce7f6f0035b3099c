"""Prompts as a model gets them, and whether it reads them whole."""

from collections.abc import Sequence
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.models.model_config import context_length
from codewatt.models.tokenizers import load_tokenizer


def refuse_long_prompts(
    prompts: Sequence[str], task_ids: Sequence[str], directory: str | Path, token_limit: int
) -> None:
    """Refuse prompts that leave a model no room to write as many tokens as it may.

    Beyond its context a model with learned positions fails, and another answers nonsense. Reading
    the tokenizer and config.json is enough to know, so it is done before weights are loaded.

    Args:
        prompts: as the model gets them, one a task.
        task_ids: of the tasks, for the message.
        directory: the model's.
        token_limit: new tokens.

    Raises:
        CodewattError: the longest prompt and the token limit exceed the context; a config.json
            that does not say how many tokens the model reads sets no limit.
    """
    context = context_length(read_json(Path(directory) / "config.json"))
    if context is None:
        return
    lengths = [len(ids) for ids in load_tokenizer(directory)(list(prompts)).input_ids]
    longest = max(lengths)
    where = f"{task_ids[lengths.index(longest)]}: its prompt has {longest} tokens"
    if longest >= context:
        raise CodewattError(
            f"{where}, the model reads {context}; allowed: a model that reads more, or exclude "
            "the model"
        )
    if longest + token_limit > context:
        raise CodewattError(
            f"{where}, and the token limit is {token_limit}; the model reads {context}; allowed: "
            f"token limits up to {context - longest}, a model that reads more, or exclude the cell"
        )
