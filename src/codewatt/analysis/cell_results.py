"""The results of one cell or one variant, read from its stages' records and checked together.

Each record is checked by its own type (`record_files`). Here the records are checked against each
other: that they are of the same cell, and that verdicts and energies are of the completions that
are there. A result that fails a check is an error that names the file; it never becomes a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NotRequired

from typing_extensions import TypedDict

from codewatt.analysis.completion_statistics import (
    NO_DIGESTS,
    Digests,
    Key,
    digest_texts,
    identical,
    key_of,
    read_texts,
    read_tokens,
)
from codewatt.analysis.repetition_metrics import Repetition
from codewatt.energy.energy_record import (
    ENERGY,
    MAKING_ENERGY,
    EnergyFileRecord,
    MakingEnergyFileRecord,
    is_measured,
)
from codewatt.energy.record_ids import CellIds, VariantIds
from codewatt.energy.task_energy import TaskEnergy
from codewatt.errors import CodewattError
from codewatt.evaluate.evaluate_record import EVALUATE, EvaluatedCellRecord, VerdictRecord
from codewatt.fidelity.fidelity_record import FIDELITY, FidelityRecord
from codewatt.files import check_files
from codewatt.generate.generate_record import (
    GENERATE,
    GeneratedCellRecord,
    GenerateRecord,
)
from codewatt.parquet import read_table
from codewatt.quantise.variant_record import VARIANT, VariantRecord


class TaskTimes(TypedDict):
    """A row of tasks.parquet: one completion, its times in CLOCK_MONOTONIC seconds.

    first_token_s: None for a completion without a token.
    """

    repeat: int
    sample: int
    task_id: str
    batch: int
    prompt_tokens: int
    new_tokens: int
    start_s: float
    first_token_s: float | None
    end_s: float
    stop_reason: str


class CellEntry(TypedDict):
    """A cell in one session, of aggregate's input: ids, layers that its variant lacks, files.

    completions, task_energy: absent where what they add to the tables is not wanted.
    """

    cell: CellIds
    prune_layers: int
    generate: str
    tasks: str
    evaluate: str
    energy: str
    completions: NotRequired[str]
    task_energy: NotRequired[str]


class NamedVariant(VariantIds):
    """A variant's ids, with the id that they make together."""

    id: str


class VariantEntry(TypedDict):
    """One variant of aggregate's input; fidelity: None if the study measures none."""

    variant: NamedVariant
    manifest: str
    making_energy: str
    fidelity: NotRequired[str | None]


@dataclass(frozen=True)
class Measurements:
    """What was measured of a cell that ran.

    Attributes:
        tasks: the rows of tasks.parquet.
        energy: energy.json.
        completions_identical: whether all repeats gave the same completions; None with one repeat,
            or if the completions were not given.
        task_energies: the rows of task_energy.parquet; empty if it was not given.
        first_tokens: digests of the new tokens of the first repeat; empty if the cell kept none.
        first_texts: digests of the completions of the first repeat; empty if they were not given.
        repetitions: what each completion repeats of itself.
    """

    generate: GeneratedCellRecord
    tasks: tuple[TaskTimes, ...]
    evaluate: EvaluatedCellRecord
    evaluate_path: Path
    energy: EnergyFileRecord
    energy_path: Path
    completions_identical: bool | None = None
    task_energies: tuple[TaskEnergy, ...] = ()
    first_tokens: Digests = NO_DIGESTS
    first_texts: Digests = NO_DIGESTS
    repetitions: dict[Key, Repetition] = field(default_factory=dict)

    @property
    def repeats(self) -> list[int]:
        """The repeats that ran, ascending."""
        return sorted({row["repeat"] for row in self.tasks})

    def task_energy(self) -> dict[Key, TaskEnergy]:
        """The energy of each completion, where task_energy.parquet was given."""
        return {key_of(row): row for row in self.task_energies}

    def verdicts(self) -> dict[Key, VerdictRecord]:
        """The verdict on each completion."""
        return {key_of(row): row for row in self.evaluate["verdicts"]}

    def without_tasks(self) -> "Measurements":
        """The same without what belongs to single tasks, batches and windows.

        It takes less than a tenth of the memory. The digests stay.
        """
        return replace(
            self,
            generate={**self.generate, "windows": []},
            tasks=(),
            evaluate={**self.evaluate, "verdicts": [], "domains": {}},
            energy={**self.energy, "windows": []},
            task_energies=(),
            repetitions={},
        )


@dataclass(frozen=True)
class CellResults:
    """One cell's results in one session.

    Attributes:
        identity: the cell's ids.
        prune_layers: layers that its variant lacks.
        generate: generate.json.
        measured: None for an infeasible cell.
    """

    identity: CellIds
    prune_layers: int
    generate: GenerateRecord
    generate_path: Path
    measured: Measurements | None = None

    @property
    def reason(self) -> str | None:
        """Why the cell is infeasible; None for a cell that ran."""
        return self.generate["reason"] if self.generate["status"] == "infeasible" else None

    @property
    def tasks(self) -> tuple[TaskTimes, ...]:
        """The rows of tasks.parquet; empty for an infeasible cell."""
        return () if self.measured is None else self.measured.tasks

    def without_tasks(self) -> "CellResults":
        """The same without what belongs to single tasks (`Measurements.without_tasks`)."""
        if self.measured is None:
            return self
        measured = self.measured.without_tasks()
        return replace(self, generate=measured.generate, measured=measured)

    @classmethod
    def read(cls, entry: CellEntry) -> "CellResults":
        """Read one cell.

        Raises:
            CodewattError: a file is missing, unreadable, of another cell, or contradicts another.
        """
        identity, path = entry["cell"], Path(entry["generate"])
        generate = GENERATE.read(path)
        _check_ids(path, "cell", generate["cell"], identity)
        return cls(
            identity=identity,
            prune_layers=entry["prune_layers"],
            generate=generate,
            generate_path=path,
            measured=None
            if generate["status"] == "infeasible"
            else _read_measurements(generate, path, entry),
        )


