"""The base class of benchmarks."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from codewatt.benchmarks.prompt_format import PromptFormat
from codewatt.benchmarks.tasks import Task
from codewatt.errors import CodewattError


def check_settings(benchmark: str, settings: Iterable[str], allowed: Sequence[str]) -> None:
    """Check the names of a benchmark's settings.

    Raises:
        CodewattError: a setting is unknown.
    """
    if unknown := sorted(set(settings) - set(allowed)):
        raise CodewattError(
            f"benchmark {benchmark}: unknown setting {unknown[0]!r}; allowed: {', '.join(allowed)}"
        )


class Benchmark(ABC):
    """A set of tasks, and how models are asked to solve them.

    Places to change for a new benchmark, besides its module in this package:
    `codewatt.config.benchmark_settings` and the list in `codewatt.config.schema` (its settings in a
    study file), `codewatt.sizing.workload.BENCHMARKS` (its size, for estimates), and for a dataset
    that users keep locally `codewatt.config.site` (benchmark_files). `task_ids` recognises its
    tasks in files of another benchmark.
    """

    name: ClassVar[str]
    """Name in study files (`kind`) and on the command line."""

    judges_files: ClassVar[bool] = False
    """Whether `codewatt evaluate` judges completions for a dataset file of this benchmark."""

    @abstractmethod
    def prompt_format(self, settings: Mapping[str, Any]) -> PromptFormat:
        """How models are asked to solve the tasks, and where their completions end.

        Args:
            settings: as of `tasks`.
        """

    @abstractmethod
    def tasks(self, settings: Mapping[str, Any]) -> Sequence[Task]:
        """The benchmark's tasks, in its own order; the same tasks for the same settings.

        Args:
            settings: settings of this benchmark in the study; each benchmark documents its keys.

        Raises:
            CodewattError: a setting is unknown or wrong, or the tasks cannot be read.
        """
