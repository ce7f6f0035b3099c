"""`layers: until_zero` is a series of ordinary prune settings, as deep as each model allows."""

import copy

import pytest

from codewatt.cells import Grid
from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError

NANO = {"source": "nano", "architecture": "starcoder2"}
HUB = {"source": "hub", "repo": "a/b", "revision": "0" * 40}
SERIES = {"id": "last", "label": "last layers", "method": "last", "layers": "until_zero"}
STUDY = {
    "study": "small",
    "title": "A small study",
    "models": [{"id": "four", **NANO}, {"id": "two", **NANO, "layers": 2}],
    "prunes": [{"id": "full", "method": "none"}, SERIES],
    "precisions": [{"id": "fp32", "method": "none", "dtype": "float32"}],
    "benchmarks": [{"id": "nano", "kind": "nano"}],
    "token_limits": [24],
    "baseline": {"precision": "fp32", "prune": "full"},
}


def _study(**changes):
    return validate(Study, copy.deepcopy({**STUDY, **changes}), "study.yaml")


def _pairs(study):
    return [(cell.model, cell.prune) for cell in Grid(study).cells]


def _last(**settings):
    return [STUDY["prunes"][0], {**SERIES, **settings}]


def test_each_model_has_its_depths_up_to_its_last_layer():
    assert _pairs(_study()) == [
        ("four", "full"),
        ("four", "last-1"),
        ("four", "last-2"),
        ("four", "last-3"),
        ("two", "full"),
        ("two", "last-1"),
    ]


def test_a_depth_is_the_setting_that_a_study_would_give_by_hand():
    by_hand = {"id": "last-2", "label": "last layers: 2", "method": "last", "layers": 2}
    models = STUDY["models"][:1]
    spelled = _study(models=models).entries("prune")[2]
    assert spelled == _study(models=models, prunes=[STUDY["prunes"][0], by_hand]).prunes[1]
    assert Grid(_study()).settings("prune", "last-2") == {"method": "last", "layers": 2}


def test_a_depth_without_a_label_is_called_by_its_id():
    labels = Grid(_study(prunes=_last(label=None))).labels_slice()
    assert '"last-2": "last-2"' in labels.replace('":"', '": "')


def test_max_layers_ends_it_and_changes_no_depth():
    longer, shorter = Grid(_study()), Grid(_study(prunes=_last(max_layers=2)))
    assert [v.prune for v in shorter.variants if v.model == "four"] == ["full", "last-1", "last-2"]
    for variant in shorter.variants:
        assert shorter.quantise_slice(variant) == longer.quantise_slice(variant)
    assert _pairs(_study(prunes=_last(max_layers=9))) == _pairs(_study())


@pytest.mark.parametrize(
    ("method", "deepest"),
    [("last", 3), ("keep_last", 3), ("block_influence", 3), ("angular_distance", 3), ("sleb", 2)],
)
def test_every_method_has_its_depths(method, deepest):
    scored = {} if method in ("last", "keep_last") else {"calibration": "corpus"}
    series = {"id": "s", "method": method, "layers": "until_zero", **scored}
    corpora = [{"id": "corpus", "source": "nano"}] if scored else []
    study = _study(models=STUDY["models"][:1], prunes=[STUDY["prunes"][0], series], corpora=corpora)
    assert [prune for _, prune in _pairs(study)] == ["full"] + [
        f"s-{layers + 1}" for layers in range(deepest)
    ]
    assert Grid(study).settings("prune", "s-2") == {"method": method, "layers": 2, **scored}


def test_a_model_of_one_layer_has_no_depths():
    study = _study(models=[{"id": "one", **NANO, "layers": 1}])
    assert _pairs(study) == [("one", "full")]


