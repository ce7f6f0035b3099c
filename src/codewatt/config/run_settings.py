"""How completions are generated, judged and compared."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from codewatt.config.strict_model import PositiveInt, Seed, Strict


class Decoding(Strict):
    """Greedy or sampled, and how often a cell is measured."""

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
    seed: Seed = Field(0, description="Repeat r samples with seed + r.")
    repeats: PositiveInt = Field(5, description="Measured passes over the benchmark.")
    warmup_batches: Annotated[int, Field(ge=0)] = Field(
        1, description="Batches generated, not measured, after loading."
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
        True, description="Cut each completion to its function, by EvalPlus's sanitiser."
    )
    k: list[PositiveInt] = Field(
        [1],
        min_length=1,
        description="pass@k for these k, none above decoding.samples: it is taken within a repeat.",
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


class Comparisons(Strict):
    """What comparisons of variants ask for and allow for (docs/explanation/statistics.md)."""

    pass_at_1_margin: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.02,
        description=(
            "The largest loss in pass@1 that is still acceptable, as a fraction: 0.02 is two "
            "points. A variant is called near the baseline only where its loss is shown to be "
            "smaller (non-inferiority)."
        ),
    )
    board_spread: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.05,
        description=(
            "How much two GPU boards (or hosts) of one model may differ in energy and time, as a "
            "fraction. Changes between cells that ran on different boards allow for it."
        ),
    )
    aa_margin: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05,
        description=(
            "The A/A test passes where two measurements of the same cell are shown to differ by "
            "less than this fraction (equivalence)."
        ),
    )
