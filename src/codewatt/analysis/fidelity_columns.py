"""The fidelity columns of the variant table."""

import math

from codewatt.analysis.cell_results import INFEASIBLE, Json, VariantRecord
from codewatt.analysis.changes import put_ends
from codewatt.analysis.log_scale_statistics import relative_change, t_quantile
from codewatt.analysis.proportions import Interval

_COMPARED = ("logits_cosine_mean", "logits_cosine_min", "kl_nats_per_token", "top1_agreement_share")
RANDOM_WEIGHTS = "random weights: fidelity says nothing about a trained model"


def fidelity_columns(record: VariantRecord) -> Json:
    """A variant's fidelity; nothing if the study asks for none, and the reason for what is absent.

    The change in perplexity is of the baseline's that was taken beside it, on the same tokens.
    """
    found = record.fidelity
    if found is None:
        return {}
    row = {"fidelity_corpus": found["corpus"]["id"], "fidelity_note": found.get("reason")}
    if found["status"] == INFEASIBLE:
        return row
    compared, baseline = found["comparison"] or {}, found["baseline_model"] or {}
    perplexity = found["model"]["perplexity"]
    if row["fidelity_note"] is None and not record.manifest.get("meaningful_accuracy", True):
        row["fidelity_note"] = RANDOM_WEIGHTS
    row |= {
        "fidelity_positions": found["positions"],
        **{name: compared.get(name) for name in _COMPARED},
        "perplexity": perplexity,
        "perplexity_change": relative_change(perplexity, baseline.get("perplexity")),
    }
    if row["perplexity_change"] is not None:
        put_ends(row, "perplexity_change_ci95", perplexity_interval(found["model"], baseline))
    return row


def perplexity_interval(model: Json, baseline: Json) -> Interval | None:
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
