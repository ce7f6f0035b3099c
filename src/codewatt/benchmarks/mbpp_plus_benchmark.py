"""MBPP+ (Liu et al. 2023): 378 tasks of MBPP (Austin et al. 2021) with EvalPlus's additional tests.

How inputs are made from JSON and how outputs are compared depends on the task. The tables of types
and of rules are those of EvalPlus 0.3.1. They include tasks of older versions of MBPP+.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from codewatt.benchmarks.benchmark import Benchmark, check_settings
from codewatt.benchmarks.dataset_files import cached_download, require_digest
from codewatt.benchmarks.output_rules import (
    ANY_OUTPUT,
    DIGIT_DISTANCE,
    EQUAL_OR_ZERO,
    NOT_NONE,
    PYRAMID_SURFACE,
    SAME_SET,
)
from codewatt.benchmarks.prompt_format import MBPP_PLUS_FORMAT, PromptFormat
from codewatt.benchmarks.task_ids import benchmark_of_task
from codewatt.benchmarks.tasks import Task, read_tasks
from codewatt.errors import CodewattError

VERSION = "v0.2.0"

_COMMIT = "dadf43da556a00f7bacd71cb154f2932757d9144"
_URL = f"https://github.com/evalplus/mbppplus_release/raw/{_COMMIT}/MbppPlus.jsonl.gz"
_SHA256 = "b54e762755248ca411b523c917fa9f93c07b5ff2966bf60b3917b853926a3dad"
"""SHA-256 of the unpacked JSON lines."""

OUTPUT_RULES = {
    "are_equivalent": ANY_OUTPUT,  # Mbpp/164
    "sum_div": EQUAL_OR_ZERO,  # Mbpp/295
    "digit_distance_nums": DIGIT_DISTANCE,  # Mbpp/558
    "surface_Area": PYRAMID_SURFACE,  # Mbpp/581
    **dict.fromkeys(
        (
            *("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly"),
            *("larg_nnum", "intersection_array", "find_dissimilar", "Diff"),
        ),
        SAME_SET,
    ),
    **dict.fromkeys(("check_str", "text_match_three", "text_starta_endb"), NOT_NONE),
}
"""Rule of comparison by entry point; all other tasks compare for equality.

Source: evalplus 0.3.1, eval/_special_oracle.py and eval/__init__.py.
"""

_TYPE_OF_ALL_ARGUMENTS = {
    "tuple": (
        *(2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630),
        *(726, 740, 744, 809),
    ),
    "list[tuple]": (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780),
    "tuple[tuple]": (259, 401, 445),
    "nested tuples": (580, 615, 791),
}
_TYPES_BY_POSITION = {
    **{key: ["list[tuple]"] for key in (75, 413, 444, 753)},
    **{key: ["json", "tuple"] for key in (106, 750)},
    **{key: ["tuple"] for key in (250, 307, 405, 446, 617, 720, 763, 808)},
    115: ["list[set]"],
    124: ["float", "complex"],
    252: ["complex"],
    278: ["tuple[tuple|json]"],
    722: ["dict[tuple]"],
}
"""Types of the first arguments by task number (evalplus 0.3.1, data/mbpp.py)."""

_TASK_ID = re.compile(r"Mbpp/(\d+)")


class MbppPlus(Benchmark):
    """MBPP+ v0.2.0, from a local file or downloaded once; the content is checked.

    The prompt is a docstring: one sentence and one assertion. The reference program defines the
    function after it.

    Settings:
        path: local .jsonl or .jsonl.gz file; null to download it into the cache directory.
        pinned: whether a local file must have the pinned digest (default true); a download always
            must.
        tasks: number of tasks to use, from the first on; null for all.
    """

    name: ClassVar[str] = "mbpp_plus"
    judges_files: ClassVar[bool] = True

    def prompt_format(self, settings: Mapping[str, Any]) -> PromptFormat:
        """See `Benchmark.prompt_format`: as EvalPlus asks."""
        return MBPP_PLUS_FORMAT

    def tasks(self, settings: Mapping[str, Any]) -> list[Task]:
        """See `Benchmark.tasks`; rows of other benchmarks are refused."""
        check_settings(self.name, settings, ("path", "pinned", "tasks"))
        name, path = f"MbppPlus {VERSION}", settings.get("path")
        if path is None:
            path = cached_download(_URL, f"MbppPlus-{VERSION}-{_SHA256[:12]}.jsonl", _SHA256, name)
        elif settings.get("pinned", True):
            require_digest(Path(path), _SHA256, name)
        return read_tasks(path, require_mbpp_plus_row, _with_rules)[: settings.get("tasks")]


BENCHMARK = MbppPlus()


def require_mbpp_plus_row(row: dict[str, Any], where: str) -> None:
    """Refuse a row of another benchmark: its inputs and outputs have other rules.

    Args:
        row: the row.
        where: file and line, for the message.

    Raises:
        CodewattError: the task_id is not one of MBPP.
    """
    task_id = row.get("task_id")
    if isinstance(task_id, str) and _TASK_ID.fullmatch(task_id):
        return
    found = benchmark_of_task(task_id)
    of = f" belongs to {found}" if found not in (None, "MBPP+") else ""
    raise CodewattError(
        f"{where}: task_id {task_id!r:.60}{of}; allowed: rows of MBPP+, such as 'Mbpp/2', because "
        "types of arguments and rules of comparison depend on the task"
    )


def _with_rules(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the types of its arguments and its rule of comparison."""
    prepared = dict(row)
    for suite in ("base_input", "plus_input"):
        if row.get(suite) == {}:  # Mbpp/793 has no plus tests
            prepared[suite] = []
    if row.get("entry_point") in OUTPUT_RULES:
        prepared["output_rule"] = OUTPUT_RULES[row["entry_point"]]
    if types := _argument_types(row):
        prepared["argument_types"] = types
    return prepared


def _argument_types(row: dict[str, Any]) -> list[str]:
    match = _TASK_ID.fullmatch(row["task_id"])
    assert match is not None  # checked by `require_mbpp_plus_row`
    number = int(match[1])
    for name, numbers in _TYPE_OF_ALL_ARGUMENTS.items():
        if number in numbers:
            tests = [*(row.get("base_input") or ()), *(row.get("plus_input") or ())]
            return [name] * max((len(test) for test in tests if isinstance(test, list)), default=0)
    return list(_TYPES_BY_POSITION.get(number, ()))
