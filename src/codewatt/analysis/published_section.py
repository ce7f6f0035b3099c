"""What the summary page says of the published study that a study repeats."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedClaim:
    """A claim of a published text that cells of the study bear on.

    Attributes:
        place: section of the text.
        quote: a few words of it.
        anchor: the claim's finding on the page on the published studies.
        cells: which cells bear on it, and what they say, as sentences.
    """

    place: str
    quote: str
    anchor: str
    cells: str


@dataclass(frozen=True)
class PublishedSection:
    """The section of the summary page on the published study.

    Attributes:
        published: name of the published study.
        what: what this study does with it.
        tiny: whether its models are tiny ones with random weights.
        page: path of the page on the published studies, relative to the summary page; "" if there
            is no such page.
        claims: in the order of the text.
    """

    published: str
    what: str
    tiny: bool
    page: str
    claims: tuple[PublishedClaim, ...]
