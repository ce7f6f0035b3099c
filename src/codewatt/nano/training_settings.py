"""What a nano training is asked to do, checked before anything runs."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from codewatt.errors import CodewattError

ARCHITECTURES = ("starcoder2", "qwen2")


@dataclass(frozen=True)
class NanoSettings:
    """Sizes and schedule of one training.

    vocab_size: tokens, of which 256 are the bytes; max_tokens: the model's context;
    initializer_range: standard deviation of the untrained weights
    (more than the usual 0.02, as these are narrow: the deeper layers then do their share);
    steps and batch_size: the budget (their product is the number of training functions, each
    seen once); warmup_steps: of linear rise to learning_rate, before the cosine fall to 0;
    seed: of the weights, the training functions and their order.
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
        """Check and complete a mapping of settings.

        Raises:
            CodewattError: a key is unknown or missing, or a value has the wrong type or range.
        """
        types = {field.name: field.type for field in fields(cls)}
        for key, value in settings.items():
            if key not in types:
                raise CodewattError(f"nano: unknown setting {key!r}; allowed: {', '.join(types)}")
            _check(key, value, str(getattr(types[key], "__name__", types[key])))
        if "architecture" not in settings:
            raise CodewattError(f"nano: architecture is missing; allowed: {_either()}")
        made = cls(**settings)
        made._check_sizes()
        return made

    def to_dict(self) -> dict[str, Any]:
        """Every setting, defaults included."""
        return asdict(self)

    def _check_sizes(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise CodewattError(f"nano: architecture {self.architecture!r}; allowed: {_either()}")
        if self.hidden_size % self.heads or self.heads % self.kv_heads:
            raise CodewattError(
                f"nano: hidden_size {self.hidden_size} must be a multiple of heads {self.heads}, "
                f"and heads of kv_heads {self.kv_heads}"
            )
        if self.warmup_steps >= self.steps:
            raise CodewattError(
                f"nano: warmup_steps {self.warmup_steps} must be less than steps {self.steps}"
            )


def _either() -> str:
    return " or ".join(ARCHITECTURES)


def _check(key: str, value: Any, kind: str) -> None:
    if kind == "str":
        if not isinstance(value, str):
            raise CodewattError(f"nano: {key} is {value!r}, a string is needed")
    elif kind == "float":
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise CodewattError(f"nano: {key} is {value!r}, a number >= 0 is needed")
    else:
        least = 0 if key in ("seed", "warmup_steps") else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise CodewattError(f"nano: {key} is {value!r}, an integer >= {least} is needed")
