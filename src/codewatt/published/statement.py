"""A statement of a published text, and the finding that compares it with the data."""

from dataclasses import dataclass

#: What a statement is about: a study bears on it if it has such cells.
QUANTISED, PRUNED, FINE_TUNED = "quantised", "pruned", "fine-tuned"
QUANTISED_SIZES = "quantised models of several sizes"
BATCH_SIZES, MODEL_SIZES, DOMAINS = "batch sizes", "model sizes", "domains"
LLAMA_DEEPSEEK = "Llama and DeepSeek"


@dataclass(frozen=True)
class Statement:
    """A statement of a text.

    Attributes:
        place: section of the text.
        quote: a few words of it.
        finding: name of the finding that compares it with the data.
        about: subjects of this module; none if no study can bear on the statement.
    """

    place: str
    quote: str
    finding: str
    about: tuple[str, ...]
