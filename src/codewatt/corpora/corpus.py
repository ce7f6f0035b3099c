"""What a source of texts is, and a text's documents as a file."""

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError
from codewatt.files import numbered_rows


class TextSource(ABC):
    """Where documents come from; its settings are a study's text without id and label.

    Attributes:
        joined: whether documents are joined and cut into sequences of equal length, as in
            Frantar et al. 2023 (GPTQ), section 5; else each document is a sequence of its own.
    """

    joined: bool = True

    @abstractmethod
    def documents(self, settings: dict[str, Any]) -> list[str]:
        """The documents in the order in which they are taken; the same for the same settings.

        Raises:
            CodewattError: there are too few.
        """

    def context(self, document: str) -> str:
        """How a document begins that a model is given and not judged on; of a joined text none."""
        return ""


def open_source(name: str) -> TextSource:
    """The source of that name: the module of that name in this package."""
    try:
        module = importlib.import_module(f"codewatt.corpora.{name}_corpus")
    except ModuleNotFoundError:
        raise CodewattError(f"text source {name!r}: there is no such source") from None
    source: TextSource = module.SOURCE
    return source


def read_documents(path: str | Path) -> list[str]:
    """The documents of a prepared text (JSON lines with a key `text`).

    Raises:
        CodewattError: the file is missing, empty or of another form.
    """
    documents = []
    for number, row in numbered_rows(path):
        text = row.get("text")
        if not isinstance(text, str):
            raise CodewattError(f"{path}:{number}: expected a key 'text' with a string")
        documents.append(text)
    if not documents:
        raise CodewattError(f"{path}: no document in it")
    return documents


#: Bytes of text that a token takes at most, on average: documents are taken until they suffice.
BYTES_PER_TOKEN = 8


def enough(documents: list[str], settings: dict[str, Any]) -> list[str]:
    """The first documents that are sure to give the samples that are asked for, or all of them."""
    wanted = settings["samples"] * settings["tokens"] * BYTES_PER_TOKEN
    taken, length = [], 0
    for document in documents:
        if length >= wanted:
            break
        taken.append(document)
        length += len(document.encode())
    return taken
