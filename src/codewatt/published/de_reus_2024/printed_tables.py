"""The printed tables and figures of de Reus et al. 2024, and counts of their raw files.

README.md describes files and columns.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.published.printed_figures import PrintedTables, read_printed, read_rows

FOLDER = Path(__file__).parent
#: Files of printed numbers.
FIGURE_FILES = ("pass_at_1.csv", "runtimes.csv", "figure_energies.csv", "cache_misses.csv")
#: (model, token limit, precision, pruned layers), as in energy.csv.
Config = tuple[str, int, str, int]
_CONFIG = ("model", "token_limit", "precision", "layers_pruned")


@dataclass(frozen=True)
class SampleCounts:
    """Counts of the completions and verdicts of one run.

    Attributes:
        tasks: all tasks.
        base_solved, plus_solved: tasks that pass HumanEval's tests, and those of HumanEval+ too.
        plus_lost, plus_gained: tasks that the model without quantisation and pruning solves and
            this one does not, and the other way round (HumanEval+).
        no_body: completions that write no body for the function of the prompt: the first line
            after the prompt that is neither empty nor a comment is not indented.
        body_solved: tasks solved (HumanEval+) of those that write one.
        ended: completions that end before the token limit.
    """

    tasks: int
    base_solved: int
    plus_solved: int
    plus_lost: int
    plus_gained: int
    no_body: int
    body_solved: int
    ended: int


@dataclass(frozen=True)
class EarCounts:
    """EAR's job steps of one configuration, summarised.

    Attributes:
        steps: number of steps that ended with a run.
        step_s: their mean duration, including model loading (s).
        l1_misses, l2_misses: their mean cache misses.
        cpu_mhz_low, cpu_mhz_high: lowest and highest mean CPU clock of a step (MHz).
        packages_w_low, packages_w_high: the same of the power of both packages (W).
    """

    steps: float
    step_s: float
    l1_misses: float
    l2_misses: float
    cpu_mhz_low: float
    cpu_mhz_high: float
    packages_w_low: float
    packages_w_high: float


@dataclass(frozen=True)
class PaperTables(PrintedTables):
    """The printed figures and claims, and the counts of raw files.

    Attributes:
        samples: by configuration.
        ear: by configuration; only configurations that EAR logged.
    """

    samples: Mapping[Config, SampleCounts]
    ear: Mapping[Config, EarCounts]


def read_tables(folder: Path = FOLDER) -> PaperTables:
    """Read the files of a folder.

    Raises:
        CodewattError: a file is missing or wrong; the message names file, line and column.
    """
    printed = read_printed(folder, FIGURE_FILES, sources=True)
    return PaperTables(
        printed.figures,
        printed.claims,
        samples={
            config: SampleCounts(**{name: int(value) for name, value in values.items()})
            for config, values in _counts(folder / "sample_counts.csv", SampleCounts)
        },
        ear={
            config: EarCounts(**values)
            for config, values in _counts(folder / "ear_counts.csv", EarCounts)
        },
    )


def _counts(path: Path, kind: type) -> Iterator[tuple[Config, dict[str, float]]]:
    """Yield (configuration, values of the attributes of `kind`) for each row."""
    names = [field.name for field in fields(kind)]
    for where, row in read_rows(path, (*_CONFIG, *names)):
        try:
            values = {name: float(row[name]) for name in names}
            config = (
                *(row["model"], int(row["token_limit"]), row["precision"]),
                int(row["layers_pruned"]),
            )
        except ValueError as error:
            raise CodewattError(f"{where}: {error}") from None
        yield config, values
