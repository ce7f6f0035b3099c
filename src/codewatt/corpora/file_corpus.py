"""Documents of a file that the user names."""

from pathlib import Path
from random import Random
from typing import Any

from codewatt.corpora.corpus import TextSource, enough, read_documents
from codewatt.errors import CodewattError
from codewatt.untrusted_files import read_text


class FileDocuments(TextSource):
    """JSON lines with a key `text`, in an order drawn by the seed; any other file as it is."""

    def documents(self, settings: dict[str, Any]) -> list[str]:
        """See `TextSource.documents`."""
        path = Path(settings["path"])
        if path.name.endswith((".jsonl", ".jsonl.gz")):
            found = read_documents(path)
            Random(f"file {settings['seed']}").shuffle(found)
            return enough(found, settings)
        text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
        if not text.strip():
            raise CodewattError(f"{path}: there is no text in it")
        return [text]


SOURCE = FileDocuments()
