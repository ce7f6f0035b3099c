"""How a benchmark asks a model: the chat that wraps a task, and the stop strings.

A model is asked by the chat template of its tokenizer, or by direct completion: it continues the
task's text. The texts are those of EvalPlus 0.3.1 (evalplus/codegen.py, provider/utility.py,
provider/vllm.py) and BigCodeBench 0.2.5 (bigcodebench/generate.py, provider/utility.py,
provider/vllm.py), which share them.
"""

from dataclasses import dataclass
from typing import Literal, Self

from typing_extensions import TypedDict

Asked = Literal["chat template", "direct completion"]

INSTRUCTION_PREFIX = (
    "Please provide a self-contained Python script that solves the following problem in a markdown "
    "code block:"
)
RESPONSE_PREFIX = (
    "Below is a Python script with a self-contained function that solves the problem and passes "
    "corresponding tests:"
)
#: Stop strings of both ways to ask a model: the list EOS of both evaluators.
STOP_STRINGS = (
    "<|endoftext|>",
    "<|endofmask|>",
    "</s>",
    "\nif __name__",
    "\ndef main(",
    "\nprint(",
)
#: Stop strings of an answer to a chat; the last one is the end of the answer's code block.
CHAT_STOP_STRINGS = (*STOP_STRINGS, "\n```\n")
#: Stop strings of the direct completion of a function (HumanEval+, BigCodeBench).
FUNCTION_STOP_STRINGS = (*STOP_STRINGS, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")


class PromptFormatRecord(TypedDict):
    """A `PromptFormat` in the benchmark's manifest."""

    direct_stop_strings: list[str]
    chat_stop_strings: list[str]
    instruction_prefix: str
    response_prefix: str
    task_in_code_block: bool
    without_template: Literal["stripped_line", "as_is", "refused"]


class PromptRecord(TypedDict):
    """What the model of a cell was asked, in the cell's record (`codewatt.generate.cell_prompts`).

    has_chat_template: whether the model's tokenizer has a chat template. stop_strings: a completion
    ends before the first of them. first_prompt: prompt of the benchmark's first task, as the
    tokenizer gets it.
    """

    asked: Asked
    has_chat_template: bool
    stop_strings: list[str]
    first_task_id: str
    first_prompt: str


@dataclass(frozen=True)
class PromptFormat:
    """How a benchmark's upstream evaluator asks models, and where it ends their completions.

    Attributes:
        direct_stop_strings: all stop strings of direct completion. Generation ends before the
            first of them; the completion contains none of them.
        chat_stop_strings: all stop strings of an answer to a chat.
        instruction_prefix: the first line of the user's turn; the task follows it.
        response_prefix: the text with which the model's answer begins; a code block follows it.
        task_in_code_block: whether the task stands in a code block in the user's turn.
        without_template: prompt of a model without a chat template with prompt style `chat`:
            "stripped_line": the task's prompt without white space at both ends, and a newline;
            "as_is": the task's prompt;
            "refused": none; the tasks cannot be completed directly, in any prompt style.
    """

    direct_stop_strings: tuple[str, ...] = FUNCTION_STOP_STRINGS
    chat_stop_strings: tuple[str, ...] = CHAT_STOP_STRINGS
    instruction_prefix: str = INSTRUCTION_PREFIX
    response_prefix: str = RESPONSE_PREFIX
    task_in_code_block: bool = True
    without_template: Literal["stripped_line", "as_is", "refused"] = "stripped_line"

    def stop_strings(self, asked: Asked) -> tuple[str, ...]:
        """The stop strings of a model that is asked in this way."""
        return self.chat_stop_strings if asked == "chat template" else self.direct_stop_strings

    def user_turn(self, prompt: str) -> str:
        """The user's turn of the chat about a task."""
        task = prompt.strip()
        body = f"```\n{task}\n```" if self.task_in_code_block else task
        return f"{self.instruction_prefix}\n{body}\n"

    def response_start(self) -> str:
        """The text with which the model's turn begins: it ends inside a code block."""
        return f"{self.response_prefix}\n```python\n"

    def to_record(self) -> PromptFormatRecord:
        """The format as a record of the benchmark's manifest."""
        return {
            "direct_stop_strings": list(self.direct_stop_strings),
            "chat_stop_strings": list(self.chat_stop_strings),
            "instruction_prefix": self.instruction_prefix,
            "response_prefix": self.response_prefix,
            "task_in_code_block": self.task_in_code_block,
            "without_template": self.without_template,
        }

    @classmethod
    def from_record(cls, record: PromptFormatRecord) -> Self:
        """The format from a record of a benchmark's manifest."""
        return cls(
            direct_stop_strings=tuple(record["direct_stop_strings"]),
            chat_stop_strings=tuple(record["chat_stop_strings"]),
            instruction_prefix=record["instruction_prefix"],
            response_prefix=record["response_prefix"],
            task_in_code_block=record["task_in_code_block"],
            without_template=record["without_template"],
        )


#: HumanEval+ of EvalPlus 0.3.1.
HUMANEVAL_PLUS_FORMAT = PromptFormat()
#: MBPP+ of EvalPlus 0.3.1.
MBPP_PLUS_FORMAT = PromptFormat(direct_stop_strings=(*STOP_STRINGS, '\n"""', "\nassert"))
#: BigCodeBench 0.2.5, split complete: the model completes a function.
BIGCODEBENCH_COMPLETE_FORMAT = PromptFormat(without_template="as_is")
#: BigCodeBench 0.2.5, split instruct: the task is described in words, so no text can be continued.
BIGCODEBENCH_INSTRUCT_FORMAT = PromptFormat(task_in_code_block=False, without_template="refused")
