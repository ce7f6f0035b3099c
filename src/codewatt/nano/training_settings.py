"""Settings of the training of a nano model, and their checks."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from codewatt.errors import CodewattError

ARCHITECTURES = ("starcoder2", "qwen2")


@dataclass(frozen=True)
class NanoSettings:
    """Architecture and training schedule of a nano model.

    Attributes:
        architecture: "starcoder2" or "qwen2".
        vocab_size: number of tokens, including 256 bytes and 2 special tokens.
        max_tokens: context length.
        initializer_range: standard deviation of the initial weights. It is above the usual 0.02
            because the layers are narrow; otherwise deep layers contribute little.
        steps, batch_size: their product is the number of training functions, each seen once.
        warmup_steps: steps of linear warm-up to learning_rate, before the cosine decay to 0.
        seed: seed of the initial weights, the training functions and their order.
    """

    architecture: str
    hidden_size: int = 128
    intermediate_size: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    vocab_size: int = 640
    max_tokens: int = 256
    initializer_range: float = 0.04
    steps: int = 1400
    batch_size: int = 6
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    weight_decay: float = 0.1
    seed: int = 0

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "NanoSettings":
        """Settings from a dictionary; missing ones get their defaults.

        Raises:
            CodewattError: a setting is unknown or missing, or has a wrong type or value.
        """
        types = {field.name: field.type for field in fields(cls)}
        for key, value in settings.items():
            if key not in types:
                raise CodewattError(f"nano: unknown setting {key!r}; allowed: {', '.join(types)}")
            _check(key, value, str(getattr(types[key], "__name__", types[key])))
        if "architecture" not in settings:
            raise CodewattError(f"nano: architecture is missing; allowed: {_architectures()}")
        made = cls(**settings)
        made._check_sizes()
        return made

    def to_dict(self) -> dict[str, Any]:
        """All settings, including defaults."""
        return asdict(self)

    def _check_sizes(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise CodewattError(
                f"nano: architecture: expected {_architectures()}, found {self.architecture!r}"
            )
        if self.hidden_size % self.heads or self.heads % self.kv_heads:
            raise CodewattError(
                f"nano: hidden_size ({self.hidden_size}) must be a multiple of heads "
                f"({self.heads}), and heads a multiple of kv_heads ({self.kv_heads})"
            )
        if self.warmup_steps >= self.steps:
            raise CodewattError(
                f"nano: warmup_steps ({self.warmup_steps}) must be below steps ({self.steps})"
            )


def _architectures() -> str:
    return " or ".join(ARCHITECTURES)


def _check(key: str, value: Any, kind: str) -> None:
    if kind == "str":
        if not isinstance(value, str):
            raise CodewattError(f"nano: {key}: expected a string, found {value!r}")
    elif kind == "float":
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise CodewattError(f"nano: {key}: expected a number >= 0, found {value!r}")
    else:
        least = 0 if key in ("seed", "warmup_steps") else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise CodewattError(f"nano: {key}: expected an integer >= {least}, found {value!r}")
