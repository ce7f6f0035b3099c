"""Corpus source `nano`: generated functions of nano's grammar, never those of benchmark tasks."""

import hashlib

from codewatt.corpora.corpus import CorpusSource
from codewatt.corpora.corpus_record import CorpusSettings
from codewatt.nano.task_sampling import training_problems

_PARTS = ("calibration", "held_out")
_DRAWS_PER_DOCUMENT = 1000
_DOCSTRING_END = '"""'
# Seeds of training are below 2**32, so training draws another sequence of functions.
_FIRST_SEED = 2**32


class NanoFunctions(CorpusSource):
    """Whole functions. A digest of what a function computes decides to which part it belongs."""

    joined = False

    def documents(self, settings: CorpusSettings) -> list[str]:
        """See `CorpusSource.documents`; as many different functions as there are samples."""
        wanted = settings["samples"]
        found: dict[str, None] = {}
        draws = training_problems(wanted * _DRAWS_PER_DOCUMENT, _FIRST_SEED + settings["seed"])
        for problem in draws:
            if _part(problem.family, problem.key) == settings["part"]:
                text = problem.prompt.rstrip() + "\n" + problem.canonical_solution.rstrip()
                found[text] = None
            if len(found) == wanted:
                break
        return list(found)

    def context(self, document: str) -> str:
        """See `CorpusSource.context`: signature and docstring, which nano models do not learn."""
        prompt, quotes, _ = document.rpartition(_DOCSTRING_END)
        return prompt + quotes


def _part(family: str, key: str) -> str:
    """The part that a function belongs to, by the sha256 of what it computes."""
    total = hashlib.sha256(f"part of {family}: {key}".encode()).digest()
    return _PARTS[total[0] % 2]


SOURCE = NanoFunctions()
