"""Cell tables of studies that never ran: figures are tested on what they draw, not on results."""

import itertools
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from codewatt.analysis.columns import CELL
from codewatt.analysis.proportions import wilson_interval
from codewatt.analysis.repetition_metrics import cell_shares, measure_repetition
from codewatt.analysis.tables import to_table
from codewatt.plots import figure_style
from tests.support.raw_study import RawStudy

#: Energy against bf16, and pass@1 lost, for each precision.
WORK = {"fp32": 1.7, "bf16": 1, "int8": 1.9, "fp4": 1.2, "nf4": 1.25, "gptq4": 0.8, "awq": 0.75}
LOSS = {"fp32": 0, "bf16": 0, "int8": 0.01, "fp4": 0.08, "nf4": 0.04, "gptq4": 0.03, "awq": 0.05}
SHARES = {"gpu": 0.62, "cpu": 0.26, "dram": 0.12}


def make_rows(
    models: int = 2,
    precisions: Sequence[str] = ("bf16", "int8", "nf4"),
    depths: Sequence[int] = (0, 1, 2),
    prompts: Sequence[str] = ("stripped",),
    token_limits: Sequence[int] = (128,),
    status: dict[str, str] | None = None,
    tasks: int = 164,
) -> list[dict[str, Any]]:
    """One row a cell; energy and pass@1 fall with pruning.

    status: component → measured, modelled or unavailable.
    """
    status = status or {"gpu": "measured", "cpu": "modelled", "dram": "modelled"}
    axes = itertools.product(range(models), precisions, depths, prompts, token_limits)
    return [_row(*values, status, tasks) for values in axes]


def _row(
    model: int,
    precision: str,
    depth: int,
    prompt: str,
    limit: int,
    status: dict[str, str],
    tasks: int,
) -> dict[str, Any]:
    prune = "none" if depth == 0 else f"last{depth}"
    variant = f"m{model}--{prune}--{precision}"
    size = 1.0 + 0.45 * model
    work, loss = WORK[precision], LOSS[precision]
    energy = 21_000.0 * size * work * (1 - 0.06 * depth) * limit / 128
    share = 0.62 + 0.03 * model - loss - 0.09 * depth
    solved = max(round(tasks * share * (0.3 if prompt == "as_is" else 1)), 0)
    low, high = wilson_interval(solved, tasks)
    present = {part: energy * SHARES[part] for part, s in status.items() if s != "unavailable"}
    total = sum(present.values()) if present else None
    row: dict[str, Any] = {
        "cell_id": f"{variant}--he--{prompt}--t{limit}",
        "variant_id": variant,
        "model": f"m{model}",
        "prune": prune,
        "precision": precision,
        "prune_layers": depth,
        "benchmark": "he",
        "prompt": prompt,
        "token_limit": limit,
        "batch_size": 1,
        "engine": "transformers",
        "hardware": None,
        "status": "ok",
        "baseline_cell_id": f"m{model}--none--bf16--he--{prompt}--t{limit}",
        "valid": True,
        "repeats": 3,
        "tasks": tasks,
        **{f"{part}_energy_status": value for part, value in status.items()},
        "energy_boundary": "node",
        "cpu_share": 1.0,
        "energy_status": "unavailable" if total is None else "modelled",
    }
    row |= repeated(model, depth, tasks)
    for tests in ("base", "plus"):
        row[f"pass_at_1_{tests}"] = solved / tasks
        row[f"pass_at_1_{tests}_wilson95_low"], row[f"pass_at_1_{tests}_wilson95_high"] = low, high
    for part, joules in {**present, **({"energy": total} if total else {})}.items():
        row |= {
            f"{part}_j_mean": joules,
            f"{part}_j_geomean": joules,
            f"{part}_j_n": 3,
            f"{part}_j_ci95_low": joules * 0.95,
            f"{part}_j_ci95_high": joules * 1.05,
        }
    return row


@cache
def repeated(model: int, depth: int, tasks: int) -> dict[str, float | None]:
    """What a cell's completions repeat, counted in completions that loop more the more is cut."""
    chance = random.Random(100 * model + depth)
    rows, ids = [], {}
    for task in range(tasks):
        words = [f"x{n}" for n in range(6 + 4 * model)]
        body = [f"    {chance.choice(words)} = {chance.choice(words)}" for _ in range(12)]
        if chance.random() < 0.08 + 0.3 * depth:
            body += chance.choices(body, k=2 - chance.randrange(2)) * chance.randrange(4, 20)
        split = [word for line in body for word in (*line.split(), "newline")]
        tokens = [ids.setdefault(word, len(ids)) for word in split]
        said = measure_repetition(tokens, "\n".join(body))
        rows.append({"task_id": str(task), **vars(said)})
    return cell_shares(rows)


@pytest.fixture
def cell_table() -> Callable[..., pd.DataFrame]:
    """Build a cell table: make_rows' arguments, and `edit`, a function that changes the rows."""

    def build(edit: Callable[[list[dict[str, Any]]], None] | None = None, **axes: Any) -> Any:
        rows = make_rows(**axes)
        if edit is not None:
            edit(rows)
        return to_table(rows, CELL)

    return build


def make_labels(models: int = 2) -> dict[str, dict[str, str]]:
    """Labels as a study gives them."""
    names = ("StarCoder2-3B", "Phi-2", "Qwen2.5-Coder-7B", "Llama-3.1-8B", "StarCoder2-7B")
    names += ("StarCoder2-15B", "DeepSeek-Coder-V2-Lite", "CodeLlama-13B")
    return {
        "model": {f"m{i}": names[i % len(names)] for i in range(models)},
        "precision": {p: p.upper() if p != "gptq4" else "GPTQ 4-bit" for p in WORK},
        "prune": {"none": "none", "last1": "last layer", "last2": "last 2 layers"},
        "benchmark": {"he": "HumanEval+"},
    }


@pytest.fixture
def labels() -> dict[str, dict[str, str]]:
    """Labels for two models."""
    return make_labels()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that a plot function saves, laid out and kept instead of written."""
    kept: list[Figure] = []

    def keep(figure: Figure, out_stem: Path) -> list[Path]:
        figure.draw_without_rendering()
        kept.append(figure)
        return []

    def keep_all(figure: Figure, pages: Sequence[Figure], out_stem: Path) -> list[Path]:
        for one in (figure, *pages):
            keep(one, out_stem)
        return []

    monkeypatch.setattr(figure_style, "save", keep)
    monkeypatch.setattr(figure_style, "save_pages", keep_all)
    return kept


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> RawStudy:
    """A drawn study with its tables; tests read it and change nothing."""
    return RawStudy(tmp_path_factory.mktemp("study")).write()
