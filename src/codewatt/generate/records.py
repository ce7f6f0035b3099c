"""What a cell's generation leaves behind: completions for EvalPlus, and a row of times for each."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codewatt.files import atomic_path, write_jsonl
from codewatt.generate.base import Completion


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
    """Write one parquet row per completion: counts, CLOCK_MONOTONIC seconds, why it stopped."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema(
        [
            ("repeat", pyarrow.int32()),
            ("sample", pyarrow.int32()),
            ("task_id", pyarrow.string()),
            ("batch", pyarrow.int32()),
            ("prompt_tokens", pyarrow.int32()),
            ("new_tokens", pyarrow.int32()),
            ("start_s", pyarrow.float64()),
            ("first_token_s", pyarrow.float64()),
            ("end_s", pyarrow.float64()),
            ("stop_reason", pyarrow.string()),
        ]
    )
    rows = [
        {
            "repeat": item.repeat,
            "batch": item.batch,
            "task_id": item.task_id,
            **{
                name: getattr(item.completion, name)
                for name in schema.names
                if name not in ("repeat", "batch", "task_id")
            },
        }
        for item in measured
    ]
    with atomic_path(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), temporary)
