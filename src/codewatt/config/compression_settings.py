"""Precisions and prune settings: the two halves of a variant."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from codewatt.config.gptq_awq_libraries import device_refusal, model_refusal
from codewatt.config.strict_model import Dtype, Entry, PositiveInt


class Unquantised(Entry):
    """The weights in a floating-point type, cast on loading."""

    method: Literal["none"]
    dtype: Dtype


class BitsAndBytes(Entry):
    """Quantised by bitsandbytes: LLM.int8() or the 4-bit types of QLoRA."""

    method: Literal["bitsandbytes"]
    quant_type: Literal["int8", "fp4", "nf4"]
    compute_dtype: Dtype
    double_quantisation: bool = Field(
        False, description="Quantise the 4-bit types' block constants as well."
    )
    outlier_threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        6.0, description="int8 only: activations beyond it stay 16-bit; 0 turns that off."
    )

    @model_validator(mode="after")
    def _settings_that_exist(self) -> Self:
        if self.quant_type == "int8" and self.double_quantisation:
            raise ValueError("double_quantisation is for fp4 and nf4, not int8")
        if self.quant_type != "int8" and "outlier_threshold" in self.model_fields_set:
            raise ValueError(f"outlier_threshold is for int8, not {self.quant_type}")
        return self


class TorchAo(Entry):
    """Weights quantised by torchao: int8 or fp8 per output channel, or int4 per group of inputs."""

    method: Literal["torchao"]
    quant_type: Literal["int8", "int4", "fp8", "fp8_dynamic"] = Field(
        description=(
            "fp8_dynamic quantises the inputs of each product as well, with one scale a tensor; it "
            "needs a GPU of compute capability 8.9 (L40S, H100) or later."
        )
    )
    compute_dtype: Dtype = Field(
        description="int4 on a GPU, fp8_dynamic: bfloat16 only. int8: not float16."
    )
    group_size: Literal[32, 64, 128, 256] = Field(
        128, description="int4 only: weights that share a scale. 256 needs a GPU."
    )

    @model_validator(mode="after")
    def _settings_that_exist(self) -> Self:
        if self.quant_type != "int4" and "group_size" in self.model_fields_set:
            raise ValueError(f"group_size is for int4, not {self.quant_type}")
        if self.quant_type == "fp8_dynamic" and self.compute_dtype != "bfloat16":
            raise ValueError(f"fp8_dynamic needs compute_dtype bfloat16, not {self.compute_dtype}")
        if self.quant_type == "int8" and self.compute_dtype == "float16":
            # torchao multiplies by the codes (up to 127) and applies the scales afterwards.
            raise ValueError(
                "compute_dtype float16 overflows with int8; allowed: float32, bfloat16"
            )
        return self

    def refusal(self, device: str) -> str | None:
        """Why a device ('cpu' or 'cuda') has no kernel for these settings, or None if it has.

        `quantise.torchao` says the same of the device that 'auto' turned out to be.
        """
        if self.quant_type == "fp8_dynamic" and device == "cpu":
            return "fp8_dynamic needs device 'cuda'; fp8 (weights only) runs on a CPU as well"
        if self.quant_type == "int4" and device == "cuda" and self.compute_dtype != "bfloat16":
            return "int4 on device 'cuda' needs compute_dtype bfloat16"
        if self.quant_type == "int4" and device == "cpu" and self.group_size == 256:
            return "int4 with group_size 256 needs device 'cuda'"
        return None


def calibration_of(entry: Entry) -> str | None:
    """The id of the corpus that a precision or prune setting needs, None if it needs none."""
    return getattr(entry, "calibration", None)


_CALIBRATION = (
    "A corpus; needed unless the model's checkpoint is quantised already, with these settings: "
    "then it is used as it is."
)


class Gptq(Entry):
    """GPTQ (Frantar et al. 2023): symmetric codes, errors made up for column by column."""

    method: Literal["gptq"]
    bits: Literal[4, 8]
    group_size: Literal[-1, 32, 64, 128] = Field(
        128, description="Inputs that share a scale; -1: one scale an output."
    )
    act_order: bool = Field(
        False, description="Columns of greater activations first; groups follow that order."
    )
    compute_dtype: Dtype
    calibration: str | None = Field(None, description=_CALIBRATION)
    backend: Literal["gptqmodel", "auto_gptq"] = Field(
        "gptqmodel",
        description=(
            "The library that quantises. auto_gptq (AutoGPTQ 0.7.1) needs a GPU and an environment "
            "of its own."
        ),
    )


class Awq(Entry):
    """AWQ (Lin et al. 2024): channels scaled by their activations, then 4-bit codes in groups."""

    method: Literal["awq"]
    bits: Literal[4] = 4
    group_size: Literal[32, 64, 128] = Field(128, description="Inputs that share a scale.")
    compute_dtype: Literal["bfloat16", "float16"]
    calibration: str | None = Field(None, description=_CALIBRATION)
    backend: Literal["gptqmodel", "autoawq"] = Field(
        "gptqmodel",
        description=(
            "The library that quantises. autoawq (AutoAWQ 0.2.9) needs an environment of its own."
        ),
    )


Precision = Annotated[
    Unquantised | BitsAndBytes | TorchAo | Gptq | Awq, Field(discriminator="method")
]


def refusal_on_device(precision: Precision, device: str) -> str | None:
    """Why a precision cannot be made or run on a device ('cpu' or 'cuda'), or None if it can."""
    if isinstance(precision, TorchAo):
        return precision.refusal(device)
    if isinstance(precision, Gptq | Awq):
        return device_refusal(precision.backend, device)
    return None


def refusal_of_model(precision: Precision, model_type: str) -> str | None:
    """Why a precision cannot be made of models of a type, or None if it can be, or may be."""
    if isinstance(precision, Gptq | Awq):
        return model_refusal(precision.backend, model_type)
    return None


class Unpruned(Entry):
    """Every layer kept."""

    method: Literal["none"]

    always_kept: ClassVar[int] = 0

    @property
    def layers(self) -> int:
        """Layers removed."""
        return 0


UNTIL_ZERO: Literal["until_zero"] = "until_zero"


def _layers(value: Any, validated: ValidatorFunctionWrapHandler) -> Any:
    """One sentence in place of one a member of the union."""
    try:
        return validated(value)
    except ValidationError:
        raise ValueError(
            f"{value!r} is not allowed; allowed: a number above 0, or '{UNTIL_ZERO}'"
        ) from None


class _Pruned(Entry):
    """Decoder layers removed.

    Attributes:
        always_kept: how many layers the method leaves at least.
        line: what figures call the method.
    """

    layers: Annotated[PositiveInt | Literal["until_zero"], WrapValidator(_layers)] = Field(
        description=(
            "How many are removed. 'until_zero': first one, then two and so on, each a setting of "
            "its own (ID-1, ID-2, ...), until a cell's completions solve no task."
        )
    )
    max_layers: PositiveInt | None = Field(
        None,
        description="until_zero only: no more than these; if absent, what the method can remove.",
    )

    always_kept: ClassVar[int] = 1
    line: ClassVar[str]

    @model_validator(mode="after")
    def _max_layers_ends_a_series(self) -> Self:
        if self.max_layers is not None and self.layers != UNTIL_ZERO:
            raise ValueError(f"max_layers is for layers: {UNTIL_ZERO}, not {self.layers}")
        return self

    def settings(self) -> dict[str, object]:
        """All that changes results: where a series ends at the latest changes no depth of it."""
        return {key: value for key, value in super().settings().items() if key != "max_layers"}


class PruneLast(_Pruned):
    """The last decoder layers removed (de Reus et al. 2024)."""

    method: Literal["last"]

    line: ClassVar[str] = "last layers"


class PruneKeepLast(_Pruned):
    """The layers before the last one removed (Gromov et al. 2024, section 4.4)."""

    method: Literal["keep_last"]

    line: ClassVar[str] = "layers before the last"


class _Scored(_Pruned):
    """Layers chosen by scores, which are computed once a model for all depths."""

    calibration: str = Field(description="The corpus that layers are scored on.")


class PruneBlockInfluence(_Scored):
    """The layers that change their input's direction least (ShortGPT, Men et al. 2024)."""

    method: Literal["block_influence"]

    line: ClassVar[str] = "block influence"


class PruneAngular(_Scored):
    """The block of layers over which the hidden state turns least (Gromov et al. 2024)."""

    method: Literal["angular_distance"]

    line: ClassVar[str] = "angular distance"


class PruneSleb(_Scored):
    """Greedily the layer without which perplexity is least (SLEB, Song et al. 2024)."""

    method: Literal["sleb"]

    always_kept: ClassVar[int] = 2  # the first and the last
    line: ClassVar[str] = "SLEB"


Prune = Annotated[
    Unpruned | PruneLast | PruneKeepLast | PruneBlockInfluence | PruneAngular | PruneSleb,
    Field(discriminator="method"),
]


def lines_of(prunes: list[Prune]) -> dict[str, str]:
    """Prune id -> the line of a figure it belongs to: its method, and its corpus if several.

    There is none of what removes nothing.
    """
    corpora: dict[str, set[str | None]] = {}
    for prune in prunes:
        corpora.setdefault(prune.method, set()).add(calibration_of(prune))
    return {
        prune.id: prune.line
        + (f" on {calibration_of(prune)}" if len(corpora[prune.method]) > 1 else "")
        for prune in prunes
        if not isinstance(prune, Unpruned)
    }
