"""Method `block_influence`: removes the layers with the lowest block influence.

Men et al. 2024, "ShortGPT: Layers in Large Language Models are More Redundant Than You Expect"
(arXiv 2403.03853), section 3: layers are removed in ascending order of block influence (BI).
"""

from itertools import pairwise

from codewatt.models.decoder_layers import LayeredModel
from codewatt.prune.layer_scores_record import MethodScores
from codewatt.prune.scored_pruner import ScoredPruner, require_finite, unit_vectors


class BlockInfluence(ScoredPruner):
    """BI of layer i is 1 - E[cos(x_i, x_{i+1})] over all tokens; x_i (hidden,) is its input.

    The last layer's output is taken before the final norm.
    """

    def score(self, model: LayeredModel) -> MethodScores:
        """See `ScoredPruner.score`.

        "block_influence": of each layer, from 0 (hidden state keeps its direction) to 2.
        """
        import torch

        total = torch.zeros(len(model.layers), dtype=torch.float64, device=model.device)
        tokens = 0
        for states in model.hidden_states():
            units = [unit_vectors(state) for state in states]
            # For unit vectors 1 - cos is half the squared distance, which avoids cancellation.
            for layer, (before, after) in enumerate(pairwise(units)):
                total[layer] += (after - before).square().sum(dtype=torch.float64) / 2
            tokens += states[0].shape[0] * states[0].shape[1]
        influence = require_finite((total / tokens).tolist(), "block influence")
        order = sorted(range(len(influence)), key=lambda layer: (influence[layer], layer))
        return {
            "block_influence": influence,
            "removed": {str(n): order[:n] for n in range(1, len(order))},
        }


PRUNER = BlockInfluence()
