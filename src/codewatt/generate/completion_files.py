"""What a cell's generation leaves behind: completions for EvalPlus, and a row of times for each."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codewatt.files import write_jsonl
from codewatt.generate.engine import Completion
from codewatt.parquet import write_rows

_FIELDS = (
    ("repeat", "int32"),
    ("sample", "int32"),
    ("task_id", "string"),
    ("batch", "int32"),
    ("prompt_tokens", "int32"),
    ("new_tokens", "int32"),
    ("start_s", "float64"),
    ("first_token_s", "float64"),
    ("end_s", "float64"),
    ("stop_reason", "string"),
    ("tokens", "list<int32>"),
)


@dataclass(frozen=True)
class Measured:
    """A completion, and which repeat, batch, task and prompt it belongs to."""

    repeat: int
    batch: int
    task_id: str
    prompt: str
    completion: Completion


def write_completions(path: Path, measured: Iterable[Measured]) -> None:
    """Write EvalPlus's jsonl: task_id and solution (prompt as given + completion), and repeat."""
    write_jsonl(
        path,
        (
            {
                "task_id": item.task_id,
                "repeat": item.repeat,
                "sample": item.completion.sample,
                "solution": item.prompt + item.completion.text,
                "completion": item.completion.text,
            }
            for item in measured
        ),
    )


def write_task_records(path: Path, measured: Iterable[Measured]) -> None:
    """Write one parquet row per completion.

    Counts, CLOCK_MONOTONIC seconds, why it stopped, and the ids of its new tokens.
    """
    rows = [
        {
            **vars(item.completion),
            "repeat": item.repeat,
            "batch": item.batch,
            "task_id": item.task_id,
        }
        for item in measured
    ]
    write_rows(path, rows, _FIELDS)
