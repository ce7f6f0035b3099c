"""Sampled decoding: draws follow the known distribution, and engines write the same samples."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from codewatt.generate.engine import DecodingParams, open_engine
from codewatt.generate.sampling import SampleSeeds, TokenSampler
from codewatt.models.generation_config import GenerationDefaults
from codewatt.models.loading import invalid_logits, load_model
from tests.unit.generate.test_graph_engine import ARCHITECTURES, PROMPTS

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = [(1.0, None), (0.7, None), (1.0, 0.8), (0.6, 0.9), (1.5, 0.5)]


def draw(logits, uniforms, temperature, top_p):
    """Tokens that the sampler draws from rows of logits."""
    import torch

    minima, maxima = logits.aminmax(dim=-1)
    sampler = TokenSampler(temperature, top_p)
    uniforms = torch.as_tensor(uniforms, dtype=torch.float64)
    return sampler.draw(logits, maxima, invalid_logits(minima, maxima), uniforms)


def distribution(logits, temperature, top_p):
    """The probabilities of the tokens, by numpy in float64."""
    weights = np.exp((logits - logits.max()) / temperature)
    share = weights / weights.sum()
    if top_p is not None:
        order = np.argsort(-share)
        before = np.cumsum(share[order]) - share[order]  # mass of the more likely tokens
        share[order[before >= top_p]] = 0
    return share / share.sum()


@pytest.mark.parametrize(("temperature", "top_p"), SETTINGS)
def test_draws_follow_the_softmax_with_temperature_and_top_p(temperature, top_p):
    import torch

    draws, vocabulary = 40_000, 12
    logits = np.random.default_rng(3).uniform(-1.5, 1.5, vocabulary).astype(np.float32)
    uniforms = SampleSeeds(seed=5).uniforms(1, draws, 1)[:, 0]
    rows = torch.from_numpy(logits).expand(draws, -1)
    tokens = draw(rows, uniforms, temperature, top_p).numpy()
    wanted = distribution(logits.astype(np.float64), temperature, top_p)
    counts = np.bincount(tokens, minlength=vocabulary)
    possible = wanted > 0
    assert counts[~possible].sum() == 0
    assert 3 < possible.sum() < (vocabulary if top_p else vocabulary + 1)
    assert stats.chisquare(counts[possible], draws * wanted[possible]).pvalue > 0.01


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_the_nucleus_is_that_of_transformers_warpers(temperature, top_p):
    """A grid of numbers between 0 and 1 draws every token that can be drawn, and no other."""
    import torch
    from transformers import TemperatureLogitsWarper, TopPLogitsWarper

    torch.manual_seed(1)
    grid = np.linspace(0, 1, 60_000, endpoint=False)
    for row in torch.randn(6, 50):
        warped = TemperatureLogitsWarper(temperature)(None, row[None])
        kept = TopPLogitsWarper(top_p)(None, warped)[0].isfinite()
        found = draw(row.expand(len(grid), -1), grid, temperature, top_p)
        assert set(found.tolist()) == set(kept.nonzero().flatten().tolist())


@pytest.mark.parametrize("top_p", [None, 0.9, 1e-9])
def test_the_ends_of_the_unit_interval_draw_tokens_that_have_a_probability(top_p):
    import torch

    ends = np.array([0.0, np.nextafter(1, 0)])
    masked = torch.tensor([[-np.inf, 0.0, 1.0, -np.inf], [-np.inf, 0.0, 1.0, -np.inf]])
    assert set(draw(masked, ends, 1.0, top_p).tolist()) <= {1, 2}
    wide = torch.zeros(2, 2**18)
    wide[:, 7] = 1e-3
    assert draw(wide, ends, 1.0, None).tolist() == [0, 2**18 - 1]
    huge = torch.tensor([[3e38, -3e38, 1.0]] * 2)
    assert draw(huge, ends, 0.001, top_p).tolist() == [0, 0]


def test_the_type_of_the_logits_changes_nothing_but_their_rounding():
    import torch

    logits = torch.randn(40, 64, generator=torch.Generator().manual_seed(2)).bfloat16()
    uniforms = SampleSeeds().uniforms(40, 1, 1)[:, 0]
    for top_p in (None, 0.8):
        wanted = draw(logits.float(), uniforms, 0.8, top_p).tolist()
        assert draw(logits, uniforms, 0.8, top_p).tolist() == wanted


def test_random_numbers_are_those_of_numpys_generator_on_the_same_stream():
    numbers = SampleSeeds(seed=9, first_task=4).uniforms(2, 3, 5)
    bits = np.random.Philox(key=9, counter=[0, 2, 4 + 1, 0])
    assert numbers.shape == (6, 5)
    assert numbers[5].tolist() == np.random.Generator(bits).random(5).tolist()


def test_random_numbers_depend_on_the_task_and_not_on_its_batch():
    whole = SampleSeeds(3, 0).uniforms(4, 2, 6)
    apart = [SampleSeeds(3, first).uniforms(2, 2, 6) for first in (0, 2)]
    assert np.array_equal(np.concatenate(apart), whole)
    assert np.array_equal(SampleSeeds(3, 0).uniforms(4, 1, 3)[:, :3], whole[::2, :3])
    assert len(np.unique(np.concatenate([whole, SampleSeeds(4, 0).uniforms(4, 2, 6)]))) == 96
    seeds = SampleSeeds(3, 0).request_seeds(4, 2)
    assert seeds[2:4] == SampleSeeds(3, 1).request_seeds(1, 2)
    assert len(set(seeds)) == 8
    assert all(0 <= seed < 2**31 for seed in seeds)


SAMPLED = DecodingParams(token_limit=20, stop_strings=(), samples=3, temperature=1.0, top_p=0.95)


def complete(name, loaded, prompts=PROMPTS, seed=0, first_task=0, decoding=SAMPLED):
    """(prompt, sample, tokens, stop reason, tokens of the prompt) of each completion."""
    engine = open_engine(name, loaded, lambda: None)
    engine.prepare([prompts], decoding)
    batch = engine.complete(prompts, decoding, SampleSeeds(seed, first_task))
    for done in batch.completions:
        assert batch.start_s <= done.first_token_s <= done.end_s <= batch.end_s
    return [
        (c.prompt_index, c.sample, c.tokens, c.stop_reason, c.prompt_tokens)
        for c in batch.completions
    ]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def loaded(request, tiny_model):
    return load_model(tiny_model(request.param), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def starcoder(tiny_model):
    return load_model(tiny_model("starcoder2"), dtype="float32", device="cpu")


@pytest.mark.parametrize("top_p", [None, 0.9])
def test_graph_and_transformers_write_the_same_samples(loaded, top_p):
    decoding = replace(SAMPLED, top_p=top_p)
    ours, theirs = (complete(name, loaded, decoding=decoding) for name in ("graph", "transformers"))
    assert ours == theirs
    assert [(index, sample) for index, sample, *_ in ours] == [
        (index, sample) for index in range(len(PROMPTS)) for sample in range(3)
    ]


@pytest.mark.parametrize("engine", ["transformers", "graph"])
def test_a_seed_names_the_completions_and_samples_differ(starcoder, engine):
    first = complete(engine, starcoder)
    assert first == complete(engine, starcoder) != complete(engine, starcoder, seed=1)
    for index in range(len(PROMPTS)):
        assert len({tuple(row[2]) for row in first if row[0] == index}) == 3


@pytest.mark.parametrize("engine", ["transformers", "graph"])
def test_a_completion_does_not_depend_on_its_batch(starcoder, engine):
    together = complete(engine, starcoder, PROMPTS)
    alone = [
        (index, *row[1:])
        for index, prompt in enumerate(PROMPTS)
        for row in complete(engine, starcoder, [prompt], first_task=index)
    ]
    assert alone == together


def test_samples_end_where_those_of_generate_end(loaded):
    """At end tokens and stop strings of the samples themselves."""
    free = complete("transformers", loaded)
    ending = replace(loaded, generation=GenerationDefaults((free[0][2][4],), "config.json"))
    text = loaded.tokenizer.decode(free[4][2])
    decoding = replace(SAMPLED, stop_strings=(text[5:7],))
    ours, theirs = (complete(name, ending, decoding=decoding) for name in ("graph", "transformers"))
    assert ours == theirs
    assert {"eos", "stop_string"} <= {reason for *_, reason, _ in ours}


def test_generate_draws_from_the_same_distribution(starcoder):
    """transformers' own sampling of the first token, against the engine's, by their frequencies."""
    import torch

    prompt, rows = "def add(a, b):", 3000
    decoding = replace(SAMPLED, token_limit=1, samples=rows, temperature=0.7, top_p=0.8)
    ours = [
        tokens[0] for _, _, tokens, *_ in complete("graph", starcoder, [prompt], 0, 0, decoding)
    ]
    ids = starcoder.tokenizer(prompt, return_tensors="pt")["input_ids"]
    torch.manual_seed(0)
    with torch.inference_mode():
        out = starcoder.model.generate(
            ids, max_new_tokens=1, do_sample=True, temperature=0.7, top_p=0.8, top_k=0,
            num_return_sequences=rows,
        )  # fmt: skip
    theirs = out[:, -1].tolist()
    vocabulary = starcoder.model.config.vocab_size
    counts = np.array([np.bincount(tokens, minlength=vocabulary) for tokens in (ours, theirs)])
    often = counts.sum(axis=0) >= 20
    table = np.column_stack([counts[:, often], counts[:, ~often].sum(axis=1)])
    assert stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue > 0.01
