"""Generated functions of nano's grammar, drawn from what training draws from: never a test task."""

import hashlib
from typing import Any

from codewatt.corpora.corpus import TextSource
from codewatt.nano.task_sampling import training_problems

_PARTS = ("calibration", "held_out")
_DRAWS_PER_DOCUMENT = 1000
_DOCSTRING_END = '"""'
# Training's own seeds are below 2**32, so its stream of functions is not this one.
_FIRST_SEED = 2**32


class NanoFunctions(TextSource):
    """Whole functions; by what they compute, half of them belong to each part."""

    joined = False

    def documents(self, settings: dict[str, Any]) -> list[str]:
        """See `TextSource.documents`: exactly as many as there are samples, all different."""
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
        """See `TextSource.context`: signature and docstring, which nano models never learn."""
        prompt, quotes, _ = document.rpartition(_DOCSTRING_END)
        return prompt + quotes


def _part(family: str, key: str) -> str:
    """Which part a function belongs to, by the sha256 of what it computes."""
    total = hashlib.sha256(f"part of {family}: {key}".encode()).digest()
    return _PARTS[total[0] % 2]


SOURCE = NanoFunctions()
