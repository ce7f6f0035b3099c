"""A study without a mistake, and copies of it with one."""

import copy
from typing import Any

GOOD: dict[str, Any] = {
    "study": "small",
    "title": "A small study",
    "models": [{"id": "m", "source": "nano", "architecture": "starcoder2"}],
    "prunes": [{"id": "full", "method": "none"}, {"id": "last1", "method": "last", "layers": 1}],
    "precisions": [
        {"id": "fp32", "method": "none", "dtype": "float32"},
        {
            "id": "nf4",
            "method": "bitsandbytes",
            "quant_type": "nf4",
            "compute_dtype": "float32",
        },
    ],
    "benchmarks": [{"id": "nano", "kind": "nano"}],
    "corpora": [{"id": "t", "source": "nano"}],
    "token_limits": [48],
    "baseline": {"precision": "fp32", "prune": "full"},
}

TORCHAO = {"id": "nf4", "method": "torchao"}
GGUF = {"id": "nf4", "method": "gguf", "quant_type": "Q8_0"}
GPTQ = {"id": "nf4", "method": "gptq", "bits": 4, "compute_dtype": "float16"}


def changed(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The good study with one key set (or removed, with value `...`)."""
    study: Any = copy.deepcopy(GOOD)
    at = study
    for part in path[:-1]:
        at = at[part]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    found: dict[str, Any] = study
    return found
