"""Files that a cell's generation writes: completions for EvalPlus, and a table of their times."""

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
class MeasuredCompletion:
    """A completion, with the repeat, batch and task that it belongs to.

    solution: the text that is judged; it has the prompt unless the model answered in a chat.
    """

    repeat: int
    batch: int
    task_id: str
    solution: str
    completion: Completion


def write_completions(path: Path, measured: Iterable[MeasuredCompletion]) -> None:
    """Write a JSON Lines file as EvalPlus reads it.

    Each line has task_id, repeat, sample, solution (the text that is judged) and completion.
    """
    write_jsonl(
        path,
        (
            {
                "task_id": item.task_id,
                "repeat": item.repeat,
                "sample": item.completion.sample,
                "solution": item.solution,
                "completion": item.completion.text,
            }
            for item in measured
        ),
    )


def write_task_records(path: Path, measured: Iterable[MeasuredCompletion]) -> None:
    """Write a Parquet file with one row per completion.

    Columns: repeat, sample, task_id, batch; prompt_tokens and new_tokens (counts); start_s,
    first_token_s and end_s (CLOCK_MONOTONIC seconds); stop_reason; tokens (ids of new tokens).
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
