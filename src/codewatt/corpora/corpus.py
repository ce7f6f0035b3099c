"""The base class of corpus sources, and reading the documents of a prepared corpus."""

import importlib
from abc import ABC, abstractmethod
from pathlib import Path

from codewatt.corpora.corpus_record import CorpusSettings
from codewatt.errors import CodewattError
from codewatt.files import numbered_rows

MAX_BYTES_PER_TOKEN = 8
"""Upper bound of the mean number of bytes in a token; decides how many documents are taken."""


class CorpusSource(ABC):
    """A source of documents.

    Attributes:
        joined: True to join all documents and cut them into sequences of equal length, as in
            Frantar et al. 2023 (GPTQ), section 5; False to make each document one sequence.
    """

    joined: bool = True

    @abstractmethod
    def documents(self, settings: CorpusSettings) -> list[str]:
        """The documents, in a fixed order for the same settings.

        Args:
            settings: a study's corpus without id and label.

        Raises:
            CodewattError: the documents cannot be read.
        """

    def context(self, document: str) -> str:
        """The start of a document that a model reads but is not scored on; "" if joined."""
        return ""


def open_corpus_source(name: str) -> CorpusSource:
    """The corpus source of a name, from the module NAME_corpus of this package.

    Raises:
        CodewattError: there is no such source.
    """
    try:
        module = importlib.import_module(f"codewatt.corpora.{name}_corpus")
    except ModuleNotFoundError:
        raise CodewattError(f"corpus source {name!r}: unknown source") from None
    source: CorpusSource = module.SOURCE
    return source


def read_documents(path: str | Path) -> list[str]:
    """Read the documents of a prepared corpus (JSON lines with a key `text`).

    Raises:
        CodewattError: the file is missing or empty, or a row has no text.
    """
    documents = []
    for number, row in numbered_rows(path):
        text = row.get("text")
        if not isinstance(text, str):
            raise CodewattError(f"{path}:{number}: expected a key 'text' with a string")
        documents.append(text)
    if not documents:
        raise CodewattError(f"{path}: contains no documents; at least one is needed")
    return documents


def select_documents(documents: list[str], settings: CorpusSettings) -> list[str]:
    """The first documents that certainly give all samples; all documents if they do not.

    Args:
        documents: documents in their order.
        settings: a study's corpus: `samples` sequences of `tokens` tokens.
    """
    wanted_bytes = settings["samples"] * settings["tokens"] * MAX_BYTES_PER_TOKEN
    selected, size = [], 0
    for document in documents:
        if size >= wanted_bytes:
            break
        selected.append(document)
        size += len(document.encode())
    return selected
