"""What decides whether quantisation saves or costs energy: sentences with computed numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from codewatt.published.buis_2024.published_runs import SIZES
from codewatt.published.page.energy_changes import BFLOAT16, FLOAT32, GPU, NODE, OWN, EnergyChange
from codewatt.published.page.own_measurements import OwnEnergy
from codewatt.published.study_files import BUIS, DE_REUS

MEASURED, CONSISTENT = "measured", "fits the numbers, not measured"


@dataclass(frozen=True)
class Reason:
    """One reason for the sign.

    Attributes:
        topic: a few words.
        status: `MEASURED` or `CONSISTENT`.
        text: what was found, with numbers.
    """

    topic: str
    status: str
    text: str


def reasons(changes: Sequence[EnergyChange], energies: Sequence[OwnEnergy]) -> list[Reason]:
    """The reasons, measured ones first."""
    found = _Changes(changes)
    node = found.published(DE_REUS, "StarCoder2-7B", "bitsandbytes 4-bit", NODE)
    board = found.published(DE_REUS, "StarCoder2-7B", "bitsandbytes 4-bit", GPU)
    smallest = found.quantised_sizes(SIZES[0])
    largest = found.quantised_sizes(SIZES[-1])
    return [
        Reason(
            "engine",
            MEASURED,
            "On one H200 at batch size 1, torchao's int8 weights changed the energy per token "
            "against float32 by "
            f"{found.own('h200-engines', 'transformers', 1, 'int8 weights', FLOAT32)} with "
            "generate() of transformers, and with a CUDA graph of each decode step by "
            f"{found.own('h200-engines', 'graph', 1, 'int8 weights', FLOAT32)}: same weights, "
            "same GPU, other sign. The engines differ in the overhead of a step, and in the kernel "
            "that multiplies these weights; the two were not separated. With generate() the GPU "
            "waits for Python, so that bytes saved do not save time, "
            "and the operations that a quantised layer adds cost time.",
        ),
        Reason(
            "batch size",
            MEASURED,
            "With the CUDA graph on the H200, torchao's int4 weights changed the energy "
            "per token by "
            f"{found.own('h200-engines', 'graph', 1, 'int4 weights')} at batch size 1, "
            f"{found.own('h200-engines', 'graph', 8, 'int4 weights')} at 8 and "
            f"{found.own('h200-engines', 'graph', 32, 'int4 weights')} at 32, against bfloat16. "
            "The weights are read once for all sequences of a batch, so reading them matters less "
            "the larger the batch is.",
        ),
        Reason(
            "kernels",
            MEASURED,
            "Methods with the same bits differ, because each has its own kernel. 4 bits with the "
            "CUDA graph on an H200 at batch size 1: bitsandbytes nf4 "
            f"{found.own('h200-engines', 'graph', 1, 'nf4')}, torchao int4 "
            f"{found.own('h200-engines', 'graph', 1, 'int4 weights')}, GPTQ "
            f"{found.own('gptq-awq-fp8', 'graph', 1, 'GPTQ int4')}. On an H100: AWQ with 4 bits "
            f"{found.own('gptq-awq-fp8', 'graph', 1, 'AWQ int4')}, GPTQ with 8 bits (Marlin's "
            f"kernels) {found.own('gptq-awq-fp8', 'graph', 1, 'GPTQ int8')}.",
        ),
        Reason(
            "bitsandbytes in transformers",
            MEASURED,
            "Changes with the combination of de Reus et al., on an H100 and against bfloat16: "
            "LLM.int8() "
            f"{found.own('h100-metering', 'transformers', 1, 'LLM.int8()')}, nf4 "
            f"{found.own('h100-metering', 'transformers', 1, 'nf4')}. So its costs are found "
            "again, on the GPU alone. On an H200 whose host was busy the means are "
            f"{found.own('h200-engines', 'transformers', 1, 'LLM.int8()')} and "
            f"{found.own('h200-engines', 'transformers', 1, 'nf4')}.",
        ),
        Reason(
            "dtype of the reference",
            MEASURED,
            "nf4 with the CUDA graph at batch size 1: "
            f"{found.own('h200-engines', 'graph', 1, 'nf4', FLOAT32)} against float32, but "
            f"{found.own('h200-engines', 'graph', 1, 'nf4')} against bfloat16. A float32 "
            "reference makes quantisation look better; de Reus et al. have one, Buis has not.",
        ),
        Reason(
            "energy boundary",
            MEASURED,
            "In the data of de Reus et al. 4 bits change the energy of StarCoder2-7B by "
            f"{range_text(board)} on the GPU alone, and {range_text(node)} with both CPU packages "
            "and DRAM of the node, because the run lasts longer. Buis and codewatt count the GPU "
            "only.",
        ),
        Reason("prefill", MEASURED, _prefill(energies)),
        Reason(
            "a small model",
            MEASURED,
            "SmolLM2-135M at batch size 32 with the CUDA graph: int4 weights "
            f"{found.own('h200-smollm2', 'graph', 32, 'int4 weights')}, int8 weights "
            f"{found.own('h200-smollm2', 'graph', 32, 'int8 weights')}. Reading its weights takes "
            "a small part of a decode step. At this batch size StarCoder2-3B's int4 weights gave "
            f"{found.own('h200-engines', 'graph', 32, 'int4 weights')}; the two models also differ "
            "in their prompts and sampling.",
        ),
        Reason(
            "the size of the model in the runs of Buis",
            CONSISTENT,
            f"Changes per token go from {range_text(smallest)} for 0.5B to {range_text(largest)} "
            "for 14B. That is what a fixed time per token beside the reading of weights gives. "
            "codewatt has not measured one family of models over sizes in one engine.",
        ),
        Reason(
            "the engine of Buis",
            CONSISTENT,
            "The thesis does not name it. Its runs are faster than generate() was on the host of "
            "an H200, and its savings are like those of the CUDA graph. Neither proves which "
            "engine ran.",
        ),
        Reason(
            "the host of de Reus et al.",
            CONSISTENT,
            "That the GPU waited for Python in their runs was not measured there; it is how "
            "generate() behaved on the hosts of an H200 and an H100. codewatt has not measured an "
            "A100 or an L40S, nor the library versions of 2024.",
        ),
    ]


def answer(changes: Sequence[EnergyChange]) -> str:
    """The answer in three sentences."""
    own = [one for one in changes if one.study == OWN and one.reference == BFLOAT16]
    saves = sum(one.sign_shown and one.change_percent < 0 for one in own)
    costs = sum(one.sign_shown and one.change_percent > 0 for one in own)
    return (
        "Both texts can be right about their own machines, because they did not measure the same "
        "thing. In codewatt's measurements quantisation saved GPU energy where reading the weights "
        "takes most of the time of a decode step: with an engine that does not keep the GPU "
        "waiting, at small batch sizes, and with kernels that multiply quantised weights as fast "
        "as the memory delivers them. Elsewhere it saved little or cost energy. "
        f"Of codewatt's {len(own)} comparisons with bfloat16, {saves} show a saving and {costs} a "
        f"cost; in the other {len(own) - saves - costs} the limits include zero. The settings "
        "were chosen to explore, so these counts say nothing about how often quantisation saves."
    )


class _Changes:
    """Finds changes and writes them."""

    def __init__(self, changes: Sequence[EnergyChange]) -> None:
        self._changes = changes

    def own(
        self, page: str, engine: str, batch: int, method: str, reference: str = BFLOAT16
    ) -> str:
        """The change of codewatt's first measurement of a setting, with its limits."""
        one = next(
            one
            for one in self._changes
            if (one.source, one.engine, one.batch_size) == (page, engine, batch)
            and (one.method, one.reference) == (method, reference)
        )
        top = _plain(one.high) if math.isfinite(one.high) else "unbounded"
        unclear = "" if one.sign_shown else ", sign not shown"
        return f"{signed(one.change_percent)} % [{_plain(one.low)}, {top}{unclear}]"

    def published(self, study: str, model: str, method: str, boundary: str) -> list[EnergyChange]:
        return [
            one
            for one in self._changes
            if (one.study, one.model, one.method, one.boundary) == (study, model, method, boundary)
        ]

    def quantised_sizes(self, size: str) -> list[EnergyChange]:
        return [
            one for one in self._changes if one.study == BUIS and one.model == f"Qwen2.5-{size}"
        ]


