"""The settings of corpora: for calibration, for layer scores and for fidelity."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from codewatt.config.strict_model import Entry, PositiveInt, RulePath, Seed

Part = Literal["calibration", "held_out"]
_PART = (
    "Which part of the source: the two share no function and no file, so that what a variant was "
    "calibrated on never measures it."
)


class _Sampled(Entry):
    """How samples are taken: so many sequences of so many tokens, drawn with a seed.

    Attributes:
        joined: whether documents are joined and cut, so that each sequence has all its tokens.
    """

    samples: PositiveInt = Field(128, description="Sequences.")
    tokens: Annotated[int, Field(ge=2)] = Field(
        512, description="Of one sequence; for source 'nano' at most so many."
    )
    seed: Seed = Field(0, description="Seed by which the sequences are drawn.")

    joined: ClassVar[bool] = True


class NanoCorpus(_Sampled):
    """Generated functions of the kind that the nano models are trained on, one a sequence."""

    joined: ClassVar[bool] = False

    source: Literal["nano"]
    part: Part = Field("calibration", description=_PART)


class StdlibCorpus(_Sampled):
    """Functions and classes of Python's own standard library, joined and cut into sequences."""

    source: Literal["stdlib"]
    part: Part = Field("calibration", description=_PART)


class FileCorpus(_Sampled):
    """A file: JSON lines with a key `text`, or plain text as one document; joined and cut."""

    source: Literal["file"]
    path: RulePath = Field(
        description="*.jsonl[.gz], or else plain text; relative to the directory."
    )


Corpus = Annotated[NanoCorpus | StdlibCorpus | FileCorpus, Field(discriminator="source")]
