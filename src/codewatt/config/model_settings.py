"""Where a study's models come from."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from codewatt.config.strict_model import (
    Dtype,
    Entry,
    PositiveFloat,
    PositiveInt,
    Seed,
    Strict,
    UserPath,
)


class HubModel(Entry):
    """A checkpoint of the Hugging Face hub, pinned to one commit."""

    source: Literal["hub"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name on the hub.")
    revision: str = Field(
        pattern=r"^[0-9a-f]{40}$", description="The commit, 40 hex digits: a branch would drift."
    )
    layers: PositiveInt | None = Field(
        None, description="Decoder layers, if known: prune depths are then checked beforehand."
    )

    @property
    def model_type(self) -> str | None:
        """Of its config.json, which is not here yet."""
        return None

    @property
    def max_tokens(self) -> int | None:
        """The model's context, which its config.json says."""
        return None


class PathModel(Entry):
    """A directory written by save_pretrained: config, safetensors and tokenizer."""

    source: Literal["path"]
    path: UserPath = Field(
        description="Relative paths start at the working directory, ~ is the home directory."
    )
    layers: PositiveInt | None = Field(None, description="As for a hub model.")

    @property
    def model_type(self) -> str | None:
        """Of its config.json, which is not read yet."""
        return None

    @property
    def max_tokens(self) -> int | None:
        """As for a hub model."""
        return None


class NanoModel(Entry):
    """A model small enough to be trained where it is needed, on generated Python functions."""

    source: Literal["nano"]
    architecture: Literal["starcoder2", "qwen2"]
    hidden_size: PositiveInt = 128
    intermediate_size: PositiveInt = 256
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    kv_heads: PositiveInt = 2
    vocab_size: Annotated[int, Field(ge=258, le=4096)] = 640
    max_tokens: PositiveInt = Field(256, description="The model's context.")
    initializer_range: PositiveFloat = 0.04
    steps: PositiveInt = 1400
    batch_size: PositiveInt = 6
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
    seed: Seed = 0

    @property
    def model_type(self) -> str | None:
        """Of its config.json."""
        return self.architecture

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.hidden_size % self.heads or self.heads % self.kv_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be a multiple of heads {self.heads}, "
                f"and heads of kv_heads {self.kv_heads}"
            )
        if self.hidden_size // self.heads % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} and heads {self.heads} make heads of "
                f"{self.hidden_size // self.heads} values; allowed: an even number, as rotary "
                "position embeddings turn them in pairs"
            )
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps {self.warmup_steps} must be below steps {self.steps}")
        return self


class TokenizerFromStdlib(Strict):
    """A byte-level BPE trained on Python's own standard library: real code, always at hand."""

    source: Literal["stdlib"] = "stdlib"
    vocab_size: Annotated[int, Field(ge=300, le=65536)] = 8192


class TokenizerFromPath(Strict):
    """A tokenizer saved by save_pretrained."""

    source: Literal["path"]
    path: UserPath


#: Keys of a config.json that count something, under the names of most architectures and of GPT-2.
_SIZES = (
    "vocab_size",
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "max_position_embeddings", "head_dim"),
    *("n_embd", "n_layer", "n_head", "n_positions"),
)


class ArchitectureModel(Entry):
    """A configuration with random weights: speed and energy are real, pass@k is not."""

    source: Literal["architecture"]
    config: dict[str, Any] = Field(
        description="The model's config.json as transformers reads it; model_type is required."
    )
    dtype: Dtype = Field("bfloat16", description="Of the random weights on disk.")
    tokenizer: Annotated[TokenizerFromStdlib | TokenizerFromPath, Field(discriminator="source")] = (
        TokenizerFromStdlib()
    )
    seed: Seed = 0

    @model_validator(mode="after")
    def _config_has_sizes(self) -> Self:
        for name in _SIZES:
            value = self.config.get(name, 1)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"config.{name}: {value!r}; allowed: an integer above 0")
        return self

    @property
    def layers(self) -> int | None:
        """Decoder layers, where the configuration names them."""
        value = self.config.get("num_hidden_layers", self.config.get("n_layer"))
        return value if isinstance(value, int) else None

    @property
    def max_tokens(self) -> int | None:
        """The model's context, where the configuration names it."""
        value = self.config.get("max_position_embeddings", self.config.get("n_positions"))
        return value if isinstance(value, int) else None

    @property
    def model_type(self) -> str | None:
        """Of its config.json."""
        value = self.config.get("model_type")
        return value if isinstance(value, str) else None


Model = Annotated[
    HubModel | PathModel | NanoModel | ArchitectureModel, Field(discriminator="source")
]
