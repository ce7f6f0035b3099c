"""Findings on the pruned models of de Reus et al. 2024."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import fmean

from codewatt.analysis.proportions import mcnemar_p
from codewatt.published.de_reus_2024.accuracy_findings import pass_at_1
from codewatt.published.de_reus_2024.paper_runs import (
    DEPTHS,
    MODELS,
    STARCODERS,
    PaperRuns,
    runtime_s,
    total_wh,
)
from codewatt.published.de_reus_2024.printed_tables import Config, PaperTables
from codewatt.published.finding import CONTRADICTED, HOLDS, NOT_SHOWN, Finding, low_and_high
from codewatt.sizing.known_configs import known_models

_LEVEL = 0.05
#: Repository on the hub of each model.
REPOSITORIES = {
    "Phi-2": "microsoft/phi-2",
    "StarCoder2-3B": "bigcode/starcoder2-3b",
    "StarCoder2-7B": "bigcode/starcoder2-7b",
}


def pruning_findings(tables: PaperTables, runs: PaperRuns) -> Iterator[Finding]:
    """Findings on pruning."""
    yield _energy_and_accuracy(tables, runs)
    yield _reduction(runs)
    yield _trend(runs)
    yield _shorter_answers(tables, runs)
    yield _runs_of_figure_8(runs)
    yield _decline_of_phi_2(tables)
    yield _layers_of_phi_2(tables)


def layers_of(model: str) -> int:
    """Number of layers by the model's published configuration."""
    return int(known_models()[REPOSITORIES[model]].config["num_hidden_layers"])


def _config(model: str, depth: int) -> Config:
    return MODELS[model], 128, "none", depth


def _energy_and_accuracy(tables: PaperTables, runs: PaperRuns) -> Finding:
    values: dict[str, float] = {}
    lines, significant = [], []
    for model in MODELS:
        whole = pass_at_1(tables, _config(model, 0))
        for depth in DEPTHS[1:]:
            config, name = _config(model, depth), f"{model}_{depth}"
            values[f"energy_{name}"] = runs.change(config, total_wh)
            values[f"pass_{name}"] = pass_at_1(tables, config)
            values[f"loss_{name}"] = 100 * (values[f"pass_{name}"] / whole - 1)
            counts = tables.samples[config]
            values[f"p_{name}"] = mcnemar_p(counts.plus_lost, counts.plus_gained)
        changes = ", ".join(
            f"{values[f'energy_{model}_{depth}']:+.0f} % and {values[f'loss_{model}_{depth}']:+.0f}"
            " %"
            for depth in (1, 3, 6)
        )
        lines.append(f"{model} {changes}")
        found = [depth for depth in DEPTHS[1:] if values[f"p_{model}_{depth}"] < _LEVEL]
        significant.append(f"{model} {', '.join(map(str, found))}")
    return Finding(
        "pruning_energy_and_accuracy",
        HOLDS,
        "Abstract: “pruning reduces energy usage but impairs performance”. Section VIII: “the "
        "performance dropped significantly with the number of layers that were pruned”; “We "
        "therefore deem the pruning of layers unsuitable for reducing the energy consumption”.",
        "Changes of energy and of pass@1, both relative to the whole model, at 1, 3 and 6 layers "
        f"removed: {'; '.join(lines)}. Layers removed at which McNemar's exact test gives p < 0.05 "
        f"(not adjusted): {'; '.join(significant)}.",
        "At every depth of every model pass@1 loses a larger share than energy does. From three "
        "layers on the loss is significant for all models, and StarCoder2 solves no task. The "
        "paper removed the last layers only, and did not train the models again; other pruning is "
        "not judged.",
        values,
    )


def _reduction(runs: PaperRuns) -> Finding:
    """Reduction of energy against the share of the layers that was removed."""
    values: dict[str, float] = {}
    for model in MODELS:
        for depth in DEPTHS[1:]:
            reduction = -runs.change(_config(model, depth), total_wh)
            values[f"{model}_{depth}"] = reduction
            values[f"ratio_{model}_{depth}"] = reduction / (100 * depth / layers_of(model))
    ratios = [value for name, value in values.items() if name.startswith("ratio_")]
    values |= low_and_high("ratio_{}", ratios)
    lines = []
    for model in MODELS:
        shown = [f"{values[f'{model}_{depth}']:.0f}" for depth in (1, 3, 6)]
        lines.append(f"{model} {', '.join(shown)} %")
    return Finding(
        "minimal_energy_reduction",
        CONTRADICTED,
        "Section VIII: “the energy reduction was minimal”. Section VI.B: “we see a trend in which "
        "removing layers results in reduced energy consumption for all models”.",
        f"Reduction of energy by 1, 3 and 6 layers removed: {'; '.join(lines)}. It is "
        f"{values['ratio_low']:.1f} to {values['ratio_high']:.1f} times the share of the layers "
        f"that was removed ({len(ratios)} pruned models).",
        "The reduction is small beside the loss of accuracy, but it is not minimal: it is about "
        "what the removed layers can save, and for Phi-2 with three layers removed "
        f"{values['Phi-2_3']:.0f} % (in part because its answers are shorter).",
        values,
    )


