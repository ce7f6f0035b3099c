"""The fidelity columns of the variant table."""

import math
from typing import Literal, get_args

from codewatt.analysis.cell_results import VariantResults
from codewatt.analysis.changes import set_interval
from codewatt.analysis.columns import Row
from codewatt.analysis.log_scale_statistics import relative_change, t_quantile
from codewatt.analysis.proportions import Interval
from codewatt.fidelity.fidelity_record import PerplexityRecord

_Compared = Literal[
    "logits_cosine_mean", "logits_cosine_min", "kl_nats_per_token", "top1_agreement_share"
]
_COMPARED: tuple[_Compared, ...] = get_args(_Compared)
RANDOM_WEIGHTS = "random weights: fidelity says nothing about a trained model"


def fidelity_columns(record: VariantResults) -> Row:
    """A variant's fidelity columns; empty if the study measures no fidelity.

    `fidelity_note` says why figures are absent. The change in perplexity is relative to the
    baseline's, which was measured in the same job on the same tokens.
    """
    found = record.fidelity
    if found is None:
        return {}
    row: Row = {"fidelity_corpus": found["corpus"]["id"], "fidelity_note": found["reason"]}
    if found["status"] == "infeasible":
        return row
    compared, baseline = found["comparison"], found["baseline_model"]
    perplexity = found["model"]["perplexity"]
    if row["fidelity_note"] is None and not record.manifest["meaningful_accuracy"]:
        row["fidelity_note"] = RANDOM_WEIGHTS
    row |= {
        "fidelity_positions": found["positions"],
        "perplexity": perplexity,
    }
    if compared is not None:
        row.update((name, compared[name]) for name in _COMPARED)
    if baseline is not None:
        row["perplexity_change"] = relative_change(perplexity, baseline["perplexity"])
    if baseline is not None and row.get("perplexity_change") is not None:
        set_interval(row, "perplexity_change_ci95", perplexity_interval(found["model"], baseline))
    return row


def perplexity_interval(model: PerplexityRecord, baseline: PerplexityRecord) -> Interval | None:
    """95 % interval of the relative change of perplexity, over sequences of the held-out text.

    The logarithm of the ratio of perplexities is Σd / Σn, where d is the difference of a
    sequence's negative log-likelihoods (nats) and n its positions. Sequences are independent,
    tokens within one are not: the variance is that of a ratio of sums over sequences (Cochran
    1977, "Sampling Techniques", 3rd ed., section 6.4), with Student's t on (sequences - 1).

    Returns:
        None for fewer than two sequences.
    """
    positions = model["sequence_positions"]
    pairs = zip(model["sequence_nats"], baseline["sequence_nats"], strict=True)
    differences = [ours - theirs for ours, theirs in pairs]
    count, total = len(positions), sum(positions)
    if count < 2:
        return None
    ratio = math.fsum(differences) / total
    squares = math.fsum(
        (difference - ratio * size) ** 2
        for difference, size in zip(differences, positions, strict=True)
    )
    error = math.sqrt(count / (count - 1) * squares) / total
    half = t_quantile(0.975, count - 1) * error
    return math.expm1(ratio - half), math.expm1(ratio + half)
