"""Settings of a nano model: the study file and the job that trains it check them by this model."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_Positive = Annotated[int, Field(gt=0)]


class NanoSettings(BaseModel):
    """Architecture and training schedule of a nano model.

    The product of `steps` and `batch_size` is the number of training functions; each is seen once.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    architecture: Literal["starcoder2", "qwen2"] = Field(description="Architecture of the model.")
    hidden_size: _Positive = Field(128, description="Size of the hidden state.")
    intermediate_size: _Positive = Field(256, description="Size of the feed-forward layer.")
    layers: _Positive = Field(4, description="Number of decoder layers.")
    heads: _Positive = Field(4, description="Number of attention heads.")
    kv_heads: _Positive = Field(
        2, description="Number of key/value heads; several query heads share one."
    )
    vocab_size: Annotated[int, Field(ge=258, le=4096)] = Field(
        640,
        description="Number of tokens, including one for each byte (256) and two special tokens.",
    )
    max_tokens: _Positive = Field(256, description="Context length, in tokens.")
    initializer_range: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        0.04,
        description=(
            "Standard deviation of the initial weights. It is above the usual 0.02 because the "
            "layers are narrow; with 0.02 the deeper layers would contribute little."
        ),
    )
    steps: _Positive = Field(1400, description="Number of training steps.")
    batch_size: _Positive = Field(6, description="Functions per training step.")
    learning_rate: Annotated[float, Field(gt=0, le=1)] = Field(
        3e-3, description="Largest learning rate."
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(
        100,
        description="Steps of linear warm-up to learning_rate, before the cosine decay to 0.",
    )
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.1, description="Weight decay of AdamW."
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        0, description="Seed of the initial weights, the training functions and their order."
    )

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.hidden_size % self.heads or self.heads % self.kv_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size}, heads {self.heads}, kv_heads {self.kv_heads}; "
                "allowed: hidden_size a multiple of heads, and heads a multiple of kv_heads"
            )
        if self.hidden_size // self.heads % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} and heads {self.heads} make heads of "
                f"{self.hidden_size // self.heads} values; allowed: an even number, as rotary "
                "position embeddings turn them in pairs"
            )
        if self.warmup_steps >= self.steps:
            raise ValueError(
                f"warmup_steps {self.warmup_steps}; allowed: less than steps {self.steps}"
            )
        return self
