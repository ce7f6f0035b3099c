"""The records of corpora: their settings, and what was prepared and checked."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict


class CorpusSettings(TypedDict):
    """A study's corpus without id and label (config.corpus_settings).

    source: "nano", "stdlib" or "file". part: of the sources nano and stdlib, absent for a file.
    path: of the source file, absent for the others. samples: sequences. tokens: of one sequence.
    """

    source: str
    samples: int
    tokens: int
    seed: int
    part: NotRequired[str]
    path: NotRequired[str]


class NamedCorpusSettings(CorpusSettings):
    """The same with the study's id."""

    id: str


class CorpusRecord(NamedCorpusSettings):
    """A corpus that a stage used; documents: their number. sha256: of the file of documents."""

    documents: int
    sha256: str


class PreparedCorpusRecord(TypedDict):
    """corpora/<corpus>/manifest.json. documents: their number. bytes: of their text in UTF-8."""

    schema: Literal[1]
    settings: CorpusSettings
    documents: int
    bytes: int
    sha256: str


class ContaminationRecord(TypedDict):
    """A corpus that was checked against a benchmark.

    largest_share: of the n-grams of one task, 0 to 1; largest_share_of: that task, or its prompt.
    tasks: of the benchmark.
    """

    schema: Literal[1]
    corpus: str
    benchmark: str
    ngram_length: int
    max_share: float
    largest_share: float
    largest_share_of: str
    tasks: int
