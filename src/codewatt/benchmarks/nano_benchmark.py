"""Nano: simple functions, held out from what the nano models were trained on."""

from typing import Any, ClassVar

from codewatt.benchmarks.benchmark import Benchmark, Task
from codewatt.errors import CodewattError
from codewatt.nano.task_sampling import held_out_problems

_DEFAULTS = {"tasks": 100, "seed": 0}


class NanoBenchmark(Benchmark):
    """Generated tasks with three base inputs and sixteen edgier plus inputs each.

    Settings:
        tasks: how many; 100 unless given. The grammar holds out some thousands.
        seed: of the draw; 0 unless given. No seed reaches a task that training may see.
    """

    name: ClassVar[str] = "nano"

    # EvalPlus's for base models on HumanEval: where a function is over and other code begins.
    stop_strings: ClassVar[tuple[str, ...]] = (
        "<|endoftext|>",
        "\nif __name__",
        "\nprint(",
        "\ndef ",
        "\nclass ",
        "\nimport ",
        "\nfrom ",
        "\nassert ",
    )

    def tasks(self, settings: dict[str, Any]) -> list[Task]:
        """The tasks, "Nano/0" and so on; the same for the same settings."""
        for key, value in settings.items():
            if key not in _DEFAULTS:
                raise CodewattError(
                    f"benchmark {self.name}: unknown setting {key!r}; "
                    f"allowed: {', '.join(_DEFAULTS)}"
                )
            if isinstance(value, bool) or not isinstance(value, int):
                raise CodewattError(
                    f"benchmark {self.name}: {key} is {value!r}, an integer is needed"
                )
        chosen = {**_DEFAULTS, **settings}
        return [
            Task(
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
