"""Method `sleb`: removes layers one by one, each time the one that raises perplexity least.

Song et al. 2024, "SLEB: Streamlining LLMs through Redundancy Verification and Elimination of
Transformer Blocks" (arXiv 2402.09025), algorithm 1: after each removal, the perplexity without each
remaining layer is computed again. As in the authors' code, the first and the last layer are never
removed (early and latter barrier are 1).
"""

import logging

from codewatt.models.decoder_layers import LayeredModel
from codewatt.prune.layer_scores_record import MethodScores, SlebStep
from codewatt.prune.scored_pruner import ScoredPruner

_LOG = logging.getLogger(__name__)


class Sleb(ScoredPruner):
    """Needs (L-2)(L-1)/2 passes over the corpus for L layers, each with fewer layers."""

    def score(self, model: LayeredModel) -> MethodScores:
        """See `ScoredPruner.score`.

        "perplexity": of the unpruned model. "steps": for each removal, "perplexity" (index of each
        candidate layer, as text -> perplexity without it) and "removed" (index of the layer).
        """
        removed: list[int] = []
        steps: list[SlebStep] = []
        unpruned = model.perplexity()
        while candidates := [n for n in range(1, len(model.layers) - 1) if n not in removed]:
            found = {n: model.perplexity(without=[*removed, n]) for n in candidates}
            chosen = min(found, key=lambda n: (found[n], n))
            removed.append(chosen)
            steps.append({"perplexity": {str(n): found[n] for n in found}, "removed": chosen})
            _LOG.info("removed layer %d: perplexity %.3f", chosen, found[chosen])
        return {
            "perplexity": unpruned,
            "steps": steps,
            "removed": {str(n): removed[:n] for n in range(1, len(removed) + 1)},
        }


PRUNER = Sleb()
