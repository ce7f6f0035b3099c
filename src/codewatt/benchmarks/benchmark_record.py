"""The record of a prepared benchmark: what `prepare_benchmark` wrote, and generate reads."""

from typing import Any, Literal

from typing_extensions import TypedDict

from codewatt.record_files import RecordFormat


class BenchmarkRecord(TypedDict):
    """benchmarks/<benchmark>/manifest.json.

    settings: the study's benchmark without id and label; its keys depend on the kind.
    tasks: their number. sha256: of the file of tasks.
    It holds neither provenance nor code: a benchmark that is prepared again with the same tasks
    makes no cell stale.
    """

    schema: Literal[1]
    kind: str
    settings: dict[str, Any]
    tasks: int
    sha256: str
    stop_strings: list[str]


BENCHMARK: RecordFormat[BenchmarkRecord] = RecordFormat(BenchmarkRecord, "prepare_benchmark")
