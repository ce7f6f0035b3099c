"""An estimate as text for a terminal and as plain values for JSON."""

import textwrap
from dataclasses import asdict
from typing import Any

from codewatt.estimate.estimate_report import Report
from codewatt.estimate.finished_jobs import Ratio
from codewatt.estimate.job_plan import Plan
from codewatt.estimate.job_sums import Totals
from codewatt.estimate.text_table import text_table
from codewatt.sizing.estimate_assumptions import ASSUMPTIONS
from codewatt.units import BYTES_PER_GB, S_PER_H

_WIDTH = 100
_HEADER = (
    *("model", "jobs", "job h", "GPU h", "GPU kWh", "node kWh", "kg CO2e", "disk GB"),
    *("peak GPU GB", "peak host GB"),
)


def report_text(report: Report) -> str:
    """A report for the terminal: sums per model and stage, infeasible cells, assumptions."""
    plan = report.plan
    *others, last = [gpu.name for gpu in plan.gpus] or ["CPUs"]
    where = f"{', '.join(others)} and {last}" if others else last
    lines = [f"{plan.grid.study.study} on {where}: estimate", ""]
    rows = [_row(name, totals, report) for name, totals in report.per_model.items()]
    lines += [text_table([_HEADER, *rows, _row("total", report.total, report)]), ""]
    lines += _summary(report)
    lines += ["", _stages(report)]
    if report.comparisons:
        lines += ["", "Estimated and measured, for the finished jobs", ""]
        lines.append(text_table([_RATIO_HEADER, *(_ratio(*pair) for pair in report.comparisons)]))
    lines += ["", "Assumptions", ""]
    lines += [line for text in report.assumptions for line in _item(text)]
    return "\n".join(lines)


def report_values(report: Report) -> dict[str, Any]:
    """A report as plain values, for `--json`."""
    plan = report.plan
    return {
        "study": plan.grid.study.study,
        **_cards(plan),
        "gpus": report.gpus,
        "boundary": plan.grid.study.energy.boundary,
        "carbon": report.carbon,
        "models": {name: asdict(totals) for name, totals in report.per_model.items()},
        "total": asdict(report.total),
        "wall_h": report.wall_h,
        "jobs_per_rule": dict(plan.per_rule),
        "infeasible": plan.infeasible,
        "unknown": plan.notes,
        "measured": [
            {"model": model, **asdict(ratio), "ratio": ratio.ratio}
            for model, ratio in report.comparisons
        ],
        "assumptions": {name: asdict(item) for name, item in ASSUMPTIONS.items()},
        "notes": list(report.assumptions),
    }


def _cards(plan: Plan) -> dict[str, Any]:
    """The GPU, or the GPU of each hardware if the study names any; null for a CPU."""
    cards = {name: None if gpu is None else asdict(gpu) for name, gpu in plan.cards.items()}
    return {"gpu": cards[None]} if None in cards else {"hardware": cards}


def _row(name: str, totals: Totals, report: Report) -> tuple[str, ...]:
    on_gpu = bool(report.plan.gpus)
    vram, host = report.peaks.get(name, (0, 0))
    return (
        name,
        f"{totals.jobs:,}",
        _number(totals.job_h),
        _number(totals.gpu_h) if on_gpu else "-",
        _number(totals.gpu_kwh) if on_gpu else "-",
        _number(totals.node_kwh),
        _number(totals.co2_kg),
        _number(totals.disk_gb),
        _number(vram / BYTES_PER_GB) if on_gpu and vram else "-",
        _number(host / BYTES_PER_GB) if host else "-",
    )


def _summary(report: Report) -> list[str]:
    """Sentences on wall time, CO2, uncertainty, unknown models and infeasible cells."""
    plan = report.plan
    cards = f"{report.gpus} GPU{'s' if report.gpus > 1 else ''}" if plan.gpus else "one machine"
    sentences = [
        f"Wall time with {cards}: {_number(report.wall_h)} h.",
        f"kg CO2e: for boundary {plan.grid.study.energy.boundary!r}, "
        f"{report.carbon['g_per_kwh']:.0f} g/kWh in {report.carbon['country']} "
        f"({report.carbon['source']}).",
    ]
    if not plan.gpus:
        sentences.append("Times are valid for a machine that runs no other programs.")
    else:
        sentences.append(
            "Time and GPU energy of a cell can be wrong by up to a factor of two, more for "
            "LLM.int8() (docs/explanation/estimate.md, 'How wrong it is')."
        )
    for name, why in plan.notes.items():
        jobs = sum(job.size is None and name in (job.model, *_parts(job.id)) for job in plan.jobs)
        sentences.append(f"NOT COUNTED: {name} ({jobs} jobs): {why}.")
    if plan.infeasible:
        count = len(plan.infeasible)
        sentences.append(f"DOES NOT FIT: {count} of {plan.per_rule['generate']} cells:")
        sentences += [f"  {cell}: {why}" for cell, why in list(plan.infeasible.items())[:5]]
        sentences += [f"  and {count - 5} more (--json lists all)"] if count > 5 else []
    return [textwrap.fill(line, _WIDTH, subsequent_indent="  ") for line in sentences]


def _parts(name: str) -> list[str]:
    return name.split("--")


def _stages(report: Report) -> str:
    """A table of jobs and hours per rule."""
    rows = [("stage", "jobs", "job h")]
    for rule, count in report.plan.per_rule.items():
        sizes = [job.expected_size for job in report.plan.jobs if job.rule == rule]
        hours = sum(size.job_s for size in sizes if size is not None) / S_PER_H
        rows.append((rule, f"{count:,}", _number(hours)))
    return text_table(rows)


_RATIO_HEADER = ("model", "what", "jobs", "estimated", "measured", "", "estimated / measured")


def _ratio(model: str, ratio: Ratio) -> tuple[str, ...]:
    return (
        model,
        ratio.what,
        str(ratio.jobs),
        _number(ratio.estimated),
        _number(ratio.measured),
        ratio.unit,
        "-" if ratio.ratio is None else f"{ratio.ratio:.2f}",
    )


def _item(text: str) -> list[str]:
    return textwrap.wrap(f"- {text}", _WIDTH, subsequent_indent="  ")


def _number(value: float) -> str:
    """Three significant digits, no exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}" if abs(value) >= 0.001 else f"{value:.1e}"
