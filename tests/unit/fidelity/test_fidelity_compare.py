"""Perplexity and distances of logits equal their definitions, written down once more by hand."""

import math

import pytest

from codewatt.corpora.token_sequences import PreparedCorpus
from codewatt.errors import CodewattError
from codewatt.fidelity import fidelity_metrics
from codewatt.fidelity.fidelity_metrics import LogitsComparison, Perplexity
from codewatt.fidelity.logits_store import LogitsStore, ScoredSequence, predict, scored_sequences
from codewatt.models.loading import load_model

LONG = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n"


def _logits(seed: int, positions: int = 7, vocabulary: int = 11):
    import torch

    return torch.randn(positions, vocabulary, generator=torch.Generator().manual_seed(seed))


def _by_hand(theirs: list[list[float]], ours: list[list[float]]):
    """Cosines, divergences and agreements of each position, in plain Python."""
    found = []
    for z, y in zip(theirs, ours, strict=True):
        norms = math.sqrt(math.fsum(a * a for a in z) * math.fsum(b * b for b in y))
        cosine = math.fsum(a * b for a, b in zip(z, y, strict=True)) / norms
        p, q = ([math.exp(a) / math.fsum(map(math.exp, row)) for a in row] for row in (z, y))
        divergence = math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        found.append((cosine, divergence, z.index(max(z)) == y.index(max(y))))
    return found


@pytest.mark.parametrize("at_once", [1, 25, 2**23])
def test_a_comparison_equals_its_definition(monkeypatch, at_once):
    """However many positions are widened at once, and over several sequences."""
    monkeypatch.setattr(fidelity_metrics, "_LOGITS_AT_ONCE", at_once)
    pairs = [(_logits(0), _logits(1)), (_logits(2, 3), _logits(3, 3))]
    comparison, expected = LogitsComparison("v"), []
    for theirs, ours in pairs:
        comparison.add(theirs, ours)
        expected += _by_hand(theirs.tolist(), ours.tolist())
    found = comparison.result()
    cosines, divergences, agreements = zip(*expected, strict=True)
    assert found["logits_cosine_mean"] == pytest.approx(math.fsum(cosines) / 10)
    assert found["logits_cosine_min"] == pytest.approx(min(cosines))
    assert found["logits_cosine_quantiles"]["0.5"] == pytest.approx(sorted(cosines)[4])
    assert found["kl_nats_per_token"] == pytest.approx(math.fsum(divergences) / 10)
    assert found["top1_agreement_share"] == sum(agreements) / 10
    assert found["identical"] is False


def test_one_differing_logit_is_not_identical():
    other = _logits(0)
    other[4, 5] += 1e-6
    comparison = LogitsComparison("v")
    comparison.add(_logits(0), other)
    assert comparison.identical is False
    same = LogitsComparison("v")
    same.add(_logits(0), _logits(0))
    assert same.result()["logits_cosine_min"] == 1.0
    assert same.result()["kl_nats_per_token"] == 0.0
    assert same.identical is True


def test_logits_that_cannot_be_compared_are_refused():
    with pytest.raises(CodewattError, match=r"variant 'v': .*\(7, 12\), its baseline's \(7, 11\)"):
        LogitsComparison("v").add(_logits(0), _logits(0, vocabulary=12))
    silent = _logits(0)
    silent[3] = 0.0
    with pytest.raises(CodewattError, match="all logits of a position are 0"):
        LogitsComparison("v").add(_logits(0), silent)


