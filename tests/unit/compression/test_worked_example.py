"""The quantiser that CONTRIBUTING.md adds step by step works as it says."""

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from pydantic import ValidationError

from codewatt.config import compression_settings
from codewatt.sizing import decode_rates, weight_bytes
from codewatt.sizing.parameter_counts import architecture_of

EXAMPLE = "codewatt.quantise.rounded"


@pytest.fixture
def blocks(repository):
    """The Python code blocks of CONTRIBUTING.md, in order."""
    return re.findall(
        r"^```python\n(.*?)^```", (repository / "CONTRIBUTING.md").read_text(), re.M | re.S
    )


@pytest.fixture
def quantiser(blocks, monkeypatch):
    """The code of the example's module, which is installed as codewatt.quantise.rounded."""
    code = next(code for code in blocks if "QUANTISER" in code)
    module = types.ModuleType(EXAMPLE)
    monkeypatch.setitem(sys.modules, EXAMPLE, module)
    exec(compile(code, "CONTRIBUTING.md", "exec"), module.__dict__)
    return code


def run(code, **names):
    namespace = dict(names)
    exec(compile(code, "CONTRIBUTING.md", "exec"), namespace)
    return namespace


@pytest.fixture
def documented_tests(quantiser, blocks):
    """The names of the example's own tests."""
    return run(next(code for code in blocks if "def test_each_linear" in code))


def test_the_documented_test_passes_for_the_documented_quantiser(
    documented_tests, tiny_model, tmp_path
):
    documented_tests["test_each_linear_layer_is_rounded_and_nothing_else"](
        tiny_model, tmp_path, "qwen2"
    )


def test_the_quantise_stage_writes_a_manifest_that_is_read_and_a_model_that_loads(
    documented_tests, tiny_model, tmp_path
):
    documented_tests["test_the_quantise_stage_makes_a_variant_that_loads"](tiny_model, tmp_path)


def test_the_documented_quantiser_has_the_types_of_its_interface(quantiser, repository, tmp_path):
    (tmp_path / "rounded.py").write_text(quantiser)
    settings = ["--config-file", str(repository / "pyproject.toml"), "--follow-imports", "silent"]
    # In a process of its own: mypy raises the recursion limit of the process that it runs in.
    mypy = [sys.executable, "-m", "mypy", *settings, str(tmp_path / "rounded.py")]
    done = subprocess.run(mypy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_documented_settings_are_checked(blocks):
    code = next(code for code in blocks if "class Rounded(Entry)" in code).split("Precision =")[0]
    settings = run(code, **vars(compression_settings))["Rounded"]
    good = {"id": "r", "method": "rounded", "bits": 4, "compute_dtype": "float32"}
    assert settings(**good).bits == 4
    with pytest.raises(ValidationError):
        settings(**{**good, "bits": 9})


def changed(module, blocks, monkeypatch):
    """The module of sizing after the documented change of one of its lines."""
    source = Path(module.__file__).read_text()
    for code in blocks:
        before = code.replace('method in ("none", "rounded")', 'method == "none"')
        if before != code and before in source:
            copy = types.ModuleType("changed")
            copy.__file__ = module.__file__
            monkeypatch.setitem(sys.modules, "changed", copy)  # where dataclasses look
            exec(compile(source.replace(before, code), module.__file__, "exec"), copy.__dict__)
            return copy
    raise AssertionError(f"CONTRIBUTING.md changes no line of {module.__file__}")


def test_the_documented_sizes_are_those_of_unquantised_weights(blocks, monkeypatch):
    model = architecture_of(
        {
            "model_type": "llama", "num_hidden_layers": 1, "hidden_size": 128,
            "num_attention_heads": 2, "intermediate_size": 256, "vocab_size": 10,
        }
    )  # fmt: skip
    rounded = {"method": "rounded", "bits": 4, "compute_dtype": "float16"}
    plain = {"method": "none", "dtype": "float16"}
    sizing = changed(weight_bytes, blocks, monkeypatch)
    assert vars(sizing.weight_bytes(model, rounded)) == vars(sizing.weight_bytes(model, plain))
    rates = changed(decode_rates, blocks, monkeypatch)
    assert rates.measured_kind(rounded) == rates.measured_kind(plain) == ("bfloat16", None)
