"""The recovery columns of the variant table."""

from codewatt.analysis.records import INFEASIBLE, Json, VariantRecord
from codewatt.analysis.stats import relative_change

_COMPARED = ("logits_cosine_mean", "logits_cosine_min", "kl_nats_per_token", "top1_agreement_share")
RANDOM_WEIGHTS = "random weights: recovery says nothing about a trained model"


def recovery_columns(record: VariantRecord) -> Json:
    """A variant's recovery; nothing if the study asks for none, and the reason for what is absent.

    The change in perplexity is of the baseline's that was taken beside it, on the same tokens.
    """
    found = record.recovery
    if found is None:
        return {}
    row = {"recovery_text": found["text"]["id"], "recovery_note": found.get("reason")}
    if found["status"] == INFEASIBLE:
        return row
    compared, baseline = found["comparison"] or {}, found["baseline_model"] or {}
    perplexity = found["model"]["perplexity"]
    if row["recovery_note"] is None and not record.manifest.get("meaningful_accuracy", True):
        row["recovery_note"] = RANDOM_WEIGHTS
    return {
        **row,
        "recovery_positions": found["positions"],
        **{name: compared.get(name) for name in _COMPARED},
        "perplexity": perplexity,
        "perplexity_change": relative_change(perplexity, baseline.get("perplexity")),
    }
