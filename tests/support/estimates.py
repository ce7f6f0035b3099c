"""Studies to be estimated, and their plans."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from codewatt.cli import main
from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.estimate.job_plan import Plan
from codewatt.grid import Grid
from codewatt.paths import Paths
from codewatt.sizing.gpu_datasheets import get_gpu
from codewatt.sizing.parameter_counts import Architecture, architecture_of
from tests.support.workbench import SMALL

HUB = {
    "id": "m", "source": "hub", "repo": "Qwen/Qwen2.5-Coder-1.5B", "revision": "0" * 40,
}  # fmt: skip
ON_A_GPU = {
    "device": "cuda",
    "models": [HUB],
    "benchmarks": [{"id": "he", "kind": "humaneval_plus"}],
    "exclude": [],
    "precisions": [
        {"id": "fp32", "method": "none", "dtype": "float32"},
        {"id": "nf4", "method": "bitsandbytes", "quant_type": "nf4", "compute_dtype": "bfloat16"},
    ],
}


def study(**changes: Any) -> dict[str, Any]:
    """The small study with other values."""
    return {**copy.deepcopy(SMALL), **changes}


def planned(
    values: dict[str, Any], results: Path, gpu: str | None = "l40s", cores: int = 8
) -> Plan:
    """A study's plan: on its own hardware, else on one card; None: on CPUs."""
    grid = Grid(validate(Study, values, "study.yaml"))
    cards = {None: None if gpu is None else get_gpu(gpu)}
    if grid.study.hardware:
        cards = {name: get_gpu(name) for name in grid.study.hardware}
    return Plan(grid, Paths.of(results, grid.study), cards, cores)


def pruned_architecture(config: dict[str, Any], layers_removed: int) -> Architecture:
    """The architecture of a model without its last layers."""
    kept = config["num_hidden_layers"] - layers_removed
    return architecture_of({**config, "num_hidden_layers": kept})


def written(folder: Path, **changes: Any) -> Path:
    """The file of the small study with other values."""
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(study(**changes), sort_keys=False))
    return file


def estimated(capsys: pytest.CaptureFixture[str], file: Path, *options: str) -> Any:
    """What `codewatt estimate --json` says of a study's file."""
    assert main(["estimate", str(file), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)
