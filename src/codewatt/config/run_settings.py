"""How completions are generated, judged and compared."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from codewatt.config.strict_model import PositiveInt, Seed, Strict


class Warmup(Strict):
    """Batches that are completed before the first repeat; they are not part of the results."""

    batches: Annotated[int, Field(ge=0)] = Field(
        1, description="The first batches of the benchmark are completed, this many."
    )
    max_cv: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description=(
            "Warm-up until steady: the last of these batches is completed again and again until "
            "the coefficient of variation of its last `window_batches` times is at most this. "
            "Absent: only `batches`."
        ),
    )
    window_batches: Annotated[int, Field(ge=2)] = Field(
        5, description="With max_cv: number of successive times that are compared; at least 2."
    )
    max_batches: PositiveInt = Field(
        50,
        description=(
            "With max_cv: most batches of the warm-up. Then the cell is measured anyway, and the "
            "check warmup_steady warns."
        ),
    )

    @model_validator(mode="after")
    def _can_become_steady(self) -> Self:
        least = max(self.batches, 1) - 1 + self.window_batches
        if self.max_cv is not None and self.max_batches < least:
            raise ValueError(
                f"max_batches {self.max_batches} ends the warm-up before {self.window_batches} "
                f"times of one batch are known; allowed with these settings: at least {least}"
            )
        return self


class Decoding(Strict):
    """How tokens are chosen, and how often a cell is measured."""

    strategy: Literal["greedy", "sampled"] = Field(
        "greedy", description="'greedy' takes the most likely token, 'sampled' draws one."
    )
    samples: PositiveInt = Field(1, description="Completions per task and repeat.")
    temperature: Annotated[float, Field(ge=0.001, le=100)] | None = Field(
        None, description="Sampled decoding only; 0.001 to 100."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Sampled decoding only; 1 if absent."
    )
    seed: Seed = Field(0, description="Seed of sampled decoding; repeat r uses seed + r.")
    repeats: PositiveInt = Field(5, description="Measured passes over the benchmark.")
    warmup: Warmup = Field(
        Warmup(), description="Batches that are completed before the first repeat."
    )

    @model_validator(mode="after")
    def _strategy_has_its_settings(self) -> Self:
        if self.strategy == "greedy":
            if self.temperature is not None or self.top_p is not None:
                raise ValueError(
                    "temperature and top_p are not allowed with strategy 'greedy'; allowed "
                    "with: 'sampled'"
                )
            if self.samples != 1:
                raise ValueError("samples must be 1 with strategy 'greedy', as all would be equal")
        elif self.temperature is None:
            raise ValueError("temperature is required with strategy 'sampled'")
        return self


class EvaluationSettings(Strict):
    """How completions are judged."""

    sanitize: bool = Field(
        True,
        description=(
            "Reduce each completion to the code of its function, by the sanitiser of the "
            "benchmark's evaluator (EvalPlus or bigcodebench)."
        ),
    )
    k: list[PositiveInt] = Field(
        [1],
        min_length=1,
        description=(
            "Values of k for pass@k. Each must be at most decoding.samples, because pass@k is "
            "computed within a repeat."
        ),
    )


class Fidelity(Strict):
    """How closely the output of a variant follows that of its baseline."""

    corpus: str = Field(
        description="A corpus that no variant is calibrated on, such as one with part: held_out."
    )


class Baseline(Strict):
    """The precision and prune that every variant of the same model is compared with."""

    precision: str = Field(description="Id of a precision of the study.")
    prune: str = Field(description="Id of a prune setting of the study.")


#: Axes on which compared cells may differ. Their benchmark is the same: tasks are paired.
ComparedAxis = Literal[
    "model", "prune", "precision", "prompt", "token_limit", "batch_size", "engine", "hardware"
]


class ComparedPair(Strict):
    """Cells that are compared with each other.

    Every cell that has the values of `cell` is compared with the cell that has those of
    `reference` and is equal to it on all other axes.
    """

    cell: dict[ComparedAxis, str | int] = Field(
        min_length=1, description="Axes and their values: the cells that are compared."
    )
    reference: dict[ComparedAxis, str | int] = Field(
        min_length=1,
        description="The same axes with the values of the cells that they are compared with.",
    )

    @model_validator(mode="after")
    def _name_the_same_axes(self) -> Self:
        if self.cell.keys() != self.reference.keys():
            by_one = ", ".join(sorted(self.cell.keys() ^ self.reference.keys()))
            raise ValueError(f"axes of only one of cell and reference: {by_one}; allowed: the same")
        if self.cell == self.reference:
            raise ValueError("cell and reference are the same; allowed: two different cells")
        return self


class Comparisons(Strict):
    """Margins of the comparisons between cells (docs/explanation/statistics.md)."""

    pass_at_1_margin: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.02,
        description=(
            "Non-inferiority margin: the largest acceptable loss of pass@1, as a fraction (0.02 is "
            "two points). A variant is called non-inferior only if its loss is shown to be smaller."
        ),
    )
    board_spread: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.12,
        description=(
            "The difference in energy and time that is expected between two GPUs (or hosts) of "
            "the same model, as a fraction. The intervals of changes between cells on different "
            "GPUs are wider by it. Two NVIDIA H200 differed by 12 % in energy "
            "(docs/archive/h200-sessions.md)."
        ),
    )
    equivalence_margin: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05,
        description=(
            "Equivalence margin of energy, time and rates, as a fraction: two cells are called "
            "equivalent if they are shown to differ by less."
        ),
    )
    pairs: list[ComparedPair] = Field(
        [],
        description=(
            "Further comparisons, besides those of each cell with its baseline. Their p values "
            "are adjusted together."
        ),
    )
    aa_margin: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05,
        description=(
            "Equivalence margin of the A/A test: the test passes if two measurements of the same "
            "cell are shown to differ by less than this fraction."
        ),
    )
