"""A cell run by the generate stage, from weights and prompts, without Snakemake."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codewatt.benchmarks.prompt_format import PromptFormat
from codewatt.benchmarks.tasks import FunctionTask, write_tasks
from codewatt.files import describe_files, write_json
from codewatt.generate.generate_cell import CellFiles, generate_cell
from tests.support.records import benchmark_record, variant_record

#: `decoding.warmup` with one batch, whatever its time.
FIXED_WARMUP = {"batches": 1, "max_cv": None, "window_batches": 5, "max_batches": 50}


def run_cell(
    weights: Path,
    folder: Path,
    prompts: Sequence[str],
    *,
    stop_strings: Sequence[str] = (),
    repeats: int = 2,
    parameters: int = 1,
    dtype: str = "float32",
    warmup: dict[str, Any] | None = None,
    start: dict[str, Any] | None = None,
    **cell: Any,
) -> tuple[dict[str, Any], CellFiles]:
    """The manifest and the files of a greedy cell on the CPU.

    Args:
        weights: a save_pretrained directory; folder: where everything is written.
        warmup, start: `decoding.warmup` and `energy.start`; one batch and no rest if None.
        cell: engine, batch_size, token_limit.
    """
    files = describe_files(weights)
    variant = variant_record(
        weights={"directory": str(weights), "files": files},
        dtype=dtype,
        parameters=parameters,
        size_bytes=sum(file["bytes"] for file in files.values()),
        meaningful_accuracy=False,
    )
    inputs = (folder / "variant.json", folder / "benchmark.json", folder / "tasks.jsonl.gz")
    write_json(inputs[0], variant)
    prompt_format = PromptFormat(direct_stop_strings=tuple(stop_strings))
    write_json(inputs[1], benchmark_record(prompt_format=prompt_format.to_record()))
    tasks = [
        FunctionTask(f"t/{n}", prompt, "f", "\n    pass", [[1]], [])
        for n, prompt in enumerate(prompts)
    ]
    write_tasks(inputs[2], tasks)
    settings = {
        "cell": {"prompt": "stripped", **cell},
        "device": "cpu",
        "decoding": {
            "repeats": repeats, "seed": 0, "samples": 1, "temperature": None, "top_p": None,
            "warmup": warmup or FIXED_WARMUP,
        },
        "energy": {"idle_s": 0.1, "codecarbon_interval_s": 0.1, "start": start},
    }  # fmt: skip
    out = CellFiles(*(folder / name for name in ("c.jsonl.gz", "t.parquet", "timeline.parquet")))
    return generate_cell(settings, *inputs, out, threads=1), out
