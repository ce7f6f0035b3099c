"""A prepared corpus as token sequences of a model's own tokenizer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.corpora.corpus import open_corpus_source, read_documents
from codewatt.corpora.corpus_record import CorpusRecord, CorpusSettings, NamedCorpusSettings
from codewatt.errors import CodewattError
from codewatt.files import sha256_file


@dataclass(frozen=True)
class PreparedCorpus:
    """A prepared corpus.

    Attributes:
        documents: its documents.
        settings: a study's corpus without label: source, samples, tokens, seed.
        sha256: digest of the file of documents (hex).
    """

    documents: list[str]
    settings: NamedCorpusSettings
    sha256: str

    @classmethod
    def read(cls, path: Path, settings: NamedCorpusSettings) -> "PreparedCorpus":
        """Read the documents that `prepare_corpus` wrote.

        Raises:
            CodewattError: see `read_documents`.
        """
        return cls(read_documents(path), settings, sha256_file(path))

    def sequences(self, tokenizer: Any) -> list[list[int]]:
        """See `token_sequences`."""
        return token_sequences(self.documents, tokenizer, self.settings)

    def first_scored_tokens(self, tokenizer: Any) -> list[int]:
        """Index of the first scored token of each of `sequences`.

        At least 1, because a model needs one token before it can predict the next.
        """
        source = open_corpus_source(self.settings["source"])
        if source.joined:
            return [1] * self.settings["samples"]
        contexts = [source.context(text) for text in self.documents[: self.settings["samples"]]]
        encoded = tokenizer(contexts, add_special_tokens=False).input_ids
        return [max(len(ids), 1) for ids in encoded]

    def describe(self) -> CorpusRecord:
        """Settings, number of documents and digest, for manifests."""
        return {**self.settings, "documents": len(self.documents), "sha256": self.sha256}


def token_sequences(
    documents: list[str], tokenizer: Any, settings: CorpusSettings
) -> list[list[int]]:
    """Token sequences of a corpus, for calibration or for measuring perplexity.

    Args:
        documents: documents of the prepared corpus.
        tokenizer: the model's tokenizer.
        settings: the study's corpus: source, samples, tokens.

    Returns:
        `samples` lists of token ids. If the source is joined, each has exactly `tokens` tokens:
        all documents, each followed by an end-of-sequence token, are cut into sequences. Else each
        sequence is one document, cut to at most `tokens` tokens.

    Raises:
        CodewattError: the corpus has too few tokens, a sequence would have fewer than two tokens,
            or the tokenizer has no end-of-sequence token.
    """
    samples, tokens, source = settings["samples"], settings["tokens"], settings["source"]
    if tokenizer.eos_token_id is None:
        raise CodewattError(
            f"corpus of source {source!r}: the model's tokenizer has no end-of-sequence token to "
            "separate documents; its tokenizer_config.json needs an eos_token"
        )
    encoded: list[list[int]] = tokenizer(documents, add_special_tokens=False).input_ids
    if open_corpus_source(source).joined:
        stream = [token for ids in encoded for token in (*ids, tokenizer.eos_token_id)]
        starts = range(0, len(stream) - tokens + 1, tokens)
        sequences = [stream[start : start + tokens] for start in starts]
    else:
        sequences = [ids[:tokens] for ids in encoded]
    if len(sequences) < samples:
        raise CodewattError(
            f"corpus of source {source!r}: has {len(sequences)} sequences of {tokens} tokens, but "
            f"samples is {samples}; reduce samples or tokens, or use a larger corpus"
        )
    if any(len(ids) < 2 for ids in sequences[:samples]):
        raise CodewattError(
            f"corpus of source {source!r}: a document has fewer than 2 tokens; 2 are needed"
        )
    return sequences[:samples]
