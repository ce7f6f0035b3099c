"""Labels of models, precisions and so on, as figures and pages show them."""

from collections.abc import Mapping
from typing import Any

#: kind ("model", "precision", "prune", "benchmark", ...) -> id -> label.
Labels = Mapping[str, Mapping[str, str]]

COMPONENT_NAMES = {"gpu": "GPU", "cpu": "CPU", "dram": "DRAM"}
BOUNDARY_NAMES = {
    "node": "the whole node",
    "job": "the job's CPU share of the node",
    "gpu": "the GPU alone",
}


def label(labels: Labels, kind: str, value: Any) -> str:
    """The label of an id; the id itself if it has no label."""
    return labels.get(kind, {}).get(str(value)) or str(value)
