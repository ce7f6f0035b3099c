"""Layers are scored as the papers say: by plain computations, and where layers do nothing."""

import itertools
import math
from types import SimpleNamespace

import pytest

from codewatt.corpora.prepare_corpus import prepare_corpus
from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json
from codewatt.models.decoder_layers import LayeredModel, decoder_layers
from codewatt.models.fetch import model_manifest
from codewatt.models.loading import load_model
from codewatt.prune.pruner import open_pruner
from codewatt.prune.remove_layers import remove_layers
from codewatt.prune.score_layers import score_layers, scoring_dtype
from codewatt.quantise.quantise_variant import quantise_variant
from tests.support.architectures import ARCHITECTURES, VOCABULARY
from tests.support.models import save_tiny_model
from tests.support.records import MADE

METHODS = ("block_influence", "angular_distance", "sleb")
#: What writes into the residual stream, by parts of the parameters' names.
WRITERS = ("o_proj", "down_proj", "c_proj", "dense", "fc2")
ENERGY = {"nvml_interval_s": 0.02, "codecarbon_interval_s": 0.1}
TEXT = {"id": "t", "source": "nano", "part": "calibration", "samples": 6, "tokens": 64, "seed": 0}


@pytest.fixture(scope="module")
def random_ids():
    """Sequences of two lengths."""
    import torch

    torch.manual_seed(3)
    return [torch.randint(1, VOCABULARY, (n,)).tolist() for n in (12, 20, 12, 20, 20)]


def _load(directory):
    return load_model(directory, dtype="float32", device="cpu").model


def _learn(model, layer, ids):
    """Train one layer to know a text by heart, so that the model is worse without it."""
    import torch

    batch = torch.tensor(ids)
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-2)
    for _ in range(20):
        model(batch, labels=batch).loss.backward()
        optimiser.step()
        model.zero_grad()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_layer_that_does_nothing_goes_first(tiny_model, random_ids, architecture):
    import torch

    model = _load(tiny_model(architecture))
    layers = decoder_layers(model)
    with torch.no_grad():
        for name, values in layers[2].named_parameters():
            if any(part in name for part in WRITERS):
                values.zero_()
    known = random_ids[::2]
    _learn(model, layers[1], [ids[:12] for ids in known])
    layered = LayeredModel(model, known, "cpu")
    scores = {method: open_pruner(method).score(layered) for method in METHODS}
    assert scores["block_influence"]["block_influence"][2] == 0
    assert scores["angular_distance"]["distance"][2][0] == 0
    first = scores["sleb"]["steps"][0]["perplexity"]
    assert first["2"] == scores["sleb"]["perplexity"] < first["1"]
    for method, found in scores.items():
        assert found["removed"]["1"] == [2], method


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_removed_at_each_depth(tiny_model, random_ids, architecture):
    layered = LayeredModel(_load(tiny_model(architecture)), random_ids, "cpu")
    removed = {method: open_pruner(method).score(layered)["removed"] for method in METHODS}
    for method, depths in removed.items():
        most = 2 if method == "sleb" else 3
        assert list(depths) == [str(n) for n in range(1, most + 1)]
        assert all(len(set(layers)) == int(n) for n, layers in depths.items())
    for smaller, larger in itertools.pairwise(("1", "2", "3")):
        influence = removed["block_influence"]
        assert influence[larger][: int(smaller)] == influence[smaller]
        block = removed["angular_distance"][larger]
        assert block == list(range(block[0], block[0] + int(larger)))
    assert removed["sleb"]["2"][:1] == removed["sleb"]["1"]
    assert sorted(removed["sleb"]["2"]) == [1, 2], "the first and the last layer always stay"


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "starcoder2"])
def test_scores_equal_the_papers_formulas(tiny_model, random_ids, architecture):
    """On transformers' own hidden states, of which only the last is another: it is normed."""
    import torch

    model = _load(tiny_model(architecture))
    layered = LayeredModel(model, random_ids, "cpu")
    influence = open_pruner("block_influence").score(layered)["block_influence"]
    distance = open_pruner("angular_distance").score(layered)["distance"]
    with torch.inference_mode():
        outputs = [
            model(torch.tensor([ids]), output_hidden_states=True).hidden_states
            for ids in random_ids
        ]

    def cosine(x, y):
        return torch.nn.functional.cosine_similarity(x.double(), y.double(), dim=-1)

    for layer in range(3):
        cosines = torch.cat([cosine(h[layer], h[layer + 1])[0] for h in outputs])
        assert influence[layer] == pytest.approx(1 - cosines.mean().item(), abs=1e-6)
        for n in range(1, 4 - layer):
            last = torch.stack([cosine(h[layer][0, -1], h[layer + n][0, -1]) for h in outputs])
            wanted = (torch.arccos(last) / math.pi).mean().item()
            assert distance[layer][n - 1] == pytest.approx(wanted, abs=1e-6)
    assert [len(row) for row in distance] == [4, 3, 2, 1]
    states = next(layered.hidden_states())
    assert len(states) == 5
    norm = getattr(model.base_model, "norm", None) or model.base_model.final_layer_norm
    with torch.inference_mode():
        normed = model(torch.tensor(random_ids[:1]), output_hidden_states=True).hidden_states[-1]
        assert torch.allclose(norm(states[-1])[:1], normed, atol=1e-5)


