"""Corpus source `file`: documents of a file that the study names."""

from pathlib import Path
from random import Random

from codewatt.corpora.corpus import CorpusSource, read_documents, select_documents
from codewatt.corpora.corpus_record import CorpusSettings
from codewatt.errors import CodewattError
from codewatt.untrusted_files import read_text


class FileDocuments(CorpusSource):
    """JSON lines with a key `text`, shuffled by the seed; any other file is one document."""

    def documents(self, settings: CorpusSettings) -> list[str]:
        """See `CorpusSource.documents`."""
        path = Path(settings["path"])
        if path.name.endswith((".jsonl", ".jsonl.gz")):
            found = read_documents(path)
            Random(f"file {settings['seed']}").shuffle(found)
            return select_documents(found, settings)
        text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
        if not text.strip():
            raise CodewattError(f"{path}: contains no text")
        return [text]


SOURCE = FileDocuments()
