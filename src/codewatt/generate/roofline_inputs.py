"""Inputs of the roofline: rates of this machine, FLOPs and bytes of the loaded model."""

import logging

from codewatt.errors import CodewattError
from codewatt.generate.engine import Engine
from codewatt.generate.generate_record import RooflineRecord
from codewatt.sizing.measured_machine import measure_machine

_LOG = logging.getLogger(__name__)


def describe_roofline(engine: Engine) -> RooflineRecord:
    """Measure the machine's rates and count the model's FLOPs and bytes.

    Returns:
        "machine": see `MachineRates`. "demand": see `Demand`; None for an architecture whose
        parameter counts are not known. "reason": why "demand" is None, else None.
    """
    machine = measure_machine(engine.loaded.device, engine.loaded.dtype).to_dict()
    try:
        demand = engine.demand().to_dict()
    except CodewattError as error:
        _LOG.warning("no roofline: %s", error)
        return {"machine": machine, "demand": None, "reason": str(error)}
    return {"machine": machine, "demand": demand, "reason": None}
