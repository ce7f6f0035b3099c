"""The benchmarks that a study may name."""

from typing import Annotated, Literal

from pydantic import Field

from codewatt.config.strict_model import Entry, Seed

NANO_TASKS = 8000
"""Whatever the seed, there are more than these: about a thousand more, by the draw."""


class NanoTasks(Entry):
    """Held-out tasks of the kind that the nano models were trained on."""

    kind: Literal["nano"]
    tasks: Annotated[int, Field(gt=0, le=NANO_TASKS)] = Field(100, description="Number of tasks.")
    seed: Seed = Field(0, description="Seed by which the tasks are drawn.")


class HumanEvalPlusTasks(Entry):
    """HumanEval+ (Liu et al. 2023), 164 tasks, with HumanEval's tests as its base part."""

    kind: Literal["humaneval_plus"]
    mini: bool = Field(False, description="The reduced plus inputs.")
    tasks: Annotated[int, Field(gt=0, le=164)] | None = Field(
        None, description="Only the first so many tasks, for a trial run; null for all."
    )


Benchmark = Annotated[NanoTasks | HumanEvalPlusTasks, Field(discriminator="kind")]
