"""The nano benchmark: simple functions that were held out from the training of nano models."""

from collections.abc import Mapping
from typing import Any, ClassVar

from codewatt.benchmarks.benchmark import Benchmark, check_settings
from codewatt.benchmarks.prompt_format import HUMANEVAL_PLUS_FORMAT, PromptFormat
from codewatt.benchmarks.tasks import FunctionTask
from codewatt.errors import CodewattError
from codewatt.nano.task_sampling import held_out_problems

_DEFAULTS = {"tasks": 100, "seed": 0}


class NanoBenchmark(Benchmark):
    """Generated tasks, each with three base inputs and sixteen plus inputs of edge cases.

    Settings:
        tasks: number of tasks, 100 by default; the grammar holds out more than 8000.
        seed: seed of the selection, 0 by default. No seed selects a task that training may see.
    """

    name: ClassVar[str] = "nano"

    def prompt_format(self, settings: Mapping[str, Any]) -> PromptFormat:
        """See `Benchmark.prompt_format`: as EvalPlus asks on HumanEval+."""
        return HUMANEVAL_PLUS_FORMAT

    def tasks(self, settings: Mapping[str, Any]) -> list[FunctionTask]:
        """See `Benchmark.tasks`; task ids are "Nano/0", "Nano/1" and so on."""
        check_settings(self.name, settings, tuple(_DEFAULTS))
        for key, value in settings.items():
            if isinstance(value, bool) or not isinstance(value, int):
                raise CodewattError(
                    f"benchmark {self.name}: {key}: expected an integer, found {value!r}"
                )
        chosen = {**_DEFAULTS, **settings}
        return [
            FunctionTask(
                task_id=f"Nano/{number}",
                prompt=problem.prompt,
                entry_point=problem.entry_point,
                canonical_solution=problem.canonical_solution,
                base_input=problem.base_input,
                plus_input=problem.plus_input,
                atol=problem.atol,
            )
            for number, problem in enumerate(held_out_problems(chosen["tasks"], chosen["seed"]))
        ]


BENCHMARK = NanoBenchmark()
