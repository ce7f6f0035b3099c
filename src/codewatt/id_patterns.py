"""Regular expressions of the ids of a study, as Snakemake needs them for its wildcards."""

import re
from collections.abc import Iterable
from typing import Any

from codewatt.cells import ID_SEPARATOR, SECOND_RUN, SESSION_MARK
from codewatt.config.study import AXES
from codewatt.grid import Grid


def wildcard_constraints(grid: Grid) -> dict[str, str]:
    """Wildcard -> a regular expression that matches ids of the study, and nothing else."""
    study = grid.study
    one_of = {axis: any_of(study.values(axis)) for axis in AXES}
    variant = ID_SEPARATOR.join(one_of[axis] for axis in ("model", "prune", "precision"))
    generation = (
        one_of["benchmark"],
        one_of["prompt"],
        "t" + one_of["token_limit"],
        "b" + one_of["batch_size"],
        one_of["engine"],
        *([one_of["hardware"]] if study.hardware else []),
    )
    later = [f"{SESSION_MARK}{number}" for number in range(2, study.sessions + 1)]
    return {
        "model": one_of["model"],
        "benchmark": one_of["benchmark"],
        "corpus": any_of(study.values("corpus")),
        "method": any_of(sorted({method for _, method, _ in grid.scorings})),
        "variant": variant,
        "cell": ID_SEPARATOR.join((variant, *generation))
        + f"(?:{ID_SEPARATOR}{any_of([SECOND_RUN, *later])})?",
    }


def any_of(values: Iterable[Any]) -> str:
    """A regular expression that matches one of the values; of none, nothing."""
    return "(?:" + ("|".join(re.escape(str(value)) for value in values) or "(?!)") + ")"
