"""HumanEval+ (Liu et al. 2023): the 164 tasks of HumanEval with EvalPlus's additional tests."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from codewatt.benchmarks.benchmark import Benchmark, check_settings
from codewatt.benchmarks.dataset_files import cached_download, require_digest
from codewatt.benchmarks.output_rules import POLYNOMIAL_ROOT
from codewatt.benchmarks.prompt_format import HUMANEVAL_PLUS_FORMAT, PromptFormat
from codewatt.benchmarks.task_ids import benchmark_of_task
from codewatt.benchmarks.tasks import Task, read_tasks
from codewatt.errors import CodewattError

VERSION = "v0.1.10"

# The tag v0.1.10 of the release repository points at the content of v0.1.9, so the commit that
# contains v0.1.10 is used instead of a tag.
_COMMIT = "200defce9e3429d28ca215b6dd061c0f7f31c18b"
_URL = "https://github.com/evalplus/humanevalplus_release/raw/{commit}/{name}.jsonl.gz"
_SHA256 = {
    "HumanEvalPlus": "42526ec0e7d5f3ee0b06d6ced98f8c8bae3d76519151bfb3d36f79010645bd7f",
    "HumanEvalPlus-Mini": "78fbba8865b20c5a979cda6e02fd72538e1762e65980af7d1a6e93c3e87e93af",
}
"""SHA-256 of the unpacked JSON lines."""


class HumanEvalPlus(Benchmark):
    """HumanEval+ v0.1.10, from a local file or downloaded once; the content is checked.

    Settings:
        path: local .jsonl or .jsonl.gz file; null to download it into the cache directory.
        mini: the small variant, with fewer plus inputs.
        pinned: whether a local file must have the pinned digest (default true); a download always
            must.
        tasks: number of tasks to use, from the first on; null for all.
    """

    name: ClassVar[str] = "humaneval_plus"
    judges_files: ClassVar[bool] = True

    def prompt_format(self, settings: Mapping[str, Any]) -> PromptFormat:
        """See `Benchmark.prompt_format`: as EvalPlus asks."""
        return HUMANEVAL_PLUS_FORMAT

    def tasks(self, settings: Mapping[str, Any]) -> list[Task]:
        """See `Benchmark.tasks`; rows of other benchmarks are refused."""
        check_settings(self.name, settings, ("mini", "path", "pinned", "tasks"))
        variant = "HumanEvalPlus-Mini" if settings.get("mini") else "HumanEvalPlus"
        sha256, name = _SHA256[variant], f"{variant} {VERSION}"
        path = settings.get("path")
        if path is None:
            url = _URL.format(commit=_COMMIT, name=variant)
            path = cached_download(url, f"{variant}-{VERSION}-{sha256[:12]}.jsonl", sha256, name)
        elif settings.get("pinned", True):
            require_digest(Path(path), sha256, name)
        return read_tasks(path, require_humaneval_plus_row, _with_rule)[: settings.get("tasks")]


BENCHMARK = HumanEvalPlus()


def _with_rule(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the special oracle of EvalPlus 0.3.1 for HumanEval/32."""
    if row.get("entry_point") == "find_zero":
        return {**row, "output_rule": POLYNOMIAL_ROOT}
    return row


def require_humaneval_plus_row(row: dict[str, Any], where: str) -> None:
    """Refuse a row of another benchmark: its programs are judged by other rules.

    The prompt of a HumanEval+ row begins the function that is called. Prompts of MBPP+ only
    describe it.

    Args:
        row: the row.
        where: file and line, for the message.

    Raises:
        CodewattError: the task_id names another benchmark, or the prompt does not begin the
            function.
    """
    task_id, prompt, name = row.get("task_id"), row.get("prompt"), row.get("entry_point")
    found = benchmark_of_task(task_id)
    if found not in (None, "HumanEval+"):
        raise CodewattError(
            f"{where}: task_id {task_id!r:.60} belongs to {found}; allowed: rows of HumanEval+, "
            "because other benchmarks are judged by other rules"
        )
    if not (isinstance(prompt, str) and isinstance(name, str) and name.isidentifier()):
        return  # `Task.from_row` reports this
    if not re.search(rf"^[ \t]*(async[ \t]+)?def[ \t]+{name}[ \t]*\(", prompt, re.MULTILINE):
        raise CodewattError(
            f"{where}: prompt: does not begin the function {name!r}; allowed: rows of HumanEval+, "
            "whose prompts end with its signature and docstring"
        )
