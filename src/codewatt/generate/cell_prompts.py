"""The prompts of a cell: direct completion of the tasks, or a chat about each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.benchmarks.prompt_format import Asked, PromptFormat, PromptRecord
from codewatt.benchmarks.tasks import Task
from codewatt.errors import CodewattError

#: Stands for the model's answer in a rendered chat; the prompt is the text before it. As in
#: EvalPlus 0.3.1 and BigCodeBench 0.2.5 (provider/utility.py).
_ANSWER = "-[[]]-this-is-really-our-highest-priority-[[]]-"


@dataclass(frozen=True)
class CellPrompts:
    """What the model of a cell is asked.

    Attributes:
        texts: one prompt per task, as the tokenizer gets it.
        task_ids: ids of the tasks, in the same order.
        asked: whether the model is asked by its chat template or by direct completion.
        stop_strings: a completion ends before the first of them.
        has_chat_template: whether the model's tokenizer has a chat template.
    """

    texts: list[str]
    task_ids: list[str]
    asked: Asked
    stop_strings: tuple[str, ...]
    has_chat_template: bool

    @property
    def add_special_tokens(self) -> bool:
        """Whether the tokenizer adds special tokens, such as BOS; a chat already contains them."""
        return self.asked == "direct completion"

    def solution(self, prompt: str, completion: str) -> str:
        """The text that is judged: an answer alone, or the prompt with its direct completion."""
        return completion if self.asked == "chat template" else prompt + completion

    def describe(self) -> PromptRecord:
        """What was asked, for the cell's record."""
        return {
            "asked": self.asked,
            "has_chat_template": self.has_chat_template,
            "stop_strings": list(self.stop_strings),
            "first_task_id": self.task_ids[0],
            "first_prompt": self.texts[0],
        }


def cell_prompts(
    tasks: Sequence[Task], style: str, prompt_format: PromptFormat, tokenizer: Any
) -> CellPrompts:
    """The prompts of a cell.

    Args:
        tasks: tasks of the benchmark; at least one.
        style: prompt style of the study. `stripped` and `as_is` are direct completion. `chat` uses
            the chat template; a model without one is asked by direct completion, as in EvalPlus and
            BigCodeBench.
        prompt_format: prompt format of the benchmark.
        tokenizer: tokenizer of the model.

    Raises:
        CodewattError: the style is unknown, the benchmark has no direct completion, or the chat
            template cannot render the chat.
    """
    has_template = tokenizer.chat_template is not None
    asked: Asked = "chat template" if style == "chat" and has_template else "direct completion"
    if asked == "chat template":
        texts = [render_chat(tokenizer, prompt_format, task.prompt) for task in tasks]
    else:
        texts = [_direct_prompt(task.prompt, style, prompt_format) for task in tasks]
    return CellPrompts(
        texts,
        [task.task_id for task in tasks],
        asked,
        prompt_format.stop_strings(asked),
        has_template,
    )


def render_chat(tokenizer: Any, prompt_format: PromptFormat, prompt: str) -> str:
    """The chat about one task, up to the end of the given beginning of the model's turn.

    Args:
        tokenizer: tokenizer of the model, with a chat template.
        prompt_format: prompt format of the benchmark.
        prompt: prompt of the task.

    Raises:
        CodewattError: the chat template fails, or leaves out the model's turn.
    """
    from jinja2 import TemplateError

    chat = [
        {"role": "user", "content": prompt_format.user_turn(prompt)},
        {"role": "assistant", "content": f"{prompt_format.response_start()}{_ANSWER}\n```\n"},
    ]
    try:
        rendered = tokenizer.apply_chat_template(chat, tokenize=False)
    except (TemplateError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CodewattError(
            f"prompt style 'chat': the model's chat template fails: {reason}; allowed for this "
            "model: stripped, as_is"
        ) from None
    start, answer, _ = rendered.partition(_ANSWER)
    if not answer:
        raise CodewattError(
            "prompt style 'chat': the model's chat template leaves out the turn of role "
            "'assistant'; allowed for this model: stripped, as_is"
        )
    return str(start)


def _direct_prompt(prompt: str, style: str, prompt_format: PromptFormat) -> str:
    """The prompt of direct completion."""
    if prompt_format.without_template == "refused":
        raise CodewattError(
            f"prompt style {style!r}: the tasks are instructions, which cannot be completed "
            "directly; allowed: prompt style chat, with a model that has a chat template"
        )
    if style == "stripped":
        return prompt.strip()
    if style == "as_is":
        return prompt
    if style == "chat":
        return prompt if prompt_format.without_template == "as_is" else prompt.strip() + "\n"
    raise CodewattError(f"prompt style {style!r}: allowed: stripped, as_is, chat")
