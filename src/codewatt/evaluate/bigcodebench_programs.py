"""The programs that BigCodeBench judges, made of completions by the rules of bigcodebench 0.2.5.

Two steps have the name "calibrate" there, and belong together here: bigcodebench/sanitize.py
repairs an answer whose code block holds the function's body alone, and bigcodebench/evaluate.py
puts the function's signature before each program, so that imports that a model left out are there.
"""

from collections.abc import Sequence

from codewatt.benchmarks.tasks import UnittestTask
from codewatt.evaluate.sample_files import Sample
from codewatt.evaluate.sanitize import sanitize_all
from codewatt.evaluate.verdicts import Program

_CODE_BLOCK = "```python\n"


def bigcodebench_programs(
    samples: Sequence[Sample],
    tasks: Sequence[UnittestTask],
    *,
    sanitize: bool,
    calibrate: bool,
    jobs: int,
) -> list[Program]:
    """The programs to judge, one for each sample.

    Args:
        samples: completions of these tasks.
        tasks: the benchmark's tasks.
        sanitize: whether completions are reduced to the code that the task's function needs.
        calibrate: whether each program begins with the task's imports and signature
            (`code_prompt`) and a body of `pass`; the completion then defines the function again.
        jobs: helper processes of the sanitiser.

    Raises:
        CodewattError: the sanitiser cannot be started.
    """
    known = {task.task_id: task for task in tasks}
    codes = [sample.solution for sample in samples]
    if sanitize:
        pairs = []
        for sample in samples:
            task = known[sample.task_id]
            raw = _with_signature(sample, task) if calibrate else sample.raw
            pairs.append((raw, task.entry_point))
        codes = sanitize_all(pairs, jobs=jobs, rules="bigcodebench")
    if calibrate:
        codes = [
            f"{known[sample.task_id].code_prompt}\n    pass\n{code}"
            for sample, code in zip(samples, codes, strict=True)
        ]
    return [Program(sample.task_id, code) for sample, code in zip(samples, codes, strict=True)]


def _with_signature(sample: Sample, task: UnittestTask) -> str:
    """The sample's text; a code block that begins with an indented line gets the signature."""
    if not sample.is_program:
        return sample.raw
    indented = f"{_CODE_BLOCK}    "
    return sample.raw.replace(indented, f"{_CODE_BLOCK}{task.complete_prompt}    ")
