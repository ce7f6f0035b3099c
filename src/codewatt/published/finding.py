"""A finding of an audit: what a text says, what follows from its data, and the consequence."""

import textwrap
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

#: The statement follows from the published data.
HOLDS = "holds"
#: The statement follows for what its text counts, and not for another choice of what is counted.
BOUNDED = "holds within its own boundary"
#: The data neither support nor contradict the statement, or the statement needs an assumption.
NOT_SHOWN = "not shown by the data"
#: The published data, or another statement of the same text, contradict the statement.
CONTRADICTED = "contradicted"


@dataclass(frozen=True)
class Finding:
    """One statement of a published text, compared with the published data.

    Attributes:
        name: identifier, such as "inert_batch_axis".
        verdict: `HOLDS`, `BOUNDED`, `NOT_SHOWN` or `CONTRADICTED`.
        says: what the text says, with place and a quotation of a few words.
        shows: what follows from the data, with numbers and assumptions.
        consequence: what this means for a reader of the text.
        values: the numbers of `shows`, by name.
    """

    name: str
    verdict: str
    says: str
    shows: str
    consequence: str
    values: Mapping[str, float] = field(default_factory=dict)

    def text(self, width: int) -> str:
        """The finding as a paragraph for each part."""
        parts = {"Text": self.says, "Data": self.shows, "Consequence": self.consequence}
        lines = [f"{self.name} ({self.verdict})"]
        for title, part in parts.items():
            lines.append(
                textwrap.fill(
                    f"{title}: {part}", width, initial_indent="  ", subsequent_indent="    "
                )
            )
        return "\n".join(lines)


def low_and_high(name: str, numbers: Collection[float]) -> dict[str, float]:
    """The least and the greatest of some numbers, for `Finding.values`.

    Args:
        name: name of both, with {} where "low" and "high" stand.
        numbers: one or more.
    """
    return {name.format("low"): min(numbers), name.format("high"): max(numbers)}
