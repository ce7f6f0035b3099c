"""BigCodeBench's result files: the verdicts (eval_results.json) and pass@k (pass_at_k.json).

Formats: bigcodebench 0.2.5 (bigcodebench/evaluate.py). A task whose reference solution does not
pass on this machine is excluded: it has no verdict, so neither file counts it, and pass_at_k.json
lists it in "failed_tasks". bigcodebench itself counts such a task, mostly as failed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from codewatt.evaluate.pass_at_k import mean_pass_at_k
from codewatt.evaluate.verdicts import PASS, Program, Verdict

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


def bigcodebench_results(
    programs: Sequence[Program], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Content of eval_results.json.

    Args:
        programs: the judged programs, in the order of the samples.
        verdicts: one verdict for each program; a program of an excluded task has none.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for program, verdict in zip(programs, verdicts, strict=True):
        if verdict.base is None:
            continue
        rows.setdefault(program.task_id, []).append(
            {
                "task_id": program.task_id,
                # JSON files cannot contain a lone surrogate; a program with one fails to load.
                "solution": program.code.encode("utf-8", "backslashreplace").decode(),
                "status": verdict.base.status,
                "details": _details(verdict),
            }
        )
    return {"date": datetime.now().strftime("%Y-%m-%d %H:%M"), "eval": rows}


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


def _details(verdict: Verdict) -> dict[str, str]:
    """Reason of a failure; empty for "pass" and "timeout", as in bigcodebench."""
    suite = verdict.base
    return {"ALL": suite.why} if suite.status == "fail" and suite.why else {}