def test_sleb_tries_what_is_then_removed(tiny_model, random_ids, tmp_path):
    """Each perplexity is that of a model pruned so, by transformers' own loss."""
    import torch

    source = tiny_model("qwen2")
    scores = open_pruner("sleb").score(LayeredModel(_load(source), random_ids, "cpu"))
    gone = []
    for step in scores["steps"]:
        for layer, found in step["perplexity"].items():
            target = tmp_path / "-".join(map(str, [*gone, layer]))
            remove_layers(source, target, [n for n in range(4) if n not in (*gone, int(layer))])
            model = _load(target)
            with torch.inference_mode():
                losses = [
                    (model(ids, labels=ids).loss.item() * (ids.shape[1] - 1), ids.shape[1] - 1)
                    for ids in (torch.tensor([ids]) for ids in random_ids)
                ]
            total, tokens = map(sum, zip(*losses, strict=True))
            assert found == pytest.approx(math.exp(total / tokens), rel=1e-5)
        least = min(step["perplexity"], key=step["perplexity"].get)
        assert step["removed"] == int(least)
        gone.append(int(least))
    assert scores["removed"] == {"1": gone[:1], "2": gone}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_skipped_layers_equal_removed_ones(tiny_model, random_ids, tmp_path, architecture):
    """Wherever they stand; afterwards the model is whole again."""
    import torch

    source = tiny_model(architecture)
    model = _load(source)
    layered = LayeredModel(model, random_ids, "cpu")
    whole = layered.perplexity()
    for gone in ([0], [1, 2], [0, 3], [1, 2, 3]):
        target = tmp_path / "-".join(map(str, gone))
        remove_layers(source, target, [n for n in range(4) if n not in gone])
        pruned = LayeredModel(_load(target), random_ids, "cpu")
        assert layered.perplexity(without=gone) == pruned.perplexity() != whole
        with torch.inference_mode():
            states, left = next(layered.hidden_states()), next(pruned.hidden_states())
        assert len(left) == 5 - len(gone)
        assert torch.equal(states[0], left[0])
    assert layered.perplexity() == whole


