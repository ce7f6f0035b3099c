"""The benchmarks that a study may name."""

from typing import Annotated, Literal

from pydantic import Field

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


Benchmark = Annotated[NanoTasks | HumanEvalPlusTasks | MbppPlusTasks, Field(discriminator="kind")]
