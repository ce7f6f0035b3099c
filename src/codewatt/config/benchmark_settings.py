"""The benchmarks that a study may name."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from codewatt.config.strict_model import Entry, Seed

NANO_TASKS = 8000
"""Whatever the seed, there are more than these: about a thousand more, by the draw."""


class NanoTasks(Entry):
    """Generated tasks like those that nano models are trained on, but never one of them."""

    kind: Literal["nano"]
    tasks: Annotated[int, Field(gt=0, le=NANO_TASKS)] = Field(100, description="Number of tasks.")
    seed: Seed = Field(0, description="Seed by which the tasks are drawn.")


class HumanEvalPlusTasks(Entry):
    """HumanEval+ (Liu et al. 2023), 164 tasks, with HumanEval's tests as its base part."""

    kind: Literal["humaneval_plus"]
    mini: bool = Field(False, description="Use the reduced set of plus tests (HumanEval+ Mini).")
    tasks: Annotated[int, Field(gt=0, le=164)] | None = Field(
        None, description="Use only the first tasks, this many, for a trial run; null: all tasks."
    )


class MbppPlusTasks(Entry):
    """MBPP+ (Liu et al. 2023), 378 tasks, with MBPP's tests as its base part."""

    kind: Literal["mbpp_plus"]
    tasks: Annotated[int, Field(gt=0, le=378)] | None = Field(
        None, description="Use only the first tasks, this many, for a trial run; null: all tasks."
    )


_HARD_TASKS = 148


class BigCodeBenchTasks(Entry):
    """BigCodeBench v0.1.4 (Zhuo et al. 2024), 1,140 tasks that use many libraries.

    Programs are judged by unit tests, in a Python environment of their own
    (docs/how-to/bigcodebench.md).
    """

    kind: Literal["bigcodebench"]
    split: Literal["complete", "instruct"] = Field(
        "complete",
        description=(
            "Prompt of a task: 'complete' gives the imports, signature and docstring of the "
            "function; 'instruct' describes the task in words, for models with a chat template."
        ),
    )
    subset: Literal["full", "hard"] = Field(
        "full", description="'full', or 'hard' for the 148 tasks of BigCodeBench-Hard."
    )
    tasks: Annotated[int, Field(gt=0, le=1140)] | None = Field(
        None,
        description="Number of tasks to use, from the first of the subset on; null: all tasks.",
    )

    @model_validator(mode="after")
    def _subset_has_as_many_tasks(self) -> Self:
        if self.subset == "hard" and self.tasks is not None and self.tasks > _HARD_TASKS:
            raise ValueError(
                f"tasks: {self.tasks}: more than the subset 'hard' has; allowed: at most "
                f"{_HARD_TASKS}"
            )
        return self


Benchmark = Annotated[
    NanoTasks | HumanEvalPlusTasks | MbppPlusTasks | BigCodeBenchTasks, Field(discriminator="kind")
]
