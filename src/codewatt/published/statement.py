"""A statement of a published text, and the finding that compares it with the data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """A statement of a text.

    Attributes:
        place: section of the text.
        quote: a few words of it.
        finding: name of the finding that compares it with the data.
    """

    place: str
    quote: str
    finding: str
