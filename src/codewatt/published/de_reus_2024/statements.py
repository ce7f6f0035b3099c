"""The statements of abstract and conclusion of de Reus et al. 2024, each with its finding."""

from collections.abc import Iterable

from codewatt.published.finding import Finding
from codewatt.published.statement import PRUNED, QUANTISED, Statement

STATEMENTS = (
    Statement(
        "Abstract",
        "increased energy demands with quantization due to lower throughput",
        "boundary_of_the_conclusion",
        (QUANTISED,),
    ),
    Statement("Abstract", "some accuracy losses", "accuracy_losses", (QUANTISED,)),
    Statement(
        "Abstract",
        "pruning reduces energy usage but impairs performance",
        "pruning_energy_and_accuracy",
        (PRUNED,),
    ),
    Statement(
        "VIII",
        "StarCoder2-7B with 8-bit quantisation matches the fullsized model",
        "matching_scores",
        (QUANTISED,),
    ),
    Statement(
        "VIII",
        "For all other configurations, the pass@1 score on HumanEval+ is lower",
        "configurations_with_equal_scores",
        (QUANTISED,),
    ),
    Statement(
        "VIII",
        "increased by at least 19% for all configurations",
        "boundary_of_the_conclusion",
        (QUANTISED,),
    ),
    Statement(
        "VIII",
        "the reduced throughput is not proportional to the energy consumption",
        "time_and_energy",
        (QUANTISED,),
    ),
    Statement(
        "VIII",
        "the average amount of energy per second was reduced",
        "energy_per_second",
        (QUANTISED,),
    ),
    Statement(
        "VIII",
        "the longer execution times surpass this reduction",
        "boundary_of_the_conclusion",
        (QUANTISED,),
    ),
    Statement(
        "VIII",
        "the performance dropped significantly with the number of layers",
        "pruning_energy_and_accuracy",
        (PRUNED,),
    ),
    Statement(
        "VIII",
        "the energy reduction was minimal",
        "minimal_energy_reduction",
        (PRUNED,),
    ),
    Statement(
        "VIII",
        "deem the pruning of layers unsuitable for reducing the energy consumption",
        "pruning_energy_and_accuracy",
        (PRUNED,),
    ),
)


def verdict_rows(findings: Iterable[Finding]) -> list[list[str]]:
    """A table of the statements: place, statement, verdict and finding, with a head."""
    verdicts = {finding.name: finding.verdict for finding in findings}
    return [
        ["place", "statement", "verdict", "see"],
        *([one.place, one.quote, verdicts[one.finding], one.finding] for one in STATEMENTS),
    ]
