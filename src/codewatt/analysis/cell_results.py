"""What the stages left for one cell or one variant, read and checked.

A record that cannot be trusted (of another cell, changed after it was written, without verdicts
for its completions) is an error that names the file; it never becomes a row.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codewatt.analysis.completion_statistics import (
    Key,
    Tokens,
    identical,
    key_of,
    read_texts,
    read_tokens,
)
from codewatt.analysis.repetition_metrics import Repetition
from codewatt.energy.energy_record import MakingEnergyRecord, read_making_energy
from codewatt.errors import CodewattError
from codewatt.files import check_files, read_json

SCHEMA = 1
INFEASIBLE = "infeasible"
CELL_KEYS = (
    "id", "variant", "model", "prune", "precision", "benchmark", "prompt", "token_limit",
    "batch_size", "engine", "hardware",
)  # fmt: skip
VARIANT_KEYS = ("model", "prune", "precision")
TASK_COLUMNS = (
    "repeat", "sample", "task_id", "batch", "prompt_tokens", "new_tokens", "start_s",
    "first_token_s", "end_s", "stop_reason",
)  # fmt: skip
EVALUATE_KEYS = ("verdicts",)
FIDELITY_KEYS = ("status", "corpus", "baseline")
ENERGY_KEYS = ("boundary", "components", "runs", "checks", "valid")

Json = dict[str, Any]


@dataclass(frozen=True)
class CellRecord:
    """One cell's results.

    identity: the cell's ids (CELL_KEYS). prune_layers: layers that its variant lacks.
    reason: why the cell is infeasible, None for a cell that ran; then `tasks` is empty and the
    other parts are None.
    tasks: the rows of tasks.parquet, absent values as None. evaluate, energy: the stages' JSON.
    completions_identical: whether all repeats gave the same completions; None when there is one
    repeat or the completions were not given.
    first_tokens: of the completions of the first repeat; empty if the cell kept no tokens.
    repetitions: what each completion repeats of itself.
    """

    identity: Json
    prune_layers: int
    reason: str | None
    generate: Json
    generate_path: Path
    tasks: tuple[Json, ...] = ()
    evaluate: Json | None = None
    evaluate_path: Path | None = None
    energy: Json | None = None
    energy_path: Path | None = None
    completions_identical: bool | None = None
    task_energies: tuple[Json, ...] = ()
    first_tokens: Tokens = field(default_factory=dict)
    repetitions: dict[Key, Repetition] = field(default_factory=dict)

    @property
    def repeats(self) -> list[int]:
        """The repeats that ran, ascending."""
        return sorted({row["repeat"] for row in self.tasks})

    def task_energy(self) -> dict[Key, Json]:
        """The energy of each completion, where the energy stage left it."""
        return {key_of(row): row for row in self.task_energies}

    def verdicts(self) -> dict[Key, Json]:
        """The verdict of each completion."""
        rows = self.evaluate["verdicts"] if self.evaluate is not None else []
        return {key_of(row): row for row in rows}

    @classmethod
    def read(cls, entry: Json) -> "CellRecord":
        """Read one cell.

        Args:
            entry: {"cell": ids, "prune_layers": int, "generate", "tasks", "evaluate", "energy":
                paths} and, optional, "completions": path of completions.jsonl.gz, and
                "task_energy": path of task_energy.parquet.

        Raises:
            CodewattError: a file is missing, unreadable, of another cell, or contradicts another.
        """
        identity = _pick(entry["cell"], CELL_KEYS, "cell")
        generate_path = Path(entry["generate"])
        generate = _manifest(generate_path, "cell", identity)
        head = cls(
            identity=identity,
            prune_layers=int(entry["prune_layers"]),
            reason=_infeasible(generate),
            generate=generate,
            generate_path=generate_path,
        )
        return head if head.reason is not None else _with_results(head, entry)


@dataclass(frozen=True)
class VariantRecord:
    """One variant's manifest. identity: ids (VARIANT_KEYS, and "id"); reason: as for a cell.

    making: the energy of quantising it and of scoring the layers that it was pruned by.
    fidelity: of its fidelity.json; None if the study has no fidelity.
    """

    identity: Json
    reason: str | None
    manifest: Json
    path: Path
    making: MakingEnergyRecord
    fidelity: Json | None = None
    fidelity_path: Path | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """(model, prune, precision)."""
        return variant_key(self.identity)

    @classmethod
    def read(cls, entry: Json) -> "VariantRecord":
        """Read one variant.

        Args:
            entry: {"variant": {"id", "model", "prune", "precision"}, "manifest", "making_energy":
                paths} and, optional, "fidelity": path.

        Raises:
            CodewattError: a file is missing, unreadable, or of another variant.
        """
        path = Path(entry["manifest"])
        identity = _pick(entry["variant"], ("id", *VARIANT_KEYS), "variant")
        manifest = _manifest(path, "variant", identity)
        fidelity, fidelity_path = None, None
        if entry.get("fidelity") is not None:
            fidelity_path = Path(entry["fidelity"])
            fidelity = _manifest(fidelity_path, "variant", identity, FIDELITY_KEYS)
        return cls(
            identity=identity,
            reason=_infeasible(manifest),
            manifest=manifest,
            path=path,
            making=read_making_energy(entry["making_energy"], identity),
            fidelity=fidelity,
            fidelity_path=fidelity_path,
        )


def variant_key(identity: Json) -> tuple[str, str, str]:
    """The (model, prune, precision) of a cell or a variant."""
    return identity["model"], identity["prune"], identity["precision"]


def _with_results(head: CellRecord, entry: Json) -> CellRecord:
    tasks = _read_tasks(Path(entry["tasks"]), head.generate, head.generate_path)
    evaluate_path, energy_path = Path(entry["evaluate"]), Path(entry["energy"])
    texts = read_texts(entry.get("completions"))
    first_tokens, repetitions = read_tokens(Path(entry["tasks"]), texts)
    record = CellRecord(
        identity=head.identity,
        prune_layers=head.prune_layers,
        reason=None,
        generate=head.generate,
        generate_path=head.generate_path,
        tasks=tuple(tasks),
        evaluate=_manifest(evaluate_path, "cell", head.identity, EVALUATE_KEYS),
        evaluate_path=evaluate_path,
        energy=_manifest(energy_path, "cell", head.identity, ENERGY_KEYS),
        energy_path=energy_path,
        completions_identical=identical(texts, len({t["repeat"] for t in tasks})),
        task_energies=_read_task_energy(entry.get("task_energy")),
        first_tokens=first_tokens,
        repetitions=repetitions,
    )
    _check_verdicts(record)
    _check_runs(record)
    return record


def _pick(given: Json, keys: tuple[str, ...], what: str) -> Json:
    missing = [key for key in keys if key not in given]
    if missing:
        raise CodewattError(f"{what} {given}: {', '.join(missing)} missing")
    return {key: given[key] for key in keys}


def _manifest(path: Path, kind: str, identity: Json, needed: tuple[str, ...] = ()) -> Json:
    """Read a stage's JSON; check its schema, its parts and, where it names them, its ids."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise CodewattError(f"{path}: expected a JSON object")
    if content.get("schema", SCHEMA) != SCHEMA:
        raise CodewattError(f"{path}: schema {content['schema']}, this version reads {SCHEMA}")
    named = content.get(kind)
    for key, value in named.items() if isinstance(named, dict) else ():
        if key in identity and value != identity[key]:
            raise CodewattError(f"{path}: of another {kind}: {key} {value}, not {identity[key]}")
    absent = [key for key in needed if key not in content]
    if absent:
        raise CodewattError(f"{path}: {', '.join(absent)} missing: run this stage again")
    return content