@pytest.mark.parametrize("architecture", ["starcoder2", "gpt_neox"])
def test_perplexity_equals_transformers_own_loss(tiny_model, architecture):
    import torch

    loaded = load_model(tiny_model(architecture), dtype="float32", device="cpu")
    ids = loaded.tokenizer(LONG).input_ids
    perplexity = Perplexity()
    for logits, targets in predict(loaded, [ScoredSequence(ids, 1)], "m"):
        perplexity.add(logits, targets)
    row = torch.tensor([ids])
    with torch.inference_mode():
        loss = float(loaded.model(row, labels=row).loss)
    assert perplexity.positions == len(ids) - 1
    assert perplexity.result()["nats_per_token"] == pytest.approx(loss, rel=1e-5)
    assert perplexity.result()["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)


def test_each_position_counts_once_whatever_its_sequence(tiny_model):
    """The mean is over positions, not over sequences."""
    loaded = load_model(tiny_model("llama"), dtype="float32", device="cpu")
    ids = loaded.tokenizer(LONG).input_ids
    nats = []
    few_ids, many_ids = ScoredSequence(ids[:3], 1), ScoredSequence(ids[3:], 1)
    for asked in ([few_ids], [many_ids], [few_ids, many_ids]):
        perplexity = Perplexity()
        for logits, targets in predict(loaded, asked, "m"):
            perplexity.add(logits, targets)
        nats.append((perplexity.positions, perplexity.result()["nats_per_token"]))
    (few, first), (many, second), (all_, together) = nats
    assert all_ == few + many
    assert together == pytest.approx((few * first + many * second) / all_)


def test_a_perplexity_beyond_a_floats_range_is_absent():
    import torch

    perplexity = Perplexity()
    perplexity.add(torch.tensor([[0.0, 2000.0]]), torch.tensor([0]))
    assert perplexity.result() == {
        "nats_per_token": 2000.0,
        "perplexity": None,
        "sequence_nats": [2000.0],
        "sequence_positions": [1],
    }


def test_logits_that_would_take_too_much_memory_are_refused():
    kept = LogitsStore(11, "held", limit_bytes=11 * 11 * 4)
    kept.add(_logits(0))
    kept.add(_logits(1, 4))
    assert [len(logits) for logits in kept] == [7, 4]
    small = LogitsStore(11, "held", limit_bytes=11 * 11 * 4 - 1)
    with pytest.raises(CodewattError, match=r"corpus 'held': 11 positions x 11 logits take .* GB"):
        small.add(_logits(0))


def _text(*documents: str, source: str = "file", **settings) -> PreparedCorpus:
    values = {"source": source, "samples": 1, "tokens": 30, "seed": 0, **settings}
    return PreparedCorpus(list(documents), values, "")


def test_sequences_that_a_model_cannot_read_are_refused(tiny_model):
    loaded = load_model(tiny_model("starcoder2"), dtype="float32", device="cpu")
    long = LONG * 20
    assert [len(one.ids) for one in scored_sequences(_text(long, tokens=256), loaded, "held")] == [
        256
    ]
    with pytest.raises(
        CodewattError, match=r"corpus 'held': a sequence has 257 tokens; allowed: up to 256"
    ):
        scored_sequences(_text(long, tokens=257), loaded, "held")


def test_what_is_predicted_is_each_token_but_the_first_or_a_nano_functions_body(tiny_model):
    loaded = load_model(tiny_model("llama"), dtype="float32", device="cpu")
    (whole,) = scored_sequences(_text(LONG), loaded, "held")
    assert (whole.first, whole.positions) == (1, 29)
    prompt, body = 'def f(a):\n    """Add 1 to a."""', "\n    return a + 1"
    (function,) = scored_sequences(_text(prompt + body, source="nano", tokens=99), loaded, "held")
    assert loaded.tokenizer.decode(function.ids[function.first :]) == body
    asked = [ScoredSequence(function.ids, 1), function]
    (every, _), (last, targets) = predict(loaded, asked, "m")
    assert len(last) == len(targets) == function.positions
    assert every[-len(last) :].equal(last)
    cut = len(loaded.tokenizer(prompt).input_ids)
    with pytest.raises(CodewattError, match="ends before the first token that is predicted"):
        scored_sequences(_text(prompt + body, source="nano", tokens=cut), loaded, "held")
