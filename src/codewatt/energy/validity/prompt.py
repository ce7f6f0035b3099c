"""Validity check of how the model was asked: as it was trained."""

from codewatt.benchmarks.prompt_format import PromptRecord
from codewatt.energy.validity.check import Check, CheckResult

ASKED_AS_TRAINED = Check(
    "asked_as_trained",
    "warning",
    purpose="Instruct models are asked by their chat template, base models by direct completion.",
    remedy="Use prompt style chat for instruct models and stripped for base models. If codewatt "
    "takes an instruct model for a base model, or the reverse, set its key instruct in the study "
    "file.",
    limit="instruct models with a chat template are asked by this template; base models are asked "
    "by direct completion; models with prompt style chat have a chat template",
    applies="always; if the kind of the model is unknown, only prompt style chat is checked",
    per="cell",
)
CHECKS = (ASKED_AS_TRAINED,)


def check_prompt(prompt: PromptRecord, style: str, instruct: bool | None) -> CheckResult:
    """Check that the model was asked as it was trained.

    Args:
        prompt: what the model was asked, from generate.json.
        style: the cell's prompt style.
        instruct: whether it is an instruct model; None if unknown.
    """
    asked, expected = prompt["asked"], prompt["asked"]
    detail = (
        "it is not known whether this is an instruct model" if instruct is None else "as trained"
    )
    if style == "chat" and asked == "direct completion":
        expected = "chat template"
        detail = "the prompt style is chat, but the model's tokenizer has no chat template"
    elif instruct is True and asked == "direct completion" and prompt["has_chat_template"]:
        expected = "chat template"
        detail = "an instruct model with a chat template was asked as a base model"
    elif instruct is False and asked == "chat template":
        expected = "direct completion"
        detail = "a base model was asked by the chat template of its tokenizer"
    return ASKED_AS_TRAINED.result(asked == expected, asked, expected, detail)
