"""Reads codewatt's own measurements of quantised models, as pages of the archive print them.

The files are typed from the pages once; a test compares them with the pages, number by number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.published.printed_figures import read_rows

FOLDER = Path(__file__).parent
_SETTINGS = (
    *("page", "gpu", "model", "parameters", "engine", "method", "library", "batch_size"),
    *("scope", "low", "high"),
)


@dataclass(frozen=True)
class Setting:
    """What was measured, and how.

    Attributes:
        page: name of the page in docs/archive.
        gpu: "H200" or "H100".
        model: name of the model; "architecture" means random weights.
        parameters: number of the model's parameters.
        engine: "transformers" (`generate()`) or "graph" (a CUDA graph of each decode step).
        method: precision, such as "bf16" or "GPTQ int4".
        library: what made the weights.
        batch_size: sequences completed together.
        scope: phases that the energy includes.
    """

    page: str
    gpu: str
    model: str
    parameters: int
    engine: str
    method: str
    library: str
    batch_size: int
    scope: str


@dataclass(frozen=True)
class OwnEnergy:
    """GPU energy per new token, with its 95 % interval.

    Attributes:
        setting: what was measured.
        table: number of the table on its page, counting those with energies per token.
        label: the precision as the page names it.
        kernels: as the page names them; "" if it does not.
        board: "another" for a run on another board than the rest of its table; else "".
        j_per_token, low, high: mean and interval (J).
        j_per_task: energy of a task, prefill and decoding (J); None if the page has none.
    """

    setting: Setting
    table: int
    label: str
    kernels: str
    board: str
    j_per_token: float
    low: float
    high: float
    j_per_task: float | None


@dataclass(frozen=True)
class OwnChange:
    """A change of GPU energy against bfloat16 that a page states itself, with its 95 % interval.

    Attributes:
        setting: what was measured.
        change_percent, low, high: change and interval (%).
    """

    setting: Setting
    change_percent: float
    low: float
    high: float


def read_energies(folder: Path = FOLDER) -> list[OwnEnergy]:
    """Read own_measurements.csv.

    Raises:
        CodewattError: the file is missing or wrong.
    """
    columns = (*_SETTINGS, "table", "label", "kernels", "board", "j_per_token", "j_per_task")
    return [
        OwnEnergy(
            _setting(row),
            int(row["table"]),
            row["label"],
            row["kernels"],
            row["board"],
            float(row["j_per_token"]),
            float(row["low"]),
            float(row["high"]),
            float(row["j_per_task"]) if row["j_per_task"] else None,
        )
        for row in _rows(folder / "own_measurements.csv", columns)
    ]


def read_changes(folder: Path = FOLDER) -> list[OwnChange]:
    """Read own_changes.csv.

    Raises:
        CodewattError: the file is missing or wrong.
    """
    columns = (*_SETTINGS, "change_percent")
    return [
        OwnChange(
            _setting(row), float(row["change_percent"]), float(row["low"]), float(row["high"])
        )
        for row in _rows(folder / "own_changes.csv", columns)
    ]


def _setting(row: dict[str, str]) -> Setting:
    return Setting(
        row["page"],
        row["gpu"],
        row["model"],
        int(row["parameters"]),
        row["engine"],
        row["method"],
        row["library"],
        int(row["batch_size"]),
        row["scope"],
    )


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    numbers = {
        *("parameters", "batch_size", "low", "high"),
        *("table", "j_per_token", "j_per_task", "change_percent"),
    }
    for where, row in read_rows(path, columns):
        for name in numbers.intersection(columns):
            try:
                float(row[name] or "nan" if name == "j_per_task" else row[name])
            except ValueError:
                raise CodewattError(
                    f"{where}: {name}: expected a number, found {row[name]!r}"
                ) from None
        yield row
