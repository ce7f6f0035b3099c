"""The settings of corpora: for calibration, for layer scores and for fidelity."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from codewatt.config.strict_model import Entry, PositiveInt, RulePath, Seed

Part = Literal["calibration", "held_out"]
_PART = (
    "Part of the source. The two parts have no function and no file in common, so that no variant "
    "is measured on the text on which it was calibrated."
)


class _Sampled(Entry):
    """How samples are taken: so many sequences of so many tokens, drawn with a seed.

    Attributes:
        joined: whether documents are joined and cut, so that each sequence has all its tokens.
    """

    samples: PositiveInt = Field(128, description="Number of sequences.")
    tokens: Annotated[int, Field(ge=2)] = Field(
        512, description="Tokens of one sequence; with source 'nano' the largest number."
    )
    seed: Seed = Field(0, description="Seed by which the sequences are drawn.")

    joined: ClassVar[bool] = True


class NanoCorpus(_Sampled):
    """Generated functions like those that nano models are trained on, one in each sequence."""

    joined: ClassVar[bool] = False

    source: Literal["nano"]
    part: Part = Field("calibration", description=_PART)


class StdlibCorpus(_Sampled):
    """Functions and classes of Python's own standard library, joined and cut into sequences."""

    source: Literal["stdlib"]
    part: Part = Field("calibration", description=_PART)


class FileCorpus(_Sampled):
    """A file of JSON lines with a key `text`, or a plain-text file, which is one document. The
    documents are joined and cut into sequences."""

    source: Literal["file"]
    path: RulePath = Field(
        description=(
            "A .jsonl or .jsonl.gz file; any other file is read as plain text. Relative paths "
            "start at the working directory."
        )
    )


Corpus = Annotated[NanoCorpus | StdlibCorpus | FileCorpus, Field(discriminator="source")]
