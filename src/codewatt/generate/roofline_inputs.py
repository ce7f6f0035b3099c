"""What a loaded model asks of this machine and what the machine can give, for the manifest."""

import logging

from codewatt.errors import CodewattError
from codewatt.generate.engine import Engine
from codewatt.generate.generate_record import RooflineRecord
from codewatt.sizing.measured_machine import measure_machine

_LOG = logging.getLogger(__name__)


def describe_roofline(engine: Engine) -> RooflineRecord:
    """Measure the machine and count the model.

    Returns:
        "machine": see `MachineRates`; "demand": see `Demand`, None for a model whose size is not
        known, with the "reason".
    """
    machine = measure_machine(engine.loaded.device, engine.loaded.dtype).to_dict()
    try:
        demand = engine.demand().to_dict()
    except CodewattError as error:
        _LOG.warning("no roofline: %s", error)
        return {"machine": machine, "demand": None, "reason": str(error)}
    return {"machine": machine, "demand": demand, "reason": None}