KINDS = {
    "gemma2": {"num_key_value_heads": 2, "head_dim": 16, "sliding_window": 4},
    "qwen2": {
        "num_key_value_heads": 2,
        "use_sliding_window": True,
        "sliding_window": 4,
        "max_window_layers": 2,
    },
}
#: Every second layer of Gemma 2 has a window from the first on, of Qwen 2 all from the third on.
WINDOWED = {"gemma2": [True, False, True, False], "qwen2": [False, False, True, True]}


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("architecture", KINDS)
def test_layers_stay_of_their_kind(random_ids, tmp_path, architecture, listed):
    """Also where config.json leaves it to transformers to derive the kinds from layer numbers."""
    source = tmp_path / "source"
    save_tiny_model(architecture, source, **KINDS[architecture])
    config = read_json(source / "config.json")
    assert config["layer_types"]
    if not listed:
        del config["layer_types"]
    write_json(source / "config.json", config)
    model = _load(source)
    layered = LayeredModel(model, random_ids, "cpu")
    for gone in ([0], [1], [3], [1, 2], [0, 1], [0, 3]):
        kept = [n for n in range(4) if n not in gone]
        target = tmp_path / "-".join(map(str, gone))
        remove_layers(source, target, kept)
        pruned = _load(target)
        windowed = [kind == "sliding_attention" for kind in pruned.config.layer_types]
        assert windowed == [WINDOWED[architecture][n] for n in kept]
        assert LayeredModel(pruned, random_ids, "cpu").perplexity() == layered.perplexity(gone)
        if architecture == "qwen2":  # other readers go by the number
            assert read_json(target / "config.json")["max_window_layers"] == len({0, 1} & {*kept})


def test_batches_change_nothing(tiny_model, random_ids):
    model = _load(tiny_model("llama"))
    together = LayeredModel(model, random_ids, "cpu").perplexity()
    alone = [LayeredModel(model, [ids], "cpu").perplexity() for ids in random_ids]
    weights = [len(ids) - 1 for ids in random_ids]
    logs = sum(n * math.log(each) for n, each in zip(weights, alone, strict=True))
    assert together == pytest.approx(math.exp(logs / sum(weights)))


def test_perplexity_is_taken_of_the_tokens_that_are_judged(tiny_model, random_ids):
    import torch

    model = _load(tiny_model("qwen2"))
    first = [1, 12, 5, 19, 30]
    found = LayeredModel(model, random_ids, "cpu", first).perplexity()
    losses = []
    for ids, start in zip(random_ids, first, strict=True):
        with torch.inference_mode():
            chances = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        losses += [-chances[at - 1, ids[at]].item() for at in range(start, len(ids))]
    assert len(losses) == 11 + 8 + 7 + 1
    assert found == pytest.approx(math.exp(sum(losses) / len(losses)))
    with pytest.raises(CodewattError, match="every sequence ends before the first token"):
        LayeredModel(model, random_ids, "cpu", [40] * 5).perplexity()


def test_layers_that_cannot_be_told_are_refused():
    import torch

    class Loose(torch.nn.Module):
        """Layers with something between them."""

        def __init__(self, count):
            super().__init__()
            self.config = SimpleNamespace(num_hidden_layers=count)
            self.layers = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(2))
            self.base_model = self.forward

        def forward(self, input_ids, use_cache):
            states = input_ids[..., None].float().expand(-1, -1, 4)
            for layer in self.layers:
                states = layer(states) + 1
            return states

    with pytest.raises(
        CodewattError,
        match="Loose: 0 module lists 'layers' or 'h' of num_hidden_layers = 3 modules",
    ):
        LayeredModel(Loose(3), [[1, 2]], "cpu")
    with pytest.raises(
        CodewattError, match="Loose: the output of a decoder layer is not the input"
    ):
        LayeredModel(Loose(2), [[1, 2]], "cpu")


def test_sequences_longer_than_the_model_can_read_are_refused(tiny_model):
    model = _load(tiny_model("llama"))
    with pytest.raises(
        CodewattError, match="a sequence has 257 tokens; allowed: up to 256, the model's"
    ):
        LayeredModel(model, [[1, 2], [1] * 257], "cpu")


def test_overflowing_states_are_refused(tiny_model, random_ids):
    import torch

    model = _load(tiny_model("llama"))
    with torch.no_grad():
        decoder_layers(model)[1].mlp.down_proj.weight.fill_(float("nan"))
    layered = LayeredModel(model, random_ids, "cpu")
    with pytest.raises(CodewattError, match="block influence of layer 1 is nan"):
        open_pruner("block_influence").score(layered)
    with pytest.raises(CodewattError, match=r"perplexity without layers \[\]: .* is nan; allowed"):
        open_pruner("sleb").score(layered)


