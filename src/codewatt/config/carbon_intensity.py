"""Carbon intensity of electricity by country, from the table in the CodeCarbon package.

It needs no network. The table's source is CodeCarbon's documentation, "Methodology".
"""

import importlib.metadata
import importlib.util
from pathlib import Path

from typing_extensions import TypedDict

from codewatt.errors import CodewattError
from codewatt.files import read_json
from codewatt.units import G_PER_KG, J_PER_KWH

_TABLE = "data/private_infra/global_energy_mix.json"


class CarbonIntensity(TypedDict):
    """The carbon intensity of a country's electricity, in gCO2e/kWh.

    country: ISO 3166 alpha-3 code. source: the table, its version and its year.
    """

    country: str
    g_per_kwh: float
    source: str


def carbon_intensity(country: str) -> CarbonIntensity:
    """Carbon intensity of a country's electricity, averaged over a year, in gCO2e/kWh.

    Args:
        country: ISO 3166 alpha-3 code.

    Raises:
        CodewattError: CodeCarbon is not installed, or the table has no such country.
    """
    # find_spec does not import CodeCarbon, which would take half a second.
    spec = importlib.util.find_spec("codecarbon")
    if spec is None or spec.origin is None:
        raise CodewattError(
            "the table of carbon intensities is part of CodeCarbon, which is not installed: "
            "pip install codecarbon"
        )
    table = read_json(Path(spec.origin).parent / _TABLE)
    if country not in table:
        raise CodewattError(
            f"no carbon intensity for {country!r}; allowed: {', '.join(sorted(table))}"
        )
    entry = table[country]
    version = importlib.metadata.version("codecarbon")
    return {
        "country": country,
        "g_per_kwh": float(entry["carbon_intensity"]),
        "source": f"CodeCarbon {version}, {Path(_TABLE).name}: {entry['country_name']}, "
        f"electricity mix of {entry['year']}",
    }


def emissions_kg(energy_j: float, g_per_kwh: float) -> float:
    """Kilograms of CO2 equivalent for an energy in joules."""
    return energy_j / J_PER_KWH * g_per_kwh / G_PER_KG
