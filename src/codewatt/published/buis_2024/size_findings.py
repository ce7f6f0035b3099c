"""Finding on energy and model size in Buis 2024."""

from collections.abc import Iterator

import numpy as np

from codewatt.published.buis_2024.model.study_models import study_models
from codewatt.published.buis_2024.printed_tables import ThesisTables
from codewatt.published.buis_2024.published_runs import SIZES, read_runs
from codewatt.published.finding import HOLDS, Finding


def size_findings(tables: ThesisTables) -> Iterator[Finding]:
    """Whether energy is linear in the number of parameters."""
    runs, models = read_runs(tables), study_models()
    parameters = np.array(
        [models[f"Qwen2.5-{size}"].architecture.parameters for size in SIZES], dtype=float
    )
    values: dict[str, float] = {}
    for name, suffix in (("base", ""), ("instruct", "-Instruct")):
        joules = np.array([float(runs[f"{size}{suffix}"].j_per_token.middle) for size in SIZES])
        line = np.polyfit(parameters, joules, 1)
        residuals = joules - np.polyval(line, parameters)
        values[f"r2_{name}"] = 1 - float(residuals @ residuals / (joules.var() * joules.size))
        values[f"fixed_j_{name}"] = float(line[1])
        values[f"exponent_{name}"] = float(np.polyfit(np.log(parameters), np.log(joules), 1)[0])
        values[f"ratio_{name}"] = float(joules[-1] / joules[0])
    values["parameter_ratio"] = float(parameters[-1] / parameters[0])
    yield Finding(
        "energy_and_size",
        HOLDS,
        "Chapter 5: “energy consumption increases nearly linear with model size”.",
        "Energy per token of the five base models against their exact numbers of parameters: a "
        f"line with a constant has R2 = {values['r2_base']:.4f} (Instruct "
        f"{values['r2_instruct']:.4f}). It is linear, not proportional: "
        f"{values['parameter_ratio']:.0f} times the parameters take {values['ratio_base']:.0f} "
        f"times the energy, and the constant is {values['fixed_j_base']:.2f} J per token.",
        "A constant per token is energy that does not depend on the number of weights, so fewer "
        "bits cannot be expected to save it. Its share is larger for smaller models. Five sizes "
        "with one run each; the constant depends on the small models, whose energies have one or "
        "two printed digits.",
        values,
    )
