"""The published hours and energies beside the estimates are sums of the published runs."""

import re
from pathlib import Path

import pandas as pd

SECONDS_PER_HOUR = 3600
MINUTES_PER_HOUR = 60


def _row(repository: Path, begin: str) -> list[float]:
    """The numbers in the column `published` of a row of the page."""
    page = (repository / "docs" / "explanation" / "reproduced-studies.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {begin}")]
    return [float(number) for number in re.findall(r"\d+\.\d+", line.split("|")[2])]


def test_de_reus_five_times_the_mean_run_of_each_configuration(repository: Path) -> None:
    runs = pd.read_csv(repository / "src/codewatt/published/de_reus_2024/energy.csv")
    # Two sets of runs were replaced by later ones of the same configurations.
    runs = runs[~runs["table"].str.contains("former_3b|pruning/results_Phi2")]
    means = runs.groupby("table")[["runtime_s", "gpu_wh", "total_wh"]].mean()
    assert len(means) == 31
    total = 5 * means.sum()
    found = [total["runtime_s"] / SECONDS_PER_HOUR, total["gpu_wh"] / 1e3, total["total_wh"] / 1e3]
    assert [round(found[0], 1), round(found[1], 2), round(found[2], 1)] == _row(
        repository, "de Reus et al. 2024: five"
    )


def test_buis_the_34_runs(repository: Path) -> None:
    runs = pd.read_csv(repository / "src/codewatt/published/buis_2024/runs.csv", dtype=str)
    quantised = runs["row"].str.contains("AWQ|GPTQ")
    kept = runs[
        runs["table"].isin(["5.18", "5.29"]) | (runs["table"].isin(["5.34", "5.40"]) & quantised)
    ]
    of = {
        column: kept[kept["column"] == column]["printed"].astype(float)
        for column in ("Latency", "Energy consumption")
    }
    assert [len(values) for values in of.values()] == [34, 34]
    assert set(kept[kept["column"] == "Latency"]["unit"]) == {"min"}
    hours = of["Latency"].sum() / MINUTES_PER_HOUR
    kwh = of["Energy consumption"].sum()
    assert [round(hours, 1), round(kwh, 1)] == _row(repository, "Buis 2024: 34 runs")
