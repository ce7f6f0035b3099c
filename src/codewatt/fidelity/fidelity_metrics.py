"""A model's perplexity, and how far its logits are from a baseline's, position by position.

A position is a token that is predicted from those before it in its sequence: each but the first,
and of nano's functions only those of the body, as nano models learn nothing else. With z and z' the
logits (vocabulary) of baseline and variant for a position, p and p' their softmax, and x the token:

- logit cosine: z·z' / (|z| |z'|);
- Kullback-Leibler divergence of the variant from the baseline: Σ p log(p / p'), in nats;
- top-1 agreement: whether z and z' are largest for the same token;
- perplexity (Jelinek et al. 1977): exp of the mean of -log p(x) over all positions.

All is computed in float64 from logits as the models gave them.
"""

import math
from collections.abc import Iterator
from typing import Any

from codewatt.errors import CodewattError
from codewatt.fidelity.fidelity_record import ComparisonRecord, PerplexityRecord

#: Shares of positions at which the record has a quantile of the logit cosine.
QUANTILES = (0.001, 0.01, 0.05, 0.5)
_LOGITS_AT_ONCE = 2**23  # in float64: 67 MB, a few times over
_GREATEST_NATS = math.log(1e300)


class Perplexity:
    """The perplexity of one model over sequences that are added one after the other."""

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._nats: list[float] = []

    @property
    def positions(self) -> int:
        """Tokens that were predicted so far."""
        return sum(self._positions)

    def add(self, logits: Any, targets: Any) -> None:
        """Add a sequence's logits (positions, vocabulary) and next tokens (positions)."""
        nats = 0.0
        for part in _parts(logits):
            wide = logits[part].double()
            chosen = wide.gather(-1, targets[part].unsqueeze(-1)).squeeze(-1)
            nats += float((wide.logsumexp(-1) - chosen).sum())
        self._nats.append(nats)
        self._positions.append(len(targets))

    def result(self) -> PerplexityRecord:
        """Perplexity over all sequences, with the figures of each sequence.

        Those of each sequence are kept because a confidence interval is taken over sequences.
        """
        nats = math.fsum(self._nats) / self.positions
        return {
            "nats_per_token": nats,
            "perplexity": math.exp(nats) if nats < _GREATEST_NATS else None,
            "sequence_nats": self._nats,
            "sequence_positions": self._positions,
        }


class LogitsComparison:
    """A variant's logits beside its baseline's, over sequences added one after the other.

    Args:
        name: the variant's id, for messages.

    Attributes:
        identical: whether all logits so far are exactly the baseline's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._cosines: list[Any] = []
        self._nats = 0.0
        self._agreeing = 0
        self.identical = True

    def add(self, baseline: Any, logits: Any) -> None:
        """Add the logits (positions, vocabulary) of one sequence; the baseline's are on the host.

        Raises:
            CodewattError: the vocabularies differ, or all logits of a position are 0.
        """
        if baseline.shape != logits.shape:
            raise CodewattError(
                f"variant {self._name!r}: logits of shape {tuple(logits.shape)}, its baseline's "
                f"{tuple(baseline.shape)}; allowed: the same vocabulary"
            )
        for part in _parts(logits):
            ours, theirs = logits[part].double(), baseline[part].to(logits.device).double()
            self._add(theirs, ours)

    def _add(self, theirs: Any, ours: Any) -> None:
        # A token that one of the two masks (-infinity) does not count in the angle.
        both = theirs.isfinite() & ours.isfinite()
        left, right = theirs.where(both, 0), ours.where(both, 0)
        squares = (left * left).sum(-1) * (right * right).sum(-1)
        if not bool((squares > 0).all()):
            raise CodewattError(
                f"variant {self._name!r} or its baseline: all logits of a position are 0; the "
                "checkpoint is damaged or was loaded wrongly"
            )
        self._cosines.append(((left * right).sum(-1) / squares.sqrt()).clamp(-1, 1).cpu())
        log_p, log_q = theirs.log_softmax(-1), ours.log_softmax(-1)
        share = log_p.exp()
        nats = (share * (log_p - log_q)).where(share > 0, 0)  # 0 log 0 is 0
        self._nats += float(nats.sum(-1).clamp(min=0).sum())
        self._agreeing += int((theirs.argmax(-1) == ours.argmax(-1)).sum())
        self.identical = self.identical and bool((theirs == ours).all())

    def result(self) -> ComparisonRecord:
        """Means, extremes and quantiles over all positions."""
        import torch

        cosines = torch.cat(self._cosines).sort().values
        count = len(cosines)
        return {
            "logits_cosine_mean": float(cosines.mean()),
            "logits_cosine_min": float(cosines[0]),
            "logits_cosine_quantiles": {
                str(share): float(cosines[math.ceil(share * count) - 1]) for share in QUANTILES
            },
            "kl_nats_per_token": self._nats / count,
            "top1_agreement_share": self._agreeing / count,
            "identical": self.identical,
        }


def _parts(logits: Any) -> Iterator[slice]:
    """Slices of positions, each few enough to be converted to float64 at once."""
    positions, vocabulary = logits.shape
    step = max(_LOGITS_AT_ONCE // vocabulary, 1)
    return (slice(start, start + step) for start in range(0, positions, step))
