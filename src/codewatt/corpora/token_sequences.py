"""A text as sequences of tokens, by a model's own tokenizer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewatt.corpora.corpus import open_source, read_documents
from codewatt.errors import CodewattError
from codewatt.files import sha256_file


@dataclass(frozen=True)
class PreparedCorpus:
    """A text at hand.

    Attributes:
        documents: the text's.
        settings: a study's text without label: source, samples, tokens, seed.
        sha256: of the file of documents.
    """

    documents: list[str]
    settings: dict[str, Any]
    sha256: str

    @classmethod
    def read(cls, path: Path, settings: dict[str, Any]) -> "PreparedCorpus":
        """Read the documents that `prepare_corpus` wrote.

        Raises:
            CodewattError: see `read_documents`.
        """
        return cls(read_documents(path), settings, sha256_file(path))

    def sequences(self, tokenizer: Any) -> list[list[int]]:
        """See `token_sequences`."""
        return token_sequences(self.documents, tokenizer, self.settings)

    def judged_from(self, tokenizer: Any) -> list[int]:
        """For each of `sequences` the index of the first token that a model is judged on.

        At least 1, as nothing comes before a sequence's first token.
        """
        source = open_source(self.settings["source"])
        if source.joined:
            return [1] * self.settings["samples"]
        given = [source.context(text) for text in self.documents[: self.settings["samples"]]]
        encoded = tokenizer(given, add_special_tokens=False).input_ids
        return [max(len(ids), 1) for ids in encoded]

    def describe(self) -> dict[str, Any]:
        """For manifests: the settings and what was read."""
        return {**self.settings, "documents": len(self.documents), "sha256": self.sha256}


def token_sequences(
    documents: list[str], tokenizer: Any, settings: dict[str, Any]
) -> list[list[int]]:
    """The sequences that a quantiser is calibrated on, or that perplexity is taken on.

    Args:
        documents: of the prepared text.
        tokenizer: the model's.
        settings: the study's text: source, samples, tokens.

    Returns:
        `samples` sequences of token ids. Of a joined source each has `tokens` tokens: documents
        with an end-of-sequence token after each, cut one after the other. Else one document each,
        cut to `tokens`.

    Raises:
        CodewattError: there are too few tokens, a sequence would have less than two, or the
            tokenizer has no end-of-sequence token.
    """
    samples, tokens = settings["samples"], settings["tokens"]
    if tokenizer.eos_token_id is None:
        raise CodewattError(
            "text: the model's tokenizer has no end-of-sequence token, which stands between "
            "documents; allowed: a tokenizer_config.json with an eos_token"
        )
    encoded: list[list[int]] = tokenizer(documents, add_special_tokens=False).input_ids
    if open_source(settings["source"]).joined:
        stream = [token for ids in encoded for token in (*ids, tokenizer.eos_token_id)]
        cut = [stream[at : at + tokens] for at in range(0, len(stream) - tokens + 1, tokens)]
    else:
        cut = [ids[:tokens] for ids in encoded]
    if len(cut) < samples:
        raise CodewattError(
            f"text of source {settings['source']!r}: {len(cut)} sequences of {tokens} tokens in "
            f"it, {samples} are asked for; allowed: fewer samples or tokens, or more text"
        )
    if any(len(ids) < 2 for ids in cut[:samples]):
        raise CodewattError("text: a document has less than two tokens; each needs two or more")
    return cut[:samples]
