"""Findings on pass@1 of the quantised models in de Reus et al. 2024."""

from collections.abc import Iterator

from codewatt.analysis.proportions import mcnemar_p
from codewatt.published.de_reus_2024.paper_runs import (
    MODELS,
    PaperRuns,
    label,
    original,
    quantised,
    quantised_configs,
)
from codewatt.published.de_reus_2024.printed_tables import Config, PaperTables
from codewatt.published.de_reus_2024.table_checks import derived_claims
from codewatt.published.finding import CONTRADICTED, HOLDS, NOT_SHOWN, Finding, low_and_high

_LEVEL = 0.05
_PHI_2: Config = ("phi-2", 128, "none", 0)
_ALL_QUANTISED = (*quantised("4bit"), *quantised("8bit"))


def accuracy_findings(tables: PaperTables, runs: PaperRuns) -> Iterator[Finding]:
    """Findings on accuracy."""
    yield _prompt_without_a_body(tables)
    yield _conclusion(tables)
    yield _losses(tables)
    yield _matching_scores(tables)
    yield _percentages(tables)
    yield _longer_limits(tables)


def pass_at_1(tables: PaperTables, config: Config) -> float:
    """pass@1 of HumanEval+ by the recorded verdicts (%)."""
    counts = tables.samples[config]
    return 100 * counts.plus_solved / counts.tasks


def _prompt_without_a_body(tables: PaperTables) -> Finding:
    starcoders = [tables.samples[config] for config in quantised_configs()]
    shorter = [
        tables.samples[(model, 128, "none", 0)] for model in ("starcoder2-3b", "starcoder2-7b")
    ]
    phi_2 = tables.samples[_PHI_2]
    values: dict[str, float] = {
        **low_and_high("no_body_{}", [counts.no_body for counts in starcoders]),
        "tasks": phi_2.tasks,
        "runs": len(starcoders),
        "phi_2_no_body": phi_2.no_body,
        "reported_3b": float(tables.claim("starcoder2_3b_plus")),
        "reported_7b": float(tables.claim("starcoder2_7b_plus")),
        "bodies": sum(counts.tasks - counts.no_body for counts in shorter),
        "bodies_solved": sum(counts.body_solved for counts in shorter),
        "others": sum(counts.no_body for counts in shorter),
        "others_solved": sum(counts.plus_solved - counts.body_solved for counts in shorter),
    }
    for name, model in (("3b", "starcoder2-3b"), ("7b", "starcoder2-7b")):
        for limit in (128, 256):
            values[f"{name}_{limit}"] = pass_at_1(tables, (model, limit, "none", 0))
    return Finding(
        "prompt_without_a_body",
        CONTRADICTED,
        "Section V.A: “We verified our setup with Phi-2 and saw no difference between our results "
        "and the results reported in the Phi-2 paper. We can thus validate our setup”.",
        "The scripts pass HumanEval+'s prompts as they are; all 164 end with a newline after the "
        "docstring. In each of the "
        f"{values['runs']:.0f} runs of tables II and III, StarCoder2 writes no body for the "
        f"prompt's function in {values['no_body_low']:.0f} to {values['no_body_high']:.0f} of "
        f"{values['tasks']:.0f} completions: the next line of code is not indented. Most "
        "completions repeat the function or write another one, or another file. Phi-2, with the "
        f"same prompts, writes no body in {values['phi_2_no_body']:.0f}. The original StarCoder2 "
        f"models with 128 tokens solve {values['bodies_solved']:.0f} of {values['bodies']:.0f} "
        f"tasks where they write a body, and {values['others_solved']:.0f} of "
        f"{values['others']:.0f} where they do not. pass@1 on HumanEval+ is "
        f"{values['3b_128']:.1f} (128 tokens) and {values['3b_256']:.1f} (256) for 3B, where "
        f"StarCoder2's paper reports {values['reported_3b']:.1f}; {values['7b_128']:.1f} and "
        f"{values['7b_256']:.1f} for 7B, where it reports {values['reported_7b']:.1f}.",
        "Phi-2 cannot validate the setup for StarCoder2. pass@1 of StarCoder2 here measures mainly "
        "how often a model repeats a function and solves it within the limit. The likely cause, "
        "not shown by the data, is the newline: vocabularies like StarCoder2's join a newline with "
        "the indentation after it, and a prompt that ends with the newline excludes these tokens. "
        "Runs with stripped prompts would show it; the study has none.",
        values,
    )


def _conclusion(tables: PaperTables) -> Finding:
    values: dict[str, float] = {}
    equal = []
    for config in _ALL_QUANTISED:
        lost = tables.samples[original(config)].plus_solved - tables.samples[config].plus_solved
        values[f"fewer_{label(config)}"] = lost
        if not lost:
            equal.append(label(config))
    others = [name for name in equal if not (name.startswith("7B") and name.endswith("8-bit"))]
    values["equal"], values["exceptions"] = len(equal), len(others)
    return Finding(
        "configurations_with_equal_scores",
        CONTRADICTED,
        "Section VIII: “the pass@1 score for StarCoder2-7B with 8-bit quantisation matches the "
        "fullsized model. For all other configurations, the pass@1 score on HumanEval+ is lower "
        "than their full-sized counterparts.”",
        f"Table III has equal scores for {'; '.join(equal)}. So "
        f"{'; '.join(others)} is an exception to the second sentence, as section VI.A says "
        "(“matches the pass@1 score of 10.4 from the original model”).",
        "StarCoder2-7B with 8 bits matches the original, as the first sentence says. “All other "
        "configurations” is wrong: one of them matches too.",
        values,
    )


