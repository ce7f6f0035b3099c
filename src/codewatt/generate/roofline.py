"""What a loaded model asks of this machine and what the machine can give, for the manifest."""

import logging
from typing import Any

from codewatt.errors import CodewattError
from codewatt.models.loading import Loaded
from codewatt.sizing.architecture import architecture_of
from codewatt.sizing.loaded import step_weight_bytes
from codewatt.sizing.machine import measure_machine
from codewatt.sizing.traffic import Demand

_LOG = logging.getLogger(__name__)


def describe_roofline(loaded: Loaded) -> dict[str, Any]:
    """Measure the machine and count the model.

    Returns:
        "machine": see `MachineRates`; "demand": see `Demand`, None for a model whose size is not
        known, with the "reason".
    """
    machine = measure_machine(loaded.device, loaded.dtype).to_dict()
    try:
        demand = _demand(loaded).to_dict()
    except CodewattError as error:
        _LOG.warning("no roofline: %s", error)
        return {"machine": machine, "demand": None, "reason": str(error)}
    return {"machine": machine, "demand": demand, "reason": None}


def _demand(loaded: Loaded) -> Demand:
    """The cache is kept in the dtype of what is not quantised."""
    import torch

    architecture = architecture_of(loaded.model.config.to_dict())
    return Demand.of(
        architecture,
        step_weight_bytes(loaded.model, architecture),
        getattr(torch, loaded.dtype).itemsize,
    )
