"""The runs behind the paper's tables and figures, by configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from codewatt.published.checked_run import CheckedRun, Configuration
from codewatt.published.de_reus_2024.printed_tables import Config
from codewatt.published.de_reus_2024.run_data import Run
from codewatt.units import J_PER_WH

MODELS = {"Phi-2": "phi-2", "StarCoder2-3B": "starcoder2-3b", "StarCoder2-7B": "starcoder2-7b"}
"""Name in the paper -> name in energy.csv."""
STARCODERS = ("StarCoder2-3B", "StarCoder2-7B")
LIMITS = (128, 256)
PRECISIONS = {"Original": "none", "4-bit": "4bit", "8-bit": "8bit"}
"""Label in the paper -> name in energy.csv."""
DEPTHS = tuple(range(7))
#: Repetitions that the paper does not use: an earlier set of 3B, another set of pruned Phi-2.
_OTHER_SETS = ("former_3b/", "pruning/results_")
_SECOND_PHI_2 = "pruning/results_Phi2_128_minus_1"

Figure = Callable[[CheckedRun[Run]], float]


def quantised_configs() -> list[Config]:
    """Configurations of tables III and IV and figures 3 to 6."""
    return [config for precision in PRECISIONS.values() for config in quantised(precision)]


def quantised(precision: str) -> list[Config]:
    """The four configurations of a precision, in the order of figures 3 to 6."""
    return [(MODELS[model], limit, precision, 0) for model in STARCODERS for limit in LIMITS]


def original(config: Config) -> Config:
    """The same model and limit, neither quantised nor pruned."""
    return (config[0], config[1], "none", 0)


def pruned_configs() -> list[Config]:
    """Configurations of figures 7 and 8."""
    return [(name, 128, "none", depth) for name in MODELS.values() for depth in DEPTHS]


@dataclass(frozen=True)
class PaperRuns:
    """Runs by configuration.

    Attributes:
        groups: (model, token limit, precision, pruned layers) -> runs.
        second_phi_2: runs of Phi-2 with one layer removed in a set that the paper does not use.
    """

    groups: Mapping[Config, Sequence[CheckedRun[Run]]]
    second_phi_2: Sequence[CheckedRun[Run]]

    @classmethod
    def select(cls, configurations: Sequence[Configuration[Run]]) -> "PaperRuns":
        """The runs that the paper uses."""
        groups: dict[Config, Sequence[CheckedRun[Run]]] = {}
        for one in configurations:
            if not one.name.startswith(_OTHER_SETS):
                run = one.runs[0].run
                groups[(run.model, run.token_limit, run.precision, run.layers_pruned)] = one.runs
        second = [one.runs for one in configurations if one.name == _SECOND_PHI_2]
        return cls(groups, second[0] if second else ())

    @property
    def missing(self) -> list[str]:
        """Configurations without runs that the comparison with the paper needs."""
        needed = (*quantised_configs(), *pruned_configs())
        missing = [label(config) for config in needed if config not in self.groups]
        return missing if self.second_phi_2 else [*missing, _SECOND_PHI_2]

    def mean(self, config: Config, figure: Figure) -> float:
        """Mean of a figure over the runs of a configuration."""
        return fmean(figure(one) for one in self.groups[config])

    def sd(self, config: Config, figure: Figure) -> float:
        """Sample standard deviation of a figure over the runs of a configuration."""
        return stdev(figure(one) for one in self.groups[config])

    def mean_w(self, config: Config, energy: Figure) -> float:
        """Mean energy over mean duration of the runs of a configuration (W)."""
        return self.mean(config, energy) * J_PER_WH / self.mean(config, runtime_s)

    def change(self, config: Config, figure: Figure) -> float:
        """Mean figure relative to the original model's, minus 1, in per cent."""
        return 100 * (self.mean(config, figure) / self.mean(original(config), figure) - 1)


def total_wh(one: CheckedRun[Run]) -> float:
    """Published total energy (Wh)."""
    return one.run.total_wh


def corrected_wh(one: CheckedRun[Run]) -> float:
    """Total energy with every missed wrap of the CPU counters (Wh)."""
    return one.corrected_wh


def gpu_wh(one: CheckedRun[Run]) -> float:
    """Published GPU energy (Wh)."""
    return one.run.gpu_wh


def dram_wh(one: CheckedRun[Run]) -> float:
    """Published DRAM energy (Wh)."""
    return one.run.dram_wh


def cpu_wh(one: CheckedRun[Run]) -> float:
    """Published energy of both CPU packages (Wh)."""
    return one.run.cpu_wh


def corrected_cpu_wh(one: CheckedRun[Run]) -> float:
    """Energy of both CPU packages with every missed wrap (Wh)."""
    return one.run.cpu_wh + one.corrected_wh - one.run.total_wh


def runtime_s(one: CheckedRun[Run]) -> float:
    """Duration of the run (s)."""
    return one.run.runtime_s


def label(config: Config) -> str:
    """A configuration for sentences, such as "7B, 128 tokens, 4-bit"."""
    model, limit, precision, depth = config
    parts = [model.removeprefix("starcoder2-").upper() if model != "phi-2" else "Phi-2"]
    parts.append(f"{limit} tokens")
    if precision != "none":
        parts.append(precision.replace("bit", "-bit"))
    if depth:
        parts.append(f"{depth} layers removed")
    return ", ".join(parts)
