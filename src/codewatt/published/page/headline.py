"""The first screen of the page: the answer in plain words, and how the two studies differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codewatt.published.buis_2024.published_runs import QUANTISED, SIZES
from codewatt.published.finding import Finding
from codewatt.published.page.energy_changes import FLOAT32, GPU, NODE, OWN, EnergyChange
from codewatt.published.page.sign_text import range_text, signed
from codewatt.published.study_files import BUIS, DE_REUS


@dataclass(frozen=True)
class Contrast:
    """One respect in which the studies differ, as text."""

    topic: str
    de_reus: str
    buis: str


def headline(changes: Sequence[EnergyChange]) -> list[str]:
    """The answer: one paragraph each."""
    slow, fast = (
        next(
            one
            for one in changes
            if (one.study, one.engine, one.batch_size) == (OWN, engine, 1)
            and (one.method, one.reference) == ("int8 weights", FLOAT32)
        )
        for engine in ("transformers", "graph")
    )
    return [
        "It can do either. Quantisation stores the weights of a model with fewer bits. A GPU that "
        "writes one answer at a time spends most of its time on reading weights, so fewer bits can "
        "save time and energy. But quantised weights must usually be converted back before they "
        "are multiplied. If the software does that slowly, or keeps the GPU waiting anyway, a run "
        "takes longer and can cost more energy.",
        "De Reus et al. 2024 conclude that quantisation costs energy, Buis 2024 that it saves up "
        "to 67 %. Behind the contradiction is the run time: in the first study quantised models "
        "were slower, in the second faster, except the smallest. The studies used different "
        "software, references and GPUs, and they counted the energy of different components (table "
        "below). The texts do not show how much each of these contributes. In codewatt's own "
        "measurements the engine alone changed the sign: with the same 8-bit weights on the same "
        f"GPU, energy per token changed by {signed(slow.change_percent)} % with one engine and by "
        f"{signed(fast.change_percent)} % with another, against float32.",
    ]


def contrasts(
    changes: Sequence[EnergyChange], findings: Mapping[str, Sequence[Finding]]
) -> list[Contrast]:
    """The differences of the studies, results first."""
    values = {one.name: one.values for found in findings.values() for one in found}
    paper = [value for name, value in values["time_and_energy"].items() if name.startswith("time_")]
    saves = values["quantised_models_save"]
    times = {
        size: [1 + saves[f"time_{suffix}_{size}"] / 100 for suffix in QUANTISED] for size in SIZES
    }
    smallest = times.pop(SIZES[0])
    others = [time for found in times.values() for time in found]

    def of(study: str, boundary: str) -> str:
        return range_text(
            [one for one in changes if (one.study, one.boundary) == (study, boundary)]
        )

    return [
        Contrast(
            "run time of quantised models",
            f"{min(paper):.1f} to {max(paper):.1f} times as long as unquantised ones",
            f"{min(others):.2f} to {max(others):.2f} times as long from 1.5B on; "
            f"{min(smallest):.2f} to {max(smallest):.2f} times for 0.5B",
        ),
        Contrast("change of energy per token, GPU only", of(DE_REUS, GPU), of(BUIS, GPU)),
        Contrast(
            "change of energy per token, GPU, both CPU packages and DRAM of the node",
            f"{of(DE_REUS, NODE)}, 8-bit runs corrected: the published energies lack CPU energy",
            "not measured",
        ),
        Contrast(
            "software",
            "transformers with bitsandbytes (8-bit LLM.int8() and 4-bit)",
            "engine not stated; GPTQ with 8 and 4 bits, AWQ",
        ),
        Contrast("compared with weights in", "float32 (by the authors' scripts)", "16 bits"),
        Contrast(
            "GPU, models", "A100; StarCoder2-3B and 7B", "L40S; Qwen2.5-Instruct, 0.5B to 14B"
        ),
    ]
