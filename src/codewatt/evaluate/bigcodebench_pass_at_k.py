"""BigCodeBench's file of pass@k (pass_at_k.json), in the format of bigcodebench 0.2.5.

A task whose reference solution does not pass on this machine is excluded: it has no verdict, so
pass@k does not count it, and the file lists it in "failed_tasks". bigcodebench itself counts such a
task, mostly as failed (bigcodebench/evaluate.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codewatt.evaluate.pass_at_k import mean_pass_at_k
from codewatt.evaluate.verdicts import PASS

#: The k of pass@k that bigcodebench estimates by default, where every task has so many samples.
KS = (1, 5, 10)


@dataclass(frozen=True)
class EvaluatedRun:
    """What was judged, as pass_at_k.json names it.

    Attributes:
        model: name of the model; bigcodebench takes it from the name of the samples file.
        split: "complete" or "instruct".
        subset: "full" or "hard".
        calibrated: whether each program began with the task's signature.
        excluded: tasks whose reference solution does not pass here -> the reason.
    """

    model: str
    split: str
    subset: str
    calibrated: bool
    excluded: Mapping[str, str]


def bigcodebench_pass_at_k(
    results: Mapping[str, Any], tasks: int, run: EvaluatedRun, ks: Sequence[int] = KS
) -> dict[str, Any]:
    """Content of pass_at_k.json.

    Args:
        results: content of eval_results.json.
        tasks: number of tasks, excluded ones included.
        run: what was judged.
        ks: the values of k; one that exceeds a task's number of samples is left out.
    """
    counts = [
        (len(rows), sum(row["status"] == PASS for row in rows)) for rows in results["eval"].values()
    ]
    estimates = {k: mean_pass_at_k(counts, k) for k in ks}
    return {
        **{f"pass@{k}": value for k, value in estimates.items() if value is not None},
        "model": run.model,
        "split": run.split,
        "subset": run.subset,
        "calibrated": run.calibrated,
        "gt_pass_rate": (tasks - len(run.excluded)) / tasks,
        "failed_tasks": list(run.excluded),
    }
