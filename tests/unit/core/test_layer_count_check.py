"""What a study says of a model's layers is compared with the model, as soon as it is here."""

import json

import pytest

from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.files import write_json
from codewatt.grid import Grid
from codewatt.layer_count_check import check_declared_layers
from codewatt.paths import Paths
from tests.support.records import model_record

HUB = {"id": "m", "source": "hub", "repo": "o/n", "revision": "0" * 40}
FOUR = "study.yaml: model 'm': layers: 3, but its config.json has 4; allowed: 4"


def _check(root, model, layers):
    values = {
        "study": "small",
        "title": "A small study",
        "models": [{**model, "layers": layers}],
        "prunes": [{"id": "full", "method": "none"}, {"id": "p", "method": "last", "layers": 1}],
        "precisions": [{"id": "fp32", "method": "none", "dtype": "float32"}],
        "benchmarks": [{"id": "nano", "kind": "nano"}],
        "token_limits": [24],
        "baseline": {"precision": "fp32", "prune": "full"},
    }
    grid = Grid(validate(Study, values, "study.yaml"), "study.yaml")
    paths = Paths.of(root, grid.study)
    check_declared_layers(grid, paths)
    return grid, paths


@pytest.mark.parametrize("key", ["num_hidden_layers", "n_layer"])
def test_a_path_model_is_compared_before_any_job(tmp_path, key):
    model = {"id": "m", "source": "path", "path": str(tmp_path)}
    _check(tmp_path, model, 3)  # not there yet: fetch_model says so
    write_json(tmp_path / "config.json", {key: 4})
    for right in (4, None):
        _check(tmp_path, model, right)
    with pytest.raises(CodewattError) as refused:
        _check(tmp_path, model, 3)
    assert str(refused.value) == FOUR


def test_a_hub_model_is_compared_once_it_was_fetched(tmp_path):
    grid, paths = _check(tmp_path, HUB, 3)
    fetched = model_record(source=json.loads(grid.model_slice("m")), layers=4)
    write_json(paths.model("m"), fetched)
    for right in (4, None):
        _check(tmp_path, HUB, right)
    with pytest.raises(CodewattError) as refused:
        _check(tmp_path, HUB, 3)
    assert str(refused.value) == FOUR
    _check(tmp_path, {**HUB, "revision": "1" * 40}, 3)  # another one, to be fetched
