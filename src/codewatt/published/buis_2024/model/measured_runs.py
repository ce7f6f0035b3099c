"""The runs that predictions are compared with: 25 of Qwen2.5, and three of other models.

A run is all 1,140 tasks of BigCodeBench. Latency is its duration; energy is that of the GPU above
idle. New tokens per task are latency * throughput / 1,140, so a prediction that is given them is
compared with the measured throughput.
"""

from dataclasses import dataclass

from codewatt.published.buis_2024.batch_findings import DEEPSEEK, LLAMA, QWEN_CODER
from codewatt.published.buis_2024.model.estimate_settings import (
    PRECISIONS,
    EstimateSettings,
    settings_of,
    split_label,
)
from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.published_runs import TASKS, Run, read_runs
from codewatt.units import J_PER_KWH, S_PER_MIN

#: Groups of runs, in the order of the thesis's tables; the last one is not of Qwen2.5's 25.
GROUPS = ("base", "Instruct", "AWQ", "GPTQ-Int8", "GPTQ-Int4", "other models")
OTHER = GROUPS[-1]
_ESTIMATE_TABLES = {
    "base": "5.19",
    "Instruct": "5.25",
    "AWQ": "5.30",
    "GPTQ-Int8": "5.35",
    "GPTQ-Int4": "5.35",
    OTHER: "5.14",
}
_OTHER_ROWS = {
    QWEN_CODER: "Qwen2.5-Coder-7B",
    LLAMA: "Meta-Llama-3.1-8B",
    DEEPSEEK: "DeepSeek-V2-Lite-16B",
}


@dataclass(frozen=True)
class MeasuredRun:
    """One measured run.

    Attributes:
        label: as in the table of runs, without the batch size.
        group: one of `GROUPS`.
        size: label of the model size, by which runs are left out of a fit; the label itself for
            other models.
        settings: settings of the printed estimate of this model.
        estimate_table, estimate_row: where the printed estimate is.
        seconds: time per task (s).
        tokens: new tokens per task.
        joules: energy per task (J).
    """

    label: str
    group: str
    size: str
    settings: EstimateSettings
    estimate_table: str
    estimate_row: str
    seconds: float
    tokens: float
    joules: float


def measured_runs(tables: ThesisTables) -> list[MeasuredRun]:
    """The 25 runs of Qwen2.5, then batch size 1 of the three models of table 5.18.

    Table 5.18's other batch sizes are left out: they are repetitions, because the batch size was
    most likely never used (finding `inert_batch_axis` of the audit).
    """
    runs = read_runs(tables)
    qwen = [run for run in runs.values() if not run.batch_size]
    ordered = sorted(qwen, key=lambda run: GROUPS.index(_group(run.model)))
    others = [runs[f"{model}, Batch size 1"] for model in _OTHER_ROWS]
    return [
        *(_measured(tables, run, _group(run.model)) for run in ordered),
        *(_measured(tables, run, OTHER) for run in others),
    ]


def _group(model: str) -> str:
    _, kind, suffix = split_label(model)
    return suffix or kind.removeprefix("-") or "base"


def _measured(tables: ThesisTables, run: Run, group: str) -> MeasuredRun:
    table = _ESTIMATE_TABLES[group]
    row = _OTHER_ROWS[run.model] if group == OTHER else run.model
    if table == "5.19" and row == "14B":
        row = "14 B"  # the label of table 5.19
    tables.number(table, row, "TGT")  # the printed estimate exists
    settings = settings_of(table, row)
    assert settings.suffix in PRECISIONS
    seconds = float(run.latency_min) * S_PER_MIN / TASKS
    return MeasuredRun(
        label=run.model,
        group=group,
        size=run.model if group == OTHER else split_label(run.model)[0],
        settings=settings,
        estimate_table=table,
        estimate_row=row,
        seconds=seconds,
        tokens=seconds * float(run.throughput),
        joules=float(run.energy_kwh) * J_PER_KWH / TASKS,
    )