def _trend(runs: PaperRuns) -> Finding:
    values: dict[str, float] = {}
    rising = []
    for model in MODELS:
        means = [runs.mean(_config(model, depth), total_wh) for depth in DEPTHS]
        values |= {f"{model}_{depth}": mean for depth, mean in zip(DEPTHS, means, strict=True)}
        rising += [
            f"{model} from {depth - 1} to {depth} layers ({means[depth - 1]:.1f} to "
            f"{means[depth]:.1f} Wh)"
            for depth in DEPTHS[1:]
            if means[depth] > means[depth - 1]
        ]
    values["rising"] = len(rising)
    values["second_set_1"] = fmean(map(total_wh, runs.second_phi_2))
    return Finding(
        "trend_of_figure_8",
        HOLDS,
        "Section VI.B: “we see a trend in which removing layers results in reduced energy "
        "consumption for all models”.",
        "Every pruned model takes less energy on average than the whole one. Energy rises in "
        f"{len(rising)} of 18 steps: {'; '.join(rising)}. The authors' files have a second set of "
        f"runs of pruned Phi-2 that the figure does not use; with one layer removed it takes "
        f"{values['second_set_1']:.1f} Wh, more than the whole model.",
        "The trend holds. Single layers are not resolved, and which runs are used matters as much "
        "as a layer.",
        values,
    )


def _shorter_answers(tables: PaperTables, runs: PaperRuns) -> Finding:
    values: dict[str, float] = {}
    lines = []
    for model in ("Phi-2", "StarCoder2-7B"):
        for depth in (0, 3, 4):
            config = _config(model, depth)
            values[f"ended_{model}_{depth}"] = tables.samples[config].ended
            values[f"time_{model}_{depth}"] = runs.change(config, runtime_s)
            values[f"layers_{model}_{depth}"] = -100 * depth / layers_of(model)
        lines.append(
            f"{model}: "
            + "; ".join(
                f"{depth} layers removed {tables.samples[_config(model, depth)].ended}, time "
                f"{values[f'time_{model}_{depth}']:+.1f} %, layers "
                f"{values[f'layers_{model}_{depth}']:+.1f} %"
                for depth in (3, 4)
            )
            + f" (0: {tables.samples[_config(model, 0)].ended})"
        )
    return Finding(
        "shorter_answers_of_pruned_models",
        NOT_SHOWN,
        "Section VI.B: “This reduction meets expectations because the model does fewer "
        "computations before presenting the output.”",
        f"Answers of 164 that end before the limit of 128 tokens: {'. '.join(lines)}.",
        "Part of the reduction is shorter answers: with three layers removed, both models take "
        "less time than with four. Figure 8 compares runs with different numbers of tokens; "
        "energy per generated token would compare the layers.",
        values,
    )


def _runs_of_figure_8(runs: PaperRuns) -> Finding:
    counts = {
        model: {len(runs.groups[_config(model, depth)]) for depth in DEPTHS[1:]} for model in MODELS
    }
    values = {model: float(max(found)) for model, found in counts.items()}
    return Finding(
        "runs_of_figure_8",
        CONTRADICTED,
        "Caption of figure 8: “experiments were done fivefold”.",
        "The figure's averages are those of "
        f"{values['StarCoder2-3B']:.0f} runs of each pruned StarCoder2, and of "
        f"{values['Phi-2']:.0f} of each pruned Phi-2 and of each whole model.",
        "The averages follow from the published runs; the number of runs in the caption is wrong "
        f"for {len(STARCODERS)} of 3 models.",
        values,
    )


def _decline_of_phi_2(tables: PaperTables) -> Finding:
    scores = [pass_at_1(tables, _config("Phi-2", depth)) for depth in DEPTHS]
    steps = [100 * (1 - after / before) for before, after in pairwise(scores)]
    points = [before - after for before, after in pairwise(scores)]
    values = {f"step_{depth}": step for depth, step in enumerate(steps, start=1)}
    values["mean_points_share"] = 100 * (scores[0] - scores[-1]) / len(steps) / scores[0]
    values |= low_and_high("points_{}", points)
    return Finding(
        "decline_of_phi_2",
        NOT_SHOWN,
        "Section VI.B: “For Phi-2 the pass@1 score decreases by around 15% per removed layer”; “a "
        "rather consistent decline”.",
        f"Losses from layer to layer: {', '.join(f'{step:.0f}' for step in steps)} % of the score "
        f"before, {min(points):.1f} to {max(points):.1f} points. The mean loss is "
        f"{values['mean_points_share']:.0f} % of the whole model's score.",
        "15 % is about the mean loss in terms of the whole model's score. No step but the third "
        "is near it, and the decline is not even.",
        values,
    )


def _layers_of_phi_2(tables: PaperTables) -> Finding:
    values = {model: float(layers_of(model)) for model in MODELS}
    printed = tables.claim("layers_phi_2")
    values["printed_phi_2"] = float(printed)
    return Finding(
        "layers_of_phi_2",
        CONTRADICTED,
        f"Section VI.B: “Phi-2 has {printed.text} layers”.",
        f"The models' configurations have {values['Phi-2']:.0f} (Phi-2), "
        f"{values['StarCoder2-3B']:.0f} (StarCoder2-3B) and {values['StarCoder2-7B']:.0f} "
        "(StarCoder2-7B) layers; the paper is right about the last two.",
        "A slip without consequence for the figures, which count removed layers.",
        values,
    )
