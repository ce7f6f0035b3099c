"""Record the part of vLLM's interface that codewatt uses, from vLLM's source, without running it.

Usage: python tools/vllm_api.py DIRECTORY, an unpacked source distribution:

    pip download --no-deps --no-binary vllm vllm==VERSION

The record (tests/fixtures/vllm/api-VERSION.json) is what the double in tests/support/vllm.py is
built from: names, parameters and fields as the source has them, nothing added by hand.
"""

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "vllm"
# Classes whose fields, methods or attributes the engine touches, and where they stand.
CLASSES = {
    "LLM": "vllm/entrypoints/llm.py",
    "EngineArgs": "vllm/engine/arg_utils.py",
    "SamplingParams": "vllm/sampling_params.py",
    "TokensPrompt": "vllm/inputs/llm.py",
    "RequestOutput": "vllm/outputs.py",
    "CompletionOutput": "vllm/outputs.py",
    "RequestStateStats": "vllm/v1/metrics/stats.py",
    "LLMEngine": "vllm/v1/engine/llm_engine.py",
    "VllmConfig": "vllm/config/vllm.py",
    "ModelConfig": "vllm/config/model.py",
    "CacheConfig": "vllm/config/cache.py",
    "SchedulerConfig": "vllm/config/scheduler.py",
    "Platform": "vllm/platforms/interface.py",
}
METHODS = {"LLM": ("__init__", "generate", "apply_model"), "RequestOutput": ("__init__",)}
# Statements that fix what a time means, by file and the name that they assign.
CLOCK = {
    "EngineCoreOutputs.timestamp": ("vllm/v1/engine/__init__.py", "self.timestamp"),
    "RequestStateStats.first_token_ts": (
        "vllm/v1/metrics/stats.py",
        "req_stats.first_token_ts",
    ),
    "RequestStateStats.last_token_ts": ("vllm/v1/metrics/stats.py", "req_stats.last_token_ts"),
}


def record(root: Path) -> dict[str, Any]:
    """All that is recorded of the source under `root`."""
    version = re.search(r"^Version: (\S+)", (root / "PKG-INFO").read_text(), re.MULTILINE)
    if version is None:
        raise SystemExit(f"{root}: PKG-INFO names no version")
    parse = {path: ast.parse((root / path).read_text()) for path in set(CLASSES.values())}
    return {
        "version": version[1],
        "exports": _exports(root),
        "classes": {
            name: _described(_class(parse[path], name), METHODS.get(name, ()))
            for name, path in CLASSES.items()
        },
        "environment": _environment(root),
        "finish_reasons": _literal_of(root, "vllm/v1/engine/__init__.py", "FINISH_REASON_STRINGS"),
        "quantisation_methods": _strings(
            _assigned(root, "vllm/model_executor/layers/quantization/__init__.py")[
                "QuantizationMethods"
            ]
        ),
        "clock": {
            name: _assignments(ast.parse((root / path).read_text()), target)
            for name, (path, target) in CLOCK.items()
        },
    }


def _class(tree: ast.Module, name: str) -> ast.ClassDef:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    raise SystemExit(f"class {name} is not where it was: mend CLASSES")


def _described(node: ast.ClassDef, methods: tuple[str, ...]) -> dict[str, Any]:
    """Annotated fields, attributes set in __init__, and the parameters of some methods."""
    functions = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    missing = [name for name in methods if name not in functions]
    if missing:
        raise SystemExit(f"{node.name} has no {', '.join(missing)} any more: mend METHODS")
    return {
        "fields": [
            item.target.id
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        ],
        "attributes": sorted(_set_on_self(functions.get("__init__"))),
        "methods": {name: _parameters(functions[name].args) for name in methods},
    }


def _set_on_self(function: ast.FunctionDef | None) -> set[str]:
    return {
        node.attr
        for node in (ast.walk(function) if function else ())
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def _parameters(arguments: ast.arguments) -> dict[str, Any]:
    """Names that may be passed by position, names by keyword only, and whether any other."""
    return {
        "positional": [item.arg for item in [*arguments.posonlyargs, *arguments.args]][1:],
        "keyword": [item.arg for item in arguments.kwonlyargs],
        "others": arguments.kwarg is not None,
    }


def _assigned(root: Path, path: str) -> dict[str, ast.expr]:
    """Module-level NAME = value."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(ast.parse((root / path).read_text())):
        if isinstance(node, ast.Assign):
            found |= {t.id: node.value for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


def _literal_of(root: Path, path: str, name: str) -> Any:
    return list(ast.literal_eval(_assigned(root, path)[name]))


def _strings(node: ast.expr) -> list[str]:
    """The strings in an expression, in their order."""
    return [
        item.value
        for item in ast.walk(node)
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    ]


def _exports(root: Path) -> list[str]:
    """What `from vllm import ...` finds."""
    return sorted(ast.literal_eval(_assigned(root, "vllm/__init__.py")["MODULE_ATTRS"]))


def _environment(root: Path) -> list[str]:
    """Environment variables that vLLM reads."""
    variables = _assigned(root, "vllm/envs.py")["environment_variables"]
    return sorted(
        item.value
        for item in getattr(variables, "keys", [])
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    )


def _assignments(tree: ast.Module, target: str) -> list[str]:
    """Every value that is assigned to `target`, as source text."""
    return [
        ast.unparse(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and target in map(ast.unparse, node.targets)
    ]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    made = record(Path(sys.argv[1]))
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for old in FIXTURES.glob("api-*.json"):
        old.unlink()
    path = FIXTURES / f"api-{made['version']}.json"
    path.write_text(json.dumps(made, indent=1) + "\n")
    print(path)