def test_fixed_depths_stand_beside_it():
    fixed = {"id": "last3", "method": "last", "layers": 3}
    study = _study(models=STUDY["models"][:1], prunes=[*STUDY["prunes"], fixed])
    assert [prune for _, prune in _pairs(study)] == ["full", "last-1", "last-2", "last-3", "last3"]


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ({"prune": "last"}, ["full"]),
        ({"prune": ["last"], "model": "four"}, ["full"]),
        ({"prune": "last", "precision": "fp32", "token_limit": 24}, ["full"]),
        ({"prune": "last-2"}, ["full", "last-1", "last-3"]),
        ({"prune": ["full", "last-1"], "model": "four"}, ["last-2", "last-3"]),
        ({"prune": "last", "model": "two"}, ["full", "last-1", "last-2", "last-3"]),
    ],
)
def test_exclude_names_all_depths_or_one(exclude, left):
    study = _study(exclude=[exclude])
    assert [prune for model, prune in _pairs(study) if model == "four"] == left


def test_a_model_that_is_excluded_may_have_any_number_of_layers():
    models = [{"id": "two", **NANO, "layers": 2}, {"id": "hub", **HUB}]
    study = _study(models=models, exclude=[{"model": "hub", "prune": "last"}])
    assert _pairs(study) == [("two", "full"), ("two", "last-1"), ("hub", "full")]


def test_a_configuration_says_how_many_layers_there_are():
    random = {"id": "r", "source": "architecture", "config": {"num_hidden_layers": 3}}
    assert [prune for _, prune in _pairs(_study(models=[random]))] == ["full", "last-1", "last-2"]


BAD = {
    "layers of a hub model unknown": (
        {"models": [{"id": "hub", **HUB}]},
        "models[0].layers: required, but absent: it limits the depth of prune 'last'",
    ),
    "layers of a configuration unknown": (
        {"models": [{"id": "r", "source": "architecture", "config": {}}]},
        "models[0].config.num_hidden_layers: required, but absent",
    ),
    "another word": (
        {"prunes": _last(layers="until_nil")},
        "prunes[1].layers: 'until_nil' is not allowed; allowed: a number above 0, or 'until_zero'",
    ),
    "no layer": ({"prunes": _last(layers=0)}, "prunes[1].layers: 0 is not allowed; allowed: a num"),
    "a number as text": ({"prunes": _last(layers="2")}, "prunes[1].layers: '2' is not allowed"),
    "max_layers of a number": (
        {"prunes": _last(layers=1, max_layers=2)},
        "prunes[1]: max_layers is not allowed with layers: 1; allowed with: until_zero",
    ),
    "max_layers of none": ({"prunes": _last(max_layers=0)}, "prunes[1].max_layers: 0: input"),
    "a depth's id twice": (
        {"prunes": [*STUDY["prunes"], {"id": "last-2", "method": "last", "layers": 2}]},
        "prunes: duplicate id 'last-2'",
    ),
    "the series' id twice": (
        {"prunes": [*STUDY["prunes"], {"id": "last", "method": "last", "layers": 2}]},
        "prunes: duplicate id 'last'",
    ),
    "a long id": ({"prunes": _last(id="x" * 47)}, f"prune '{'x' * 47}': the ids of its depths"),
    "a depth that no model has": (
        {"exclude": [{"prune": "last-4"}]},
        "exclude[0].prune: no prune 'last-4' in this study; allowed: full, last-1, last-2, "
        "last-3, l",
    ),
    "a series as the baseline": (
        {"baseline": {"precision": "fp32", "prune": "last"}},
        "baseline.prune: no prune 'last' in this study",
    ),
    "a depth as the baseline": (
        {"baseline": {"precision": "fp32", "prune": "last-2"}},
        "baseline.prune: 'last-2' is a depth of 'last', a series that may end before it; "
        "allowed: full",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_series_say_what_where_and_what_is_allowed(name):
    changes, message = BAD[name]
    with pytest.raises(CodewattError) as caught:
        _study(**changes)
    assert str(caught.value).startswith("study.yaml: " + message)
    assert "\n" not in str(caught.value)
