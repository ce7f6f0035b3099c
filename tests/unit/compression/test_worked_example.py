"""The quantiser that CONTRIBUTING.md adds step by step works as it says."""

import re
import sys
import types

import pytest
from pydantic import ValidationError

from codewatt.config import compression_settings


@pytest.fixture
def blocks(repository):
    """The Python code blocks of CONTRIBUTING.md, in order."""
    return re.findall(
        r"^```python\n(.*?)^```", (repository / "CONTRIBUTING.md").read_text(), re.M | re.S
    )


def run(code, **names):
    namespace = dict(names)
    exec(compile(code, "CONTRIBUTING.md", "exec"), namespace)
    return namespace


def test_the_documented_test_passes_for_the_documented_quantiser(
    blocks, monkeypatch, tiny_model, tmp_path
):
    module = types.ModuleType("codewatt.quantise.rounded")
    module.__dict__.update(run(next(code for code in blocks if "QUANTISER" in code)))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    documented = run(next(code for code in blocks if "def test_" in code))
    test = documented["test_each_linear_layer_is_rounded_and_nothing_else"]
    test(tiny_model, tmp_path, "qwen2")


def test_the_documented_settings_are_checked(blocks):
    code = next(code for code in blocks if "class Rounded(Entry)" in code).split("Precision =")[0]
    settings = run(code, **vars(compression_settings))["Rounded"]
    good = {"id": "r", "method": "rounded", "bits": 4, "compute_dtype": "float32"}
    assert settings(**good).bits == 4
    with pytest.raises(ValidationError):
        settings(**{**good, "bits": 9})
