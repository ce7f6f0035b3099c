"""The scripts under benchmarks/ use names that the package has; no other test runs them."""

import ast
import importlib
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[3] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_each_imported_name_exists(script: Path) -> None:
    names = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("codewatt")
        for alias in node.names
    ]
    for module, name in names:
        assert module is not None
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")
