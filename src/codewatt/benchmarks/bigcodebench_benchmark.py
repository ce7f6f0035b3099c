"""BigCodeBench (Zhuo et al. 2024): 1,140 tasks that use 139 libraries, judged by unit tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from codewatt.benchmarks.benchmark import Benchmark, check_settings
from codewatt.benchmarks.bigcodebench_dataset import (
    domains_of,
    downloaded_dataset,
    hard_task_ids,
    read_dataset,
    require_version,
)
from codewatt.benchmarks.prompt_format import (
    BIGCODEBENCH_COMPLETE_FORMAT,
    BIGCODEBENCH_INSTRUCT_FORMAT,
    PromptFormat,
)
from codewatt.benchmarks.tasks import UnittestTask
from codewatt.errors import CodewattError
from codewatt.untrusted_files import display_path

SPLITS = ("complete", "instruct")
SUBSETS = ("full", "hard")


class BigCodeBench(Benchmark):
    """BigCodeBench v0.1.4, from a local file or downloaded once; the content is checked.

    Settings:
        split: which prompt a model is given. "complete" (default): imports, signature and
            docstring. "instruct": the task in words, for models with a chat template.
        subset: "full" (default), or "hard" for the 148 tasks of BigCodeBench-Hard.
        path: local .parquet, .jsonl or .jsonl.gz file; null to download it into the cache
            directory.
        pinned: whether a local file must have the pinned content (default true); a download always
            must. A file of a known other version is always refused.
        tasks: number of tasks to use, from the first of the subset on; null for all.
    """

    name: ClassVar[str] = "bigcodebench"
    judges_files: ClassVar[bool] = True

    def prompt_format(self, settings: Mapping[str, Any]) -> PromptFormat:
        """See `Benchmark.prompt_format`: as bigcodebench asks in the chosen split."""
        if self._choice(settings, "split", SPLITS) == "instruct":
            return BIGCODEBENCH_INSTRUCT_FORMAT
        return BIGCODEBENCH_COMPLETE_FORMAT

    def tasks(self, settings: Mapping[str, Any]) -> list[UnittestTask]:
        """See `Benchmark.tasks`; rows of other benchmarks and versions are refused."""
        check_settings(self.name, settings, ("path", "pinned", "split", "subset", "tasks"))
        split = self._choice(settings, "split", SPLITS)
        subset = self._choice(settings, "subset", SUBSETS)
        path = settings.get("path")
        pinned = settings.get("pinned", True) or path is None
        path = downloaded_dataset() if path is None else Path(path)
        rows = read_dataset(path)
        require_version(rows, path, pinned=pinned)
        if subset == "hard":
            rows = [row for row in rows if row["task_id"] in hard_task_ids()]
            if not rows:
                raise CodewattError(
                    f"{display_path(path)}: contains no task of the subset 'hard'; at least one is "
                    "needed"
                )
        return [_task(row, split) for row in rows[: settings.get("tasks")]]

    def _choice(self, settings: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> str:
        """The value of a setting; the first allowed one by default."""
        value = settings.get(key, allowed[0])
        if value not in allowed:
            raise CodewattError(
                f"benchmark {self.name}: {key} {value!r}; allowed: {', '.join(allowed)}"
            )
        return str(value)


BENCHMARK = BigCodeBench()


def _task(row: dict[str, Any], split: str) -> UnittestTask:
    fields = ("task_id", "entry_point", "canonical_solution", "complete_prompt", "code_prompt")
    return UnittestTask.from_row(
        {
            **{field: row[field] for field in fields},
            "prompt": row[f"{split}_prompt"],
            "test": row["test"],
            "libraries": row["libs"],
            "domains": domains_of(row["libs"]),
        },
        row["task_id"],
    )
