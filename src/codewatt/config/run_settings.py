"""How completions are generated, judged and metered."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from codewatt.config.strict_model import PositiveFloat, PositiveInt, Seed, Strict
from codewatt.setting_ranges import CODECARBON_INTERVAL_S, IDLE_S, INTERVAL_S, Range


def _within(allowed: Range) -> Any:
    """A field's constraint: a number of a range."""
    return Field(ge=allowed.least, le=allowed.most, allow_inf_nan=False)


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


class Evaluation(Strict):
    """How completions are judged."""

    sanitize: bool = Field(
        True, description="Cut each completion to its function, by EvalPlus's sanitiser."
    )
    k: list[PositiveInt] = Field(
        [1],
        min_length=1,
        description="pass@k for these k, none above decoding.samples: it is taken within a repeat.",
    )


class Energy(Strict):
    """What is sampled, how often, what a figure takes in, and what a valid one needs."""

    boundary: Literal["node", "job", "gpu"] = Field(
        "node",
        description=(
            "What the study's own figures take in: 'node' is the job's GPUs with all CPU and DRAM "
            "of the machine, 'job' with the job's share of these by processors, 'gpu' the GPUs "
            "alone. The tables hold all three."
        ),
    )

    country: str = Field(
        "NLD", pattern=r"^[A-Z]{3}$", description="ISO 3166 alpha-3 code; its grid's gCO2e/kWh."
    )
    idle_s: Annotated[float, _within(IDLE_S)] = Field(
        10.0,
        description=(
            "Idle windows with the model loaded, before and after the repeats; "
            f"{IDLE_S.least} to {IDLE_S.most} s."
        ),
    )
    nvml_interval_s: Annotated[float, _within(INTERVAL_S)] = Field(
        0.02,
        description=(
            "Seconds between two readings of a GPU's power; "
            f"{INTERVAL_S.least} to {INTERVAL_S.most}."
        ),
    )
    codecarbon_interval_s: Annotated[float, _within(CODECARBON_INTERVAL_S)] = Field(
        0.5,
        description=(
            "Seconds between two measurements of CodeCarbon; "
            f"{CODECARBON_INTERVAL_S.least} to {CODECARBON_INTERVAL_S.most}."
        ),
    )
    min_window_s: PositiveFloat = Field(
        10.0, description="Repeats shorter than this fail their validity check."
    )
    min_readings: PositiveInt = Field(
        10, description="Repeats with fewer readings of a meter fail their validity check."
    )
    others_processors: PositiveFloat = Field(
        0.5,
        description=(
            "Where CPU energy is billed (boundary 'node' or 'job'): a repeat fails its validity "
            "check when others keep more processors of the machine busy than this."
        ),
    )
    others_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.05,
        description=(
            "The same limit as a share of the machine's processors; the lesser limit counts."
        ),
    )
    repeat_spread: PositiveFloat = Field(
        0.25,
        description=(
            "Where CPU energy is billed: a cell fails its validity check when the repeat that took "
            "most energy exceeds the one that took least by more than this share of it, beyond "
            "what their edges can be wrong by."
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
