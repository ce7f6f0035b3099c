"""Tables of a finished study, drawn with known spreads: a pilot of a power calculation."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from codewatt.estimate.statistical_power import Spread

SPREAD = Spread(0.003, 0.01, 0.06, "a test")


def write_pilot(
    folder: Path,
    draw: np.random.Generator,
    sessions: int = 40,
    cells: int = 6,
    repeats: int = 4,
    models: tuple[str, ...] = ("a", "b"),
    spread: Spread = SPREAD,
) -> pd.DataFrame:
    """Write run.parquet and cell.parquet of a study with these spreads; its run table.

    The last run is invalid.
    """
    rows: list[dict[str, Any]] = []
    for model in models:
        setting = {"model": model, "benchmark": "he", "prompt": "stripped", "token_limit": 64}
        setting |= {"batch_size": 1, "engine": "graph", "hardware": None}
        common = draw.normal(0, spread.between_sessions, sessions)
        for cell in range(cells):
            for session in range(sessions):
                job = cell + common[session] + draw.normal(0, spread.cell_session)
                for repeat in range(repeats):
                    value = math.exp(job + draw.normal(0, spread.within_job))
                    ids = {"cell_id": f"{model}{cell}", "session": session + 1, "repeat": repeat}
                    rows.append(
                        {**ids, **setting, "valid": True, "energy_j": value, "duration_s": value}
                    )
    rows.append({**rows[-1], "valid": False, "energy_j": 1e9, "repeat": 99})
    folder.mkdir(parents=True, exist_ok=True)
    runs = pd.DataFrame(rows)
    runs.to_parquet(folder / "run.parquet")
    cells_table = pd.DataFrame(
        {
            "benchmark": ["he"] * 3,
            "cell_id": ["a0", "a1", "a2"],
            "baseline_cell_id": ["a0"] * 3,
            "tasks_judged": pd.array([50] * 3, dtype="Int64"),
            "tasks_lost_base": pd.array([None, 4, 2], dtype="Int64"),
            "tasks_gained_base": pd.array([None, 1, 0], dtype="Int64"),
            "tasks_lost_plus": pd.array([None, 6, None], dtype="Int64"),
            "tasks_gained_plus": pd.array([None, 1, None], dtype="Int64"),
        }
    )
    cells_table.to_parquet(folder / "cell.parquet")
    return runs
