"""The committed tables of Buis 2024 as pandas frames, read without the code under test."""

from typing import Any

import pandas as pd

from codewatt.published.buis_2024.audited_study import STUDY

TASKS = 1140
SIZES = ("0.5B", "1.5B", "3B", "7B", "14B")
QWEN, LLAMA, DEEPSEEK = (
    *("Qwen-Coder2.5-7B-Instruct", "Meta Llama3.1-8B-Instruct", "DeepSeekCoder-V2-Lite-16B"),
)
FOUND = {finding.name: finding for finding in STUDY.audit(STUDY.data).findings}


def printed(name: str) -> pd.DataFrame:
    return pd.read_csv(STUDY.data / name, dtype=str, keep_default_na=False)


def frame(name: str, *tables: str) -> pd.DataFrame:
    """Numbers of some tables: a row for each label, a column for each quantity."""
    found = printed(name)
    found = found[found["table"].isin(tables)]
    wide = found.pivot(index=["table", "section", "row"], columns="column", values="printed")
    return wide.apply(lambda column: pd.to_numeric(column.str.replace("< ", ""), errors="coerce"))


RUNS = frame("runs.csv", "5.18", "5.24", "5.29", "5.34", "5.40")


def run(model: str) -> Any:
    """A Qwen2.5 run: base 5.24, Instruct 5.29, AWQ 5.34, GPTQ 5.40."""
    kind = {"AWQ": "5.34", "Int8": "5.40", "Int4": "5.40", "Instruct": "5.29"}
    return RUNS.loc[(kind.get(model.rpartition("-")[2], "5.24"), "", model)]


def batch(model: str, size: int) -> Any:
    return RUNS.loc[("5.18", model, f"Batch size {size}")]


def tokens(cells: Any) -> float:
    return float(cells["Latency"] * 60 * cells["Throughput"] / TASKS)


def values(name: str) -> dict[str, float]:
    return dict(FOUND[name].values)
