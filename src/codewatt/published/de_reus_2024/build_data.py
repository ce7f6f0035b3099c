"""Builds energy.csv from the raw files of de Reus et al. 2024.

Usage: python -m codewatt.published.de_reus_2024.build_data RAW_DIR OUT.csv

RAW_DIR contains energy_data/ (the authors' EvalPlus/energy_data: Wh, g and s of every run by
CodeCarbon) and ear_summary.csv (columns of the authors' EvalPlus/ear: W of every job step by EAR,
the cluster's energy monitor). job_steps.csv assigns runs to steps; it is copied from the printed
output of the jobs.
"""

import argparse
import csv
import re
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from codewatt.files import write_csv_rows

Row = dict[str, str]
Config = tuple[str, str, str, str]

JOB_STEPS = Path(__file__).with_name("job_steps.csv")
PAPER = "de Reus et al. 2024"
SOURCE = "ana-oprescu/GreenLLMs"
#: Directory of the raw files in the authors' repository.
INSIDE = "EvalPlus"
#: Tables without run times, which cannot be checked.
LEFT_OUT = "energy_data/pruning/unused"
MODELS = {"3b": "starcoder2-3b", "7b": "starcoder2-7b", "Phi2": "phi-2"}
NAME = re.compile(r"(?:results_)?(3b|7b|Phi2)_(\d+)(?:_(4bit|8bit))?(?:_minus_(\d))?\.csv")
FIGURES = {
    "dram_wh": "DRAM",
    "gpu_wh": "GPU",
    "cpu_wh": "CPU",
    "total_wh": "total",
    "co2_g": "EstimatedCO2",
    "runtime_s": "Runtime",
}
EAR_WATTS = ("ear_packages_w", "ear_dram_w", "ear_gpu_w", "ear_node_w")
EAR = ("ear_file", "ear_step", "ear_time_s", *EAR_WATTS, "ear_match")
CONFIG = ("model", "token_limit", "precision", "layers_pruned")
COLUMNS = ("paper", "table", "source", *CONFIG, "run", *FIGURES, *EAR)

#: Two jobs (6805096, 6805097) that ran on one node at the same time from start to end. EAR divided
#: the node's power between them: each log has about half of the power of packages and DRAM.
SHARED_NODE = {f"{INSIDE}/ear/pruning/Exp{n}.gcn56.time.csv" for n in (4, 5)}
#: A run's time is given to 0.1 s in its table and to 0.01 s in the job's output.
SAME_TIME_S = 0.051
#: A step contains its run and the model loading before it, which takes 10 s to 4 minutes.
LONGEST_LOADING_S = 300.0


@dataclass
class JobStep:
    """One job step: figures of the job's printed output, and of EAR's log."""

    table: str
    runtime_s: float
    co2_g: float
    figures: Row
    shared: bool = False
    taken: bool = field(default=False)

    def fits(self, run: Row) -> bool:
        """Whether this can be the step of a run: same table and same time."""
        return (
            not self.taken
            and self.table == run["table"]
            and abs(self.runtime_s - float(run["runtime_s"])) <= SAME_TIME_S
        )


def build(raw: Path, job_steps: Path = JOB_STEPS) -> list[Row]:
    """Build the rows of energy.csv, in the order of the file.

    Args:
        raw: directory of the raw files.
        job_steps: file that assigns runs to job steps.

    Raises:
        ValueError: the raw files and the list of job steps contradict each other.
    """
    runs = [run for path in _tables(raw) for run in _runs(path, raw)]
    steps = _steps(raw, job_steps)
    for run in runs:
        _match(run, steps)
    for run in runs:
        if not run["ear_match"]:
            _take_mean(run, steps)
    return runs


def _tables(raw: Path) -> list[Path]:
    """The tables of runs: first those of the top directory, then those below, by name."""
    left_out = raw / LEFT_OUT
    found = [p for p in (raw / "energy_data").rglob("*.csv") if left_out not in p.parents]
    return sorted(found, key=lambda path: (len(path.parts), str(path)))


def config_of(path: str) -> Config:
    """Model, token limit, precision and pruned layers, from the name of a table."""
    name = NAME.fullmatch(Path(path).name)
    if name is None:
        raise ValueError(f"{path}: the file name does not name a configuration")
    return MODELS[name[1]], name[2], name[3] or "none", name[4] or "0"


def _runs(path: Path, raw: Path) -> list[Row]:
    """The runs of one table, with empty columns of EAR."""
    table = f"{INSIDE}/{path.relative_to(raw)}"
    known = {"paper": PAPER, "table": table, "source": SOURCE}
    config = dict(zip(CONFIG, config_of(table), strict=True))
    return [
        {
            **known,
            **config,
            "run": str(number),
            **{name: row[raw_name] for name, raw_name in FIGURES.items()},
            **dict.fromkeys(EAR, ""),
        }
        for number, row in enumerate(_read(path))
    ]


def _steps(raw: Path, job_steps: Path) -> list[JobStep]:
    """The steps that ended with a run, with EAR's figures."""
    ear_rows = _read(raw / "ear_summary.csv")
    logged = {(f"{INSIDE}/{row['source']}", row["stepid"]): row for row in ear_rows}
    steps = []
    for row in _read(job_steps):
        ear = logged[row["ear_file"], row["ear_step"]]
        runtime_s = float(row["runtime_s"])
        if not 0 <= float(ear["time_sec"]) - runtime_s <= LONGEST_LOADING_S:
            raise ValueError(
                f"{row['ear_file']} step {row['ear_step']}: no run of {runtime_s} s fits in it"
            )
        figures = {"ear_file": row["ear_file"], "ear_step": row["ear_step"], **_figures(ear)}
        shared = row["ear_file"] in SHARED_NODE
        steps.append(JobStep(row["table"], runtime_s, float(row["co2_g"]), figures, shared))
    return steps


def _figures(ear: Row) -> Row:
    """EAR's time and powers; packages are both sockets, GPU is the sum of the node's four."""
    gpu_w = sum(float(ear[f"gpu{number}_power_w"]) for number in range(4))
    return {
        "ear_time_s": ear["time_sec"],
        "ear_packages_w": ear["pck_power_w"],
        "ear_dram_w": ear["dram_power_w"],
        "ear_gpu_w": f"{gpu_w:.6f}",
        "ear_node_w": ear["dc_node_power_w"],
    }


def _match(run: Row, steps: list[JobStep]) -> None:
    """Assign a step to a run; of two steps with the same time, the one with the same CO2."""
    candidates = [step for step in steps if step.fits(run)]
    if candidates:
        step = min(candidates, key=lambda step: abs(step.co2_g - float(run["co2_g"])))
        step.taken = True
        run.update(step.figures, ear_match="shared step" if step.shared else "step")


def _take_mean(run: Row, steps: list[JobStep]) -> None:
    """Assign to a run without a step the means over the unshared steps of its configuration."""
    config = tuple(run[name] for name in CONFIG)
    same = [step for step in steps if not step.shared and config_of(step.table) == config]
    if same:
        means = {name: fmean(float(step.figures[name]) for step in same) for name in EAR_WATTS}
        run.update({name: f"{mean:.6f}" for name, mean in means.items()}, ear_match="group mean")


def _read(path: Path) -> list[Row]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def main() -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("raw", type=Path, metavar="RAW_DIR")
    parser.add_argument("out", type=Path, metavar="OUT.csv")
    options = parser.parse_args()
    write_csv_rows(options.out, COLUMNS, build(options.raw))


if __name__ == "__main__":
    main()
