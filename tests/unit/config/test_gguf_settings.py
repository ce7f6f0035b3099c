"""Models from GGUF files in the study file: their keys, and one line for each that is wrong."""

import json

import pytest

from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.grid import Grid
from tests.support.good_study import changed

DIGEST = "0123456789abcdef" * 4
HUB = {
    "source": "hub", "repo": "a/b-GGUF", "revision": "0" * 40, "name": "sub/b-Instruct.Q4_K_M.gguf",
}  # fmt: skip
PACKAGE = {
    "source": "package", "package": "llm-b", "version": "0.1.2", "name": "llm_b/b.Q4_1.gguf",
    "sha256": DIGEST,
}  # fmt: skip
LOCAL = {"source": "path", "path": "models/b-chat.gguf"}


def grid(file, **keys):
    model = {"id": "m", "source": "gguf", "file": file, **keys}
    return Grid(validate(Study, changed(("models",), [model]), "study.yaml"), "study.yaml")


@pytest.mark.parametrize(
    ("file", "rule", "instruct"),
    [
        (HUB, "download_model", True),
        (PACKAGE, "download_model", None),
        (LOCAL, "fetch_model", True),
    ],
)
def test_each_place_is_accepted_and_made_by_its_rule(file, rule, instruct):
    found = grid(file)
    assert found.model_rule("m") == rule
    assert found.models_made_by(rule) == ["m"]
    assert found.is_instruct("m") is instruct
    assert grid(file, instruct=False).is_instruct("m") is False
    digest = file.get("sha256")
    assert json.loads(found.model_slice("m")) == {
        "source": "gguf", "dtype": "float32", "file": {**file, "sha256": digest},
    }  # fmt: skip


def test_what_the_study_says_of_a_model_does_not_make_its_weights_stale():
    assert grid(HUB).model_slice("m") == grid(HUB, layers=4, instruct=True).model_slice("m")
    assert grid(HUB).model_slice("m") != grid(HUB, dtype="bfloat16").model_slice("m")
    assert grid(HUB).model_slice("m") != grid({**HUB, "sha256": DIGEST}).model_slice("m")


def without(settings, key):
    return {name: value for name, value in settings.items() if name != key}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (without(PACKAGE, "sha256"), "models[0].file.sha256: required, but absent"),
        (without(PACKAGE, "version"), "models[0].file.version: required, but absent"),
        ({**HUB, "revision": "a b"}, "models[0].file.revision: 'a b' does not match"),
        (
            {**PACKAGE, "sha256": "abc"},
            "models[0].file.sha256: 'abc' does not match ^[0-9a-f]{64}$",
        ),
        ({**PACKAGE, "version": ">=1"}, "models[0].file.version: '>=1' does not match"),
        ({**PACKAGE, "package": "-r"}, "models[0].file.package: '-r' does not match"),
        ({**PACKAGE, "name": "../b.gguf"}, "models[0].file.name: '../b.gguf' does not match"),
        ({**PACKAGE, "name": "a/../b.gguf"}, "models[0].file.name: 'a/../b.gguf' does not match"),
        ({**HUB, "name": "/b.gguf"}, "models[0].file.name: '/b.gguf' does not match"),
        ({**HUB, "name": "model.safetensors"}, "models[0].file.name: 'model.safetensors' does not"),
        ({**LOCAL, "path": "{m}.gguf"}, "models[0].file.path: '{m}.gguf' contains a brace;"),
        (
            {**LOCAL, "name": "b.gguf"},
            "models[0].file.name: unknown key; allowed: path, sha256, source",
        ),
        (
            {"source": "pypi"},
            "models[0].file.source: 'pypi' is not allowed; allowed: hub, package, path",
        ),
        (
            {"path": "m.gguf"},
            "models[0].file.source: required, but absent; allowed: hub, package, ",
        ),
    ],
)
def test_wrong_keys_get_one_line(file, message):
    with pytest.raises(CodewattError) as refused:
        grid(file)
    assert str(refused.value).startswith(f"study.yaml: {message}")
    assert "\n" not in str(refused.value)
