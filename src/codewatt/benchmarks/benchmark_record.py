"""The record of a prepared benchmark: what `prepare_benchmark` wrote, and generate reads."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from codewatt.benchmarks.prompt_format import PromptFormatRecord
from codewatt.record_files import RecordFormat


class BenchmarkSettings(TypedDict):
    """A study's benchmark without id and label (config.benchmark_settings).

    Every key but `kind` belongs to some kinds and is absent for the others:

    nano: tasks (their number), seed.
    humaneval_plus: mini (the reduced plus inputs), tasks (None: all of them).
    mbpp_plus: tasks (None: all of them).
    bigcodebench: split ("complete" or "instruct"), subset ("full" or "hard"), tasks (as above).
    """

    kind: str
    tasks: NotRequired[int | None]
    seed: NotRequired[int]
    mini: NotRequired[bool]
    split: NotRequired[str]
    subset: NotRequired[str]


class BenchmarkRecord(TypedDict):
    """benchmarks/<benchmark>/manifest.json.

    tasks: their number. sha256: of the file of tasks. prompt_format: how models are asked.
    It holds neither provenance nor code: a benchmark that is prepared again with the same tasks
    makes no cell stale.
    """

    schema: Literal[2]
    kind: str
    settings: BenchmarkSettings
    tasks: int
    sha256: str
    prompt_format: PromptFormatRecord


BENCHMARK: RecordFormat[BenchmarkRecord] = RecordFormat(BenchmarkRecord, "prepare_benchmark")