def _prefill(energies: Sequence[OwnEnergy]) -> str:
    places = {
        (one.setting.method, one.setting.batch_size): one
        for one in energies
        if (one.setting.page, one.table, one.setting.engine) == ("h200-engines", 1, "graph")
    }
    quantised, whole = places["int4 weights", 8], places["bf16", 8]
    token = 100 * (quantised.j_per_token / whole.j_per_token - 1)
    task = 100 * ((quantised.j_per_task or 0) / (whole.j_per_task or math.nan) - 1)
    return (
        f"torchao's int4 weights at batch size 8: {signed(token)} % per token in decoding, "
        f"but {signed(task)} % per task: the kernel is made for few rows, and reads prompts "
        "slowly."
    )


def range_text(changes: Sequence[EnergyChange]) -> str:
    """Smallest and largest change, in whole per cent."""
    low = min(one.change_percent for one in changes)
    high = max(one.change_percent for one in changes)
    if round(low) == round(high):
        return f"{signed(low)} %"
    return f"{signed(low)} to {signed(high)} %"


def signed(percent: float) -> str:
    """A whole number of per cent with its sign."""
    return f"{percent:+.0f}".replace("-", "\N{MINUS SIGN}")


def _plain(percent: float) -> str:
    return f"{percent:.0f}".replace("-", "\N{MINUS SIGN}")
