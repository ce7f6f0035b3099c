"""A little model of which one token's logits are no answer."""

from tests.support.chains import save_chain

#: From 'a' on it writes bcdef, from '1' on 23456.
CHAIN = ["abcdef", "123456"]


def save_overflow(directory, character, kind):
    """The chain, of which one token's logits are no answer in float16, or in any type.

    overflow: an activation of 1e5, which float16 does not have. norm: one whose square is beyond
    float32, so that the norm leaves zeros. masked: -infinity at some tokens, which is an answer.
    """
    import torch

    model = save_chain(directory, CHAIN)
    token = {c: i for i, c in enumerate(sorted(_alphabet()))}[character]
    layer = model.model.layers[0].mlp
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        size = {"overflow": 1e5, "norm": 1e25, "masked": 0.0}[kind]
        # silu(10) is 10: the product of gate and up is 100 for this token and 0 for others.
        layer.gate_proj.weight[0, token] = 0.5
        layer.up_proj.weight[0, token] = 0.5
        layer.down_proj.weight[300, 0] = size / 100
        model.lm_head.weight[:, 300] = 0
    model.save_pretrained(directory)
    return directory


def _alphabet():
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel.alphabet()