def _losses(tables: PaperTables) -> Finding:
    values: dict[str, float] = {}
    lines = []
    for config in _ALL_QUANTISED:
        counts, name = tables.samples[config], label(config)
        values[f"p_{name}"] = mcnemar_p(counts.plus_lost, counts.plus_gained)
        values[f"lost_{name}"], values[f"gained_{name}"] = counts.plus_lost, counts.plus_gained
        lines.append(
            f"{name} {tables.samples[original(config)].plus_solved} to {counts.plus_solved} "
            f"(p = {values[f'p_{name}']:.2f})"
        )
    values["smallest_p"] = min(value for name, value in values.items() if name.startswith("p_"))
    values["least_lost"] = next(lost for lost in range(1, 165) if mcnemar_p(lost, 0) < _LEVEL)
    return Finding(
        "accuracy_losses",
        NOT_SHOWN,
        "Abstract: “some accuracy losses”. Section VI.A: “the StarCoder2-7B seems to perform best "
        "with 8-bit quantisation”. The paper has no test of pass@1.",
        f"Solved tasks of 164 (HumanEval+), original to quantised, with McNemar's exact test on "
        f"the recorded verdicts, not adjusted: {'; '.join(lines)}.",
        "No loss and no order of the precisions is shown: the smallest p is "
        f"{values['smallest_p']:.2f}. A loss without any gain is significant from "
        f"{values['least_lost']:.0f} tasks on; the original 7B solves 6 or 10 tasks in all. That "
        "the data show no loss does not mean that there is none.",
        values,
    )


def _matching_scores(tables: PaperTables) -> Finding:
    values: dict[str, float] = {}
    lines = []
    for config in _ALL_QUANTISED:
        counts = tables.samples[config]
        if counts.plus_solved == tables.samples[original(config)].plus_solved:
            values[f"lost_{label(config)}"] = counts.plus_lost
            values[f"gained_{label(config)}"] = counts.plus_gained
            lines.append(
                f"{label(config)} loses {counts.plus_lost} of "
                f"{tables.samples[original(config)].plus_solved} tasks and gains "
                f"{counts.plus_gained}"
            )
    return Finding(
        "matching_scores",
        HOLDS,
        "Section VI.A: “we empirically show that in some cases the accuracy for quantised models "
        "can match that of original models”.",
        f"The numbers of solved tasks are equal, the tasks are not: {'; '.join(lines)}.",
        "The scores match; the quantised models do not answer like the originals. Equal scores "
        "of so few tasks are no evidence of equal accuracy.",
        values,
    )


def _percentages(tables: PaperTables) -> Finding:
    derived = derived_claims(tables)
    values: dict[str, float] = {}
    lines = []
    for name in ("3b_128_4bit", "3b_128_8bit", "7b_128_4bit", "7b_256_4bit"):
        printed, share = tables.claim(f"share_{name}"), derived[f"share_{name}"]
        values[f"printed_{name}"] = float(printed)
        values[f"low_{name}"], values[f"high_{name}"] = float(share.low), float(share.high)
        model, limit, precision = name.split("_")
        config = (MODELS[f"StarCoder2-{model.upper()}"], int(limit), precision, 0)
        lines.append(
            f"{label(config)} {printed.text} %, {float(share.low):.0f} to {float(share.high):.0f} %"
        )
    return Finding(
        "percentages_of_pass_at_1",
        CONTRADICTED,
        "Section VI.A gives losses of pass@1 in points and in per cent.",
        f"Printed per cent, and what the printed scores allow: {'; '.join(lines)}.",
        "Of four percentages one is right; those of 3B are too large, that of 7B with 256 tokens "
        "is too small. The points are right.",
        values,
    )


def _longer_limits(tables: PaperTables) -> Finding:
    values: dict[str, float] = {}
    lines = []
    for model, name in (("starcoder2-3b", "3B"), ("starcoder2-7b", "7B")):
        solved = [
            tables.samples[(model, limit, "none", 0)].plus_solved for limit in (128, 256, 512)
        ]
        values |= {f"{name}_{n}": s for n, s in zip((128, 256, 512), solved, strict=True)}
        lines.append(f"{name} {', '.join(map(str, solved))}")
    return Finding(
        "longer_limits",
        CONTRADICTED,
        "README of the repository: “Further increasing the maximum amount of tokens to 512 did not "
        "lead to improvements compared to 256 tokens and therefore is left out.”",
        f"Tasks solved with 128, 256 and 512 tokens: {'; '.join(lines)}. At 512 tokens 7B solves "
        "more, and no completion of an original StarCoder2 ends before the limit.",
        "Holds for 3B, not for 7B. The limit decides how many repeated functions fit in.",
        values,
    )