def _infeasible(content: Json) -> str | None:
    if content.get("status") != INFEASIBLE:
        return None
    return str(content.get("reason") or "no reason given")


def _read_tasks(path: Path, generate: Json, generate_path: Path) -> list[Json]:
    """Rows of tasks.parquet, checked against the size and sha256 in generate's manifest."""
    import pyarrow.parquet as parquet

    described = {n: d for n, d in generate.get("files", {}).items() if n == path.name}
    check_files(path.parent, described)
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise CodewattError(f"{path}: not readable as parquet: {_first_line(error)}") from None
    absent = [name for name in TASK_COLUMNS if name not in table.column_names]
    if absent:
        raise CodewattError(f"{path}: no column {', '.join(absent)}")
    rows: list[Json] = table.select(list(TASK_COLUMNS)).to_pylist()
    repeats = {row["repeat"] for row in rows}
    if repeats != set(range(generate["repeats"])):
        raise CodewattError(
            f"{path}: repeats {sorted(repeats)}, but {generate_path} says {generate['repeats']}"
        )
    return rows


def _read_task_energy(path: Any) -> tuple[Json, ...]:
    """Rows of task_energy.parquet; none if it was not given."""
    import pyarrow.parquet as parquet

    if path is None:
        return ()
    try:
        return tuple(parquet.read_table(path).to_pylist())
    except (OSError, ValueError) as error:
        raise CodewattError(f"{path}: not readable as parquet: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check_verdicts(record: CellRecord) -> None:
    wanted, judged = {key_of(row) for row in record.tasks}, set(record.verdicts())
    if wanted != judged:
        raise CodewattError(
            f"{record.evaluate_path}: {len(judged - wanted)} verdicts without a completion and "
            f"{len(wanted - judged)} completions without a verdict: evaluate this cell again"
        )


def _check_runs(record: CellRecord) -> None:
    energy = record.energy or {}
    runs = sorted(run["repeat"] for run in energy.get("runs", []))
    if runs != record.repeats:
        raise CodewattError(
            f"{record.energy_path}: runs {runs}, but the cell has repeats {record.repeats}: "
            "measure its energy again"
        )
