"""Right sizes of the studies' models: against transformers, published counts and closed forms."""

import re

import pytest

from codewatt.published.buis_2024.model.figure_data import CACHE_TOKENS, figure_points
from codewatt.published.buis_2024.model.model_sizes import size_of
from codewatt.published.buis_2024.model.parameter_comparison import compare_model
from codewatt.published.buis_2024.model.study_models import study_models
from tests.unit.sizing.test_architecture import built

#: Parameters that the publishers state: the hub's count of the weight files, and for Pythia
#: Biderman et al. 2023 (arXiv:2304.01373).
PUBLISHED = {
    "Qwen2.5-0.5B": 494_032_768,
    "Qwen2.5-1.5B": 1_543_714_304,
    "Qwen2.5-3B": 3_085_938_688,
    "Qwen2.5-7B": 7_615_616_512,
    "Qwen2.5-14B": 14_770_033_664,
    "Qwen2.5-Coder-7B-Instruct": 7_615_616_512,
    "Llama-3.1-8B-Instruct": 8_030_261_248,
    "DeepSeek-Coder-V2-Lite-Instruct": 15_706_484_224,
    "StarCoder2-3B": 3_030_371_328,
    "StarCoder2-7B": 7_173_923_840,
    "Phi-2": 2_779_683_840,
    "Pythia-2.8B": 2_775_208_960,
}
#: Parameters by name in transformers -> the part.
PARTS = (
    (r"embed_tokens|embed_in", "input embedding"),
    (r"lm_head\.bias|(?<!norm)(?<!ln)\.bias$", "biases of layers and head"),
    (r"lm_head|embed_out", "output head"),
    (r"norm|_ln", "norms"),
    (r"self_attn|attention", "attention"),
    (r"mlp\.gate\.", "router"),
    (r"mlp", "feed-forward"),
)
NORM_BIAS = re.compile(r"(norm|_ln)\w*\.bias$|layernorm\.bias$")


def part_of(name: str) -> str:
    if NORM_BIAS.search(name):
        return "norms"
    return next(part for pattern, part in PARTS if re.search(pattern, name))


def test_every_model_of_both_studies_has_the_published_number_of_parameters() -> None:
    models = study_models()
    assert len(models) == 17
    for name, model in models.items():
        count = PUBLISHED[name if name in PUBLISHED else name.removesuffix("-Instruct")]
        assert model.architecture.parameters == model.known.parameters == count, name


@pytest.mark.parametrize("name", ["Qwen2.5-3B", "StarCoder2-3B", "Phi-2", "Pythia-2.8B"])
def test_every_part_is_that_of_the_model_that_transformers_builds(name: str) -> None:
    model = study_models()[name]
    counted: dict[str, int] = {}
    for parameter, weights in built(model.known.config).named_parameters():
        part = part_of(parameter)
        counted[part] = counted.get(part, 0) + weights.numel()
    found = {row.part: row.true for row in compare_model(model)}
    assert found.pop("position embedding") == 0
    assert found.pop("total") == sum(counted.values())
    assert {part: count for part, count in found.items() if count} == counted


def test_the_parts_of_the_mixture_of_experts_are_closed_forms() -> None:
    found = {r.part: r for r in compare_model(study_models()["DeepSeek-Coder-V2-Lite-Instruct"])}
    attention = 2048 * (16 * 192) + 2048 * (512 + 64) + 512 * 16 * (128 + 128) + 16 * 128 * 2048
    assert found["attention"].true == 27 * attention
    experts = found["experts and dense feed-forward"]
    gated = 3 * 2048 * 1408
    assert experts.true == 3 * 2048 * 10944 + 26 * (64 + 2) * gated
    assert found["router"].true == found["router"].printed == 26 * 2048 * 64
    # The factor 1.5 is the third matrix: without biases 3.15 is exact.
    assert gated == 2 * 2048 * (1.5 * 1408)
    assert experts.printed == 26 * 66 * (gated + 2112 + 2048)


def test_printed_formulas_are_exact_where_the_page_says_so() -> None:
    phi = {row.part: row for row in compare_model(study_models()["Phi-2"])}
    for part in ("input embedding", "attention", "norms"):
        assert phi[part].printed == phi[part].true
    # The head's bias is counted with the biases; so are those of the feed-forward network.
    assert phi["output head"].printed == phi["output head"].true + 51200
    assert phi["feed-forward"].meant == phi["feed-forward"].true + 32 * (10240 + 2560)
    for model in study_models().values():
        rows = {row.part: row for row in compare_model(model)}
        parts = [row for part, row in rows.items() if part != "total"]
        assert rows["total"].true == sum(row.true for row in parts)
        assert rows["total"].printed == sum(row.printed or 0 for row in parts)
        assert rows["total"].meant == sum(row.meant or 0 for row in parts)


def test_caches_are_closed_forms() -> None:
    sizes = {name: size_of(model) for name, model in study_models().items()}
    assert sizes["Qwen2.5-7B"].cache_true == 2 * 28 * 4 * 128 * 2
    assert sizes["Qwen2.5-7B"].cache_meant == 7 * sizes["Qwen2.5-7B"].cache_true
    assert sizes["DeepSeek-Coder-V2-Lite-Instruct"].cache_true == 27 * (512 + 64) * 2
    assert sizes["Phi-2"].cache_true == sizes["Phi-2"].cache_meant == 2 * 32 * 2560 * 2
    for name, size in sizes.items():
        n = PUBLISHED[name if name in PUBLISHED else name.removesuffix("-Instruct")]
        assert size.vram_true == 2 * n + 1320 * size.cache_true
        assert size.cache_printed > 1e8 * size.cache_true


def test_figure_4_4_fits_the_slopes_of_the_text_only_without_the_misprint() -> None:
    """Section 4.1.2: 1.875 GB for each sequence, and 0.67 GB for 10 heads."""
    points = {(p.variable, p.value): p for p in figure_points() if p.figure == "4.4"}
    assert CACHE_TOKENS == 32_768
    step = points["batch size", 2].true - points["batch size", 1].true
    assert step == 57_344 * 32_768 == pytest.approx(1.875e9, rel=0.003)
    heads = (points["heads", 28].true - points["heads", 14].true) / 14 * 10
    assert heads == pytest.approx(0.67e9, rel=0.003)
    assert points["batch size", 1].printed > 1e19


def test_figures_4_3_and_4_5_are_closed_forms() -> None:
    points = list(figure_points())
    parameters = {(p.variable, p.value): p for p in points if p.figure == "4.3"}
    own = 7_615_616_512
    layer = 3584 * 128 * (2 * 28 + 2 * 4) + 128 * (28 + 8) + 3 * 3584 * 18944 + 2 * 3584
    assert parameters["layers", 56].true == own + 28 * layer
    assert parameters["vocabulary", 2 * 152_064].true == own + 2 * 152_064 * 3584
    assert parameters["context", 256_000].true == own
    assert parameters["model_size", 7168].printed == pytest.approx(4 * 28 * (18944 * 3584) ** 2)
    vram = {(p.variable, p.value): p for p in points if p.figure == "4.5"}
    assert vram["bytes per parameter", 0.5].true == own / 2 + 57_344 * 32_768
    assert vram["groups", 7].true == vram["groups", 7].meant == 2 * own + 57_344 * 32_768
