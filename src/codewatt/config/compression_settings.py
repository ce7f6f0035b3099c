"""The settings of precisions and prunes, which with a model make a variant."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from codewatt.config.gguf_types import (
    WITHOUT_IMPORTANCE,
    GgufType,
    gguf_device_refusal,
    gguf_model_refusal,
)
from codewatt.config.gptq_awq_libraries import device_refusal, model_refusal
from codewatt.config.strict_model import Dtype, Entry, PositiveInt


class Unquantised(Entry):
    """Weights in a floating-point type; they are converted when the model is loaded."""

    method: Literal["none"]
    dtype: Dtype = Field(description="Dtype of weights and computation.")


class BitsAndBytes(Entry):
    """Quantised by bitsandbytes: LLM.int8() or the 4-bit types of QLoRA."""

    method: Literal["bitsandbytes"]
    quant_type: Literal["int8", "fp4", "nf4"] = Field(description="Type of the weights.")
    compute_dtype: Dtype = Field(
        description="Dtype of the computation and of all weights that are not quantised."
    )
    double_quantisation: bool = Field(
        False, description="fp4 and nf4 only: also quantise the scales of the blocks."
    )
    outlier_threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        6.0,
        description=(
            "int8 only: input columns with a value above this threshold are multiplied in 16 "
            "bits; 0: none."
        ),
    )

    @model_validator(mode="after")
    def _settings_that_exist(self) -> Self:
        if self.quant_type == "int8" and self.double_quantisation:
            raise ValueError("double_quantisation is not allowed with int8; allowed with: fp4, nf4")
        if self.quant_type != "int8" and "outlier_threshold" in self.model_fields_set:
            raise ValueError(
                f"outlier_threshold is not allowed with {self.quant_type}; allowed with: int8"
            )
        return self


class TorchAo(Entry):
    """Weights quantised by torchao: int8 or fp8 per output channel, or int4 per group of inputs."""

    method: Literal["torchao"]
    quant_type: Literal["int8", "int4", "fp8", "fp8_dynamic"] = Field(
        description=(
            "Type of the weights. fp8_dynamic also quantises the inputs of each matrix "
            "multiplication, with one scale per tensor; it needs a GPU of compute capability 8.9 "
            "(L40S, H100) or later."
        )
    )
    compute_dtype: Dtype = Field(
        description=(
            "Dtype of the computation and of all weights that are not quantised. int4 on a GPU "
            "and fp8_dynamic: only bfloat16. int8: not float16."
        )
    )
    group_size: Literal[32, 64, 128, 256] = Field(
        128,
        description="int4 only: number of weights that share a scale. 256 needs a GPU.",
    )

    @model_validator(mode="after")
    def _settings_that_exist(self) -> Self:
        if self.quant_type != "int4" and "group_size" in self.model_fields_set:
            raise ValueError(
                f"group_size is not allowed with {self.quant_type}; allowed with: int4"
            )
        if self.quant_type == "fp8_dynamic" and self.compute_dtype != "bfloat16":
            raise ValueError(
                f"compute_dtype {self.compute_dtype} is not allowed with fp8_dynamic; allowed: "
                "bfloat16"
            )
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
            return "fp8_dynamic is not allowed on device 'cpu'; allowed: fp8 (weights only)"
        if self.quant_type == "int4" and device == "cuda" and self.compute_dtype != "bfloat16":
            return (
                f"int4 with compute_dtype {self.compute_dtype} is not allowed on device "
                "'cuda'; allowed: bfloat16"
            )
        if self.quant_type == "int4" and device == "cpu" and self.group_size == 256:
            return "int4 with group_size 256 is not allowed on device 'cpu'; allowed: 32, 64, 128"
        return None


def calibration_of(entry: Entry) -> str | None:
    """The id of the corpus that a precision or prune setting needs, None if it needs none."""
    return getattr(entry, "calibration", None)


_CALIBRATION = (
    "Id of the calibration corpus. It is not needed if the model's checkpoint is already "
    "quantised with these settings; the checkpoint is then used without changes."
)


class Gptq(Entry):
    """GPTQ (Frantar et al. 2023): symmetric; rounding errors are compensated column by column."""

    method: Literal["gptq"]
    bits: Literal[4, 8] = Field(description="Bits of a weight.")
    group_size: Literal[-1, 32, 64, 128] = Field(
        128, description="Number of inputs that share a scale; -1: one scale for each output."
    )
    act_order: bool = Field(
        False,
        description=(
            "Quantise the columns in descending order of their activations; groups are formed in "
            "this order."
        ),
    )
    compute_dtype: Dtype = Field(
        description="Dtype of the computation and of all weights that are not quantised."
    )
    calibration: str | None = Field(None, description=_CALIBRATION)
    backend: Literal["gptqmodel", "auto_gptq"] = Field(
        "gptqmodel",
        description=(
            "The library that quantises. auto_gptq (AutoGPTQ 0.7.1) needs a GPU and an environment "
            "of its own."
        ),
    )


class Awq(Entry):
    """AWQ (Lin et al. 2024): channels are scaled by their activations, then quantised to 4 bits in
    groups."""

    method: Literal["awq"]
    bits: Literal[4] = Field(4, description="Bits of a weight.")
    group_size: Literal[32, 64, 128] = Field(
        128, description="Number of inputs that share a scale."
    )
    compute_dtype: Literal["bfloat16", "float16"] = Field(
        description="Dtype of the computation and of all weights that are not quantised."
    )
    calibration: str | None = Field(None, description=_CALIBRATION)
    backend: Literal["gptqmodel", "autoawq"] = Field(
        "gptqmodel",
        description=(
            "The library that quantises. autoawq (AutoAWQ 0.2.9) needs an environment of its own."
        ),
    )


class Gguf(Entry):
    """A GGUF file for engine llama_cpp, converted and quantised by llama.cpp."""

    method: Literal["gguf"]
    quant_type: GgufType = Field(
        description=(
            "llama.cpp's file type. F32 and F16 are not quantised. In the other types rows that no "
            "block divides get a larger type; the manifest has the bits per weight."
        )
    )
    compute_dtype: Literal["float32"] = Field(
        "float32", description="Dtype of llama.cpp's activations on a CPU."
    )
    calibration: str | None = Field(
        None,
        description=(
            "Id of the calibration corpus on which an importance matrix is computed; absent: none. "
            "Not with F32, F16 and Q8_0, which it does not change."
        ),
    )

    @model_validator(mode="after")
    def _importance_matrix_has_an_effect(self) -> Self:
        if self.calibration is not None and self.quant_type in WITHOUT_IMPORTANCE:
            raise ValueError(
                f"calibration is not allowed with {self.quant_type}, which an importance matrix "
                "does not change; allowed with: the types other than "
                f"{', '.join(WITHOUT_IMPORTANCE)}"
            )
        return self


Precision = Annotated[
    Unquantised | BitsAndBytes | TorchAo | Gptq | Awq | Gguf, Field(discriminator="method")
]


def engine_refusal(precision: Precision, engine: str) -> str | None:
    """Why an engine cannot run a precision, or None if it can."""
    if (engine == "llama_cpp") == isinstance(precision, Gguf):
        return None
    if engine == "llama_cpp":
        return "engine llama_cpp runs GGUF files; allowed: precisions of method gguf"
    return f"engine {engine} runs no GGUF files; allowed: engine llama_cpp"


def refusal_on_device(precision: Precision, device: str) -> str | None:
    """Why a precision cannot be made or run on a device ('cpu' or 'cuda'), or None if it can."""
    if isinstance(precision, TorchAo):
        return precision.refusal(device)
    if isinstance(precision, Gptq | Awq):
        return device_refusal(precision.backend, device)
    if isinstance(precision, Gguf):
        return gguf_device_refusal(device)
    return None


def refusal_of_model(precision: Precision, model_type: str) -> str | None:
    """Why a precision cannot be made of models of a type; None if it can, or if that is unknown."""
    if isinstance(precision, Gptq | Awq):
        return model_refusal(precision.backend, model_type)
    if isinstance(precision, Gguf):
        return gguf_model_refusal(model_type)
    return None


class Unpruned(Entry):
    """Keep every layer."""

    method: Literal["none"]

    always_kept: ClassVar[int] = 0

    @property
    def layers(self) -> int:
        """Layers removed."""
        return 0


UNTIL_ZERO: Literal["until_zero"] = "until_zero"


def _layers(value: Any, validated: ValidatorFunctionWrapHandler) -> Any:
    """Validate `layers`, with one message instead of one per member of the union."""
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
        line: the name of the method in figures.
    """

    layers: Annotated[PositiveInt | Literal["until_zero"], WrapValidator(_layers)] = Field(
        description=(
            "Number of layers that are removed. 'until_zero' stands for the prune settings ID-1, "
            "ID-2, ..., which remove one, two, ... layers, until the completions of a cell solve "
            "no task."
        )
    )
    max_layers: PositiveInt | None = Field(
        None,
        description=(
            "until_zero only: largest number of layers to remove. Absent: as many as the method "
            "can remove."
        ),
    )

    always_kept: ClassVar[int] = 1
    line: ClassVar[str]

    @model_validator(mode="after")
    def _max_layers_ends_a_series(self) -> Self:
        if self.max_layers is not None and self.layers != UNTIL_ZERO:
            raise ValueError(
                f"max_layers is not allowed with layers: {self.layers}; allowed with: {UNTIL_ZERO}"
            )
        return self

    def settings(self) -> dict[str, object]:
        """All that changes results: where a series ends at the latest changes no depth of it."""
        return {key: value for key, value in super().settings().items() if key != "max_layers"}


class PruneLast(_Pruned):
    """Remove the last decoder layers (de Reus et al. 2024)."""

    method: Literal["last"]

    line: ClassVar[str] = "last layers"


class PruneKeepLast(_Pruned):
    """Remove the layers before the last one (Gromov et al. 2024, section 4.4)."""

    method: Literal["keep_last"]

    line: ClassVar[str] = "layers before the last"


class _Scored(_Pruned):
    """Layers chosen by scores, which are computed once a model for all depths."""

    calibration: str = Field(description="Id of the corpus on which layers are scored.")


class PruneBlockInfluence(_Scored):
    """Remove the layers that change the direction of their input least (ShortGPT, Men et al.
    2024)."""

    method: Literal["block_influence"]

    line: ClassVar[str] = "block influence"


class PruneAngular(_Scored):
    """Remove the block of consecutive layers over which the direction of the hidden state changes
    least (Gromov et al. 2024)."""

    method: Literal["angular_distance"]

    line: ClassVar[str] = "angular distance"


class PruneSleb(_Scored):
    """Remove layers one after another, each time the layer whose removal raises perplexity least
    (SLEB, Song et al. 2024)."""

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
