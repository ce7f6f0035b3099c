"""The 34 runs of Buis 2024, with what follows from energy, latency and throughput of each.

A run is all 1,140 tasks of BigCodeBench with one model. Tables 5.34 and 5.40 repeat energy and
pass@1 of the Instruct models, but beside latency and throughput of the base models; table 5.29 is
the source of the Instruct models here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.printed_figures import PrintedFigure
from codewatt.published.printed_number import Interval, PrintedNumber
from codewatt.units import J_PER_WH, WH_PER_KWH

#: Tasks of BigCodeBench, version 0.1 (section 3.2 of the thesis).
TASKS = 1140
#: Model sizes of Qwen2.5, as in the labels of the tables.
SIZES = ("0.5B", "1.5B", "3B", "7B", "14B")
#: Suffixes of the quantised models; tables that list them beside the Instruct model.
QUANTISED = {"AWQ": "5.34", "GPTQ-Int8": "5.40", "GPTQ-Int4": "5.40"}
#: Tables of runs, each run's first one.
_SOURCES = ("5.18", "5.24", "5.29", "5.34", "5.40")
_SECONDS = 60


@dataclass(frozen=True)
class Run:
    """One run as printed.

    Attributes:
        table: the table from which its figures are.
        model: label, such as "7B-Instruct-AWQ" or "Meta Llama3.1-8B-Instruct".
        batch_size: label, such as "Batch size 4"; "" for the Qwen2.5 models.
        energy_kwh: energy of the GPU minus idle energy (kWh).
        latency_min: duration (min).
        throughput: new tokens per second.
        pass_at_1: share of the tasks that are solved.
    """

    table: str
    model: str
    batch_size: str
    energy_kwh: PrintedNumber
    latency_min: PrintedNumber
    throughput: PrintedNumber
    pass_at_1: PrintedNumber

    @property
    def label(self) -> str:
        """Model and batch size."""
        return f"{self.model}, {self.batch_size}" if self.batch_size else self.model

    @property
    def seconds(self) -> Interval:
        """Duration (s)."""
        return self.latency_min.rounded * _SECONDS

    @property
    def tokens_per_task(self) -> Interval:
        """New tokens per task: latency * throughput / tasks."""
        return self.seconds * self.throughput.rounded / TASKS

    @property
    def power_w(self) -> Interval:
        """Mean power above idle (W)."""
        return self.energy_kwh.rounded * int(WH_PER_KWH * J_PER_WH) / self.seconds

    @property
    def j_per_token(self) -> Interval:
        """Energy per new token (J)."""
        return self.power_w / self.throughput.rounded

    @property
    def pass_per_kwh(self) -> Interval:
        """pass@1 / energy (1/kWh)."""
        return self.pass_at_1.rounded / self.energy_kwh.rounded

    @property
    def solved(self) -> range:
        """Numbers of solved tasks that the printed pass@1 allows."""
        ends = self.pass_at_1.rounded * TASKS
        return range(-(-ends.low.numerator // ends.low.denominator), int(ends.high) + 1)


def read_runs(tables: ThesisTables) -> dict[str, Run]:
    """The runs by label, in the order of the thesis."""
    runs: dict[str, Run] = {}
    for (table, section, row), cells in tables.rows(*_SOURCES).items():
        run = _run(table, section or row, row if section else "", cells)
        runs.setdefault(run.label, run)
    return runs


def saving(run: Run, reference: Run) -> Interval:
    """Share of the reference's energy that a run saves."""
    ratio = run.energy_kwh.rounded / reference.energy_kwh.rounded
    return Interval.exactly(1) - ratio


def printed_saving(run: Run, reference: Run) -> Fraction:
    """The same of the printed energies, not of their intervals."""
    return 1 - run.energy_kwh.value / reference.energy_kwh.value


def _run(table: str, model: str, batch_size: str, cells: Mapping[str, PrintedFigure]) -> Run:
    columns = ("Energy consumption", "Latency", "Throughput", "Pass@1")
    return Run(table, model, batch_size, *(cells[column].number for column in columns))
