"""Method `angular_distance`: removes the block of layers that changes the hidden state least.

Gromov et al. 2024, "The Unreasonable Ineffectiveness of the Deeper Layers" (arXiv 2403.17887),
section 3.2, without their finetuning ("healing"): to remove n layers, remove the block of layers l
to l+n-1 with the smallest angular distance d(x_l, x_{l+n}) = arccos(cos(x_l, x_{l+n})) / pi
(equation 7), of each sequence's last token, averaged over sequences. x_l (hidden,) is the input of
layer l.
"""

from codewatt.models.decoder_layers import LayeredModel
from codewatt.prune.layer_scores_record import MethodScores
from codewatt.prune.scored_pruner import ScoredPruner, require_finite, unit_vectors


class AngularDistance(ScoredPruner):
    """A block may include the last layer; its output is taken before the final norm."""

    def score(self, model: LayeredModel) -> MethodScores:
        """See `ScoredPruner.score`.

        "distance"[l][n-1]: angular distance of the block of layers l to l+n-1, from 0 to 1.
        """
        import torch

        count = len(model.layers)
        total = torch.zeros(count + 1, count + 1, dtype=torch.float64, device=model.device)
        sequences = 0
        for states in model.hidden_states(last_token_only=True):
            units = unit_vectors(torch.cat(states, dim=1))  # (batch, layers + 1, hidden)
            for n in range(1, count + 1):
                before, after = units[:, :-n], units[:, n:]
                # Kahan's formula for the angle of unit vectors: arccos is inaccurate for small
                # angles.
                opposite, adjacent = (after - before).norm(dim=-1), (after + before).norm(dim=-1)
                angles = 2 * torch.atan2(opposite, adjacent) / torch.pi
                total[: count + 1 - n, n] += angles.sum(dim=0, dtype=torch.float64)
            sequences += len(units)
        table = (total / sequences).tolist()
        distance = [
            require_finite(table[layer][1 : count + 1 - layer], "angular distance")
            for layer in range(count)
        ]
        first = {
            n: min(range(count + 1 - n), key=lambda layer: (distance[layer][n - 1], layer))
            for n in range(1, count)
        }
        return {
            "distance": distance,
            "removed": {str(n): list(range(start, start + n)) for n, start in first.items()},
        }


PRUNER = AngularDistance()