@dataclass(frozen=True)
class VariantResults:
    """One variant's results.

    Attributes:
        identity: its ids.
        manifest: the variant's record.
        making: the energy of quantising it and of scoring the layers that it was pruned by.
        fidelity: None if the study measures none.
    """

    identity: NamedVariant
    manifest: VariantRecord
    path: Path
    making: MakingEnergyFileRecord
    making_path: Path
    fidelity: FidelityRecord | None = None
    fidelity_path: Path | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """(model, prune, precision)."""
        return variant_key(self.identity)

    @classmethod
    def read(cls, entry: VariantEntry) -> "VariantResults":
        """Read one variant.

        Raises:
            CodewattError: a file is missing, unreadable, or of another variant.
        """
        identity, path = entry["variant"], Path(entry["manifest"])
        manifest = VARIANT.read(path)
        _check_ids(path, "variant", manifest["variant"], identity)
        making_path = Path(entry["making_energy"])
        making = MAKING_ENERGY.read(making_path)
        _check_ids(making_path, "variant", making["variant"], identity)
        fidelity, fidelity_path = None, None
        if (named := entry.get("fidelity")) is not None:
            fidelity_path = Path(named)
            fidelity = FIDELITY.read(fidelity_path)
            _check_ids(fidelity_path, "variant", fidelity["variant"], identity)
        return cls(
            identity=identity,
            manifest=manifest,
            path=path,
            making=making,
            making_path=making_path,
            fidelity=fidelity,
            fidelity_path=fidelity_path,
        )


def variant_key(identity: CellIds | VariantIds) -> tuple[str, str, str]:
    """The (model, prune, precision) of a cell or a variant."""
    return identity["model"], identity["prune"], identity["precision"]


def _read_measurements(
    generate: GeneratedCellRecord, generate_path: Path, entry: CellEntry
) -> Measurements:
    tasks = _read_tasks(Path(entry["tasks"]), generate, generate_path)
    evaluate_path, energy_path = Path(entry["evaluate"]), Path(entry["energy"])
    texts = read_texts(entry.get("completions"))
    first_tokens, repetitions = read_tokens(Path(entry["tasks"]), texts)
    energy = ENERGY.read(energy_path)
    _check_ids(energy_path, "cell", energy["cell"], entry["cell"])
    if not is_measured(energy):
        raise CodewattError(
            f"{energy_path}: infeasible, but {generate_path} is not: measure its energy again"
        )
    evaluate = EVALUATE.read(evaluate_path)
    if evaluate["status"] == "infeasible":
        raise CodewattError(
            f"{evaluate_path}: infeasible, but {generate_path} is not: evaluate this cell again"
        )
    measured = Measurements(
        generate=generate,
        tasks=tuple(tasks),
        evaluate=evaluate,
        evaluate_path=evaluate_path,
        energy=energy,
        energy_path=energy_path,
        completions_identical=identical(texts, len({t["repeat"] for t in tasks})),
        task_energies=_read_task_energy(entry.get("task_energy")),
        first_tokens=first_tokens,
        first_texts=digest_texts(texts),
        repetitions=repetitions,
    )
    _check_verdicts(measured)
    _check_runs(measured)
    return measured


def _check_ids(
    path: Path, kind: str, found: Mapping[str, object], identity: Mapping[str, object]
) -> None:
    """Refuse a record of another cell or variant, and an entry without all ids."""
    missing = [key for key in found if key not in identity]
    if missing:
        raise CodewattError(f"{kind} {dict(identity)}: missing ids: {', '.join(missing)}")
    for key, value in found.items():
        if value != identity[key]:
            raise CodewattError(
                f"{path}: belongs to another {kind}: {key} is {value}; expected: {identity[key]}"
            )


def _read_tasks(path: Path, generate: GeneratedCellRecord, generate_path: Path) -> list[TaskTimes]:
    """Rows of tasks.parquet, checked against the size and sha256 in generate's record."""
    check_files(path.parent, {n: d for n, d in generate["files"].items() if n == path.name})
    rows: list[TaskTimes] = read_table(path, list(TaskTimes.__annotations__)).to_pylist()
    repeats = {row["repeat"] for row in rows}
    if repeats != set(range(generate["repeats"])):
        raise CodewattError(
            f"{path}: has repeats {sorted(repeats)}, but {generate_path} has "
            f"{generate['repeats']} repeats; generate this cell again"
        )
    return rows


def _read_task_energy(path: str | None) -> tuple[TaskEnergy, ...]:
    """Rows of task_energy.parquet; none if it was not given."""
    if path is None:
        return ()
    rows: list[TaskEnergy] = read_table(path, tuple(TaskEnergy.__annotations__)).to_pylist()
    return tuple(rows)


def _check_verdicts(measured: Measurements) -> None:
    wanted, judged = {key_of(row) for row in measured.tasks}, set(measured.verdicts())
    if wanted != judged:
        raise CodewattError(
            f"{measured.evaluate_path}: {len(judged - wanted)} verdicts without a completion and "
            f"{len(wanted - judged)} completions without a verdict: evaluate this cell again"
        )


def _check_runs(measured: Measurements) -> None:
    runs = sorted(run["repeat"] for run in measured.energy["runs"])
    if runs != measured.repeats:
        raise CodewattError(
            f"{measured.energy_path}: has runs {runs}, but the cell has repeats "
            f"{measured.repeats}: compute its energy again"
        )