@pytest.mark.parametrize(
    ("stored", "device", "dtype"),
    [
        (["BF16"], "cuda", "bfloat16"),
        (["F16", "F32"], "cuda", "float16"),
        (["F32"], "cuda", "float32"),
        (["BF16"], "cpu", "float32"),
    ],
)
def test_models_are_scored_in_the_checkpoints_type(stored, device, dtype):
    assert scoring_dtype(stored, device) == dtype


def test_packed_weights_are_not_scored():
    with pytest.raises(CodewattError, match="weights have dtype I32; allowed: BF16, F16, F32"):
        scoring_dtype(["I32"], "cuda")


def test_scored_once_and_pruned_by_it(tiny_model, tmp_path):
    """The two stages: a file of scores, and a variant of the layers that it leaves."""
    source = tiny_model("starcoder2")
    manifest = model_manifest({"source": "path"}, source, meaningful_accuracy=True)
    write_json(tmp_path / "model.json", {**manifest, **MADE})
    documents = tmp_path / "documents.jsonl.gz"
    prepare_corpus(TEXT, documents)
    settings = {"model": "m", "method": "block_influence", "corpus": TEXT, "device": "cpu"}
    scores = score_layers(
        {**settings, "energy": ENERGY}, tmp_path / "model.json", documents, tmp_path / "t.parquet"
    )
    assert scores["layers"] == 4
    assert scores["sequences"] == 6
    assert 6 <= scores["judged_tokens"] < scores["tokens"], "bodies, not prompts"
    assert scores["corpus"]["sha256"]
    assert scores["duration_s"] > 0
    assert (tmp_path / "t.parquet").is_file()
    write_json(tmp_path / "scores.json", {**scores, **MADE})
    prune = {"method": "block_influence", "layers": 2, "calibration": "t"}
    study = {
        "variant": {"model": "m", "prune": "p", "precision": "fp32"},
        "prune": prune,
        "precision": {"method": "none", "dtype": "float32"},
        "corpora": [TEXT],
        "device": "cpu",
        "energy": ENERGY,
    }

    def quantised(settings):
        files = (tmp_path / "model.json", [documents], tmp_path / "scores.json")
        return quantise_variant(settings, *files, tmp_path / "weights", tmp_path / "v.parquet")

    made = quantised(study)
    gone = scores["removed"]["2"]
    assert made["kept_layers"] == [n for n in range(4) if n not in gone]
    assert made["layers"] == 2
    with pytest.raises(
        CodewattError,
        match="influence: cannot remove 4 layers, the model has 4; allowed: layers from 1 to 3",
    ):
        quantised({**study, "prune": {**prune, "layers": 4}})
    write_json(tmp_path / "scores.json", {**scores, **MADE, "layers": 5})
    with pytest.raises(CodewattError, match=r"scores\.json: scores of 5 layers; the model has 4"):
        quantised(study)


def test_gpu_scores_are_near_the_cpus(tiny_model, random_ids):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU here")
    source = tiny_model("starcoder2")
    on_gpu = load_model(source, dtype="bfloat16", device="cuda").model
    here = LayeredModel(_load(source), random_ids, "cpu")
    there = LayeredModel(on_gpu, random_ids, "cuda")
    influence = [open_pruner("block_influence").score(m)["block_influence"] for m in (here, there)]
    assert influence[1] == pytest.approx(influence[0], rel=0.05)
    distance = [open_pruner("angular_distance").score(m)["distance"][0] for m in (here, there)]
    assert distance[1] == pytest.approx(distance[0], rel=0.05)
    steps = [open_pruner("sleb").score(m)["steps"][0]["perplexity"] for m in (here, there)]
    assert steps[1] == pytest.approx(steps[0], rel=0.05)
