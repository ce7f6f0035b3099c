"""The sampling intervals of the meters, validated both in the study file and in the job.

Measured stages import this module, and results become stale when an imported module changes.
Therefore it is outside `codewatt.config`: a change of other settings keeps measurements valid.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from codewatt.errors import CodewattError

#: Allowed seconds between two readings of a meter.
_LEAST_INTERVAL_S, _MOST_INTERVAL_S = 0.001, 60.0
#: CodeCarbon does not measure again within 0.1 s.
_LEAST_CODECARBON_INTERVAL_S = 0.1


def in_seconds(least_s: float, most_s: float) -> Any:
    """The constraint of a field: seconds from `least_s` to `most_s`, both included."""
    return Field(ge=least_s, le=most_s, allow_inf_nan=False)


def _interval(what: str, least_s: float = _LEAST_INTERVAL_S) -> str:
    return f"Seconds between two readings of {what}; {least_s:g} to {_MOST_INTERVAL_S:g}."


_Interval = Annotated[float, in_seconds(_LEAST_INTERVAL_S, _MOST_INTERVAL_S)]
_CodecarbonInterval = Annotated[float, in_seconds(_LEAST_CODECARBON_INTERVAL_S, _MOST_INTERVAL_S)]


class SamplerSettings(BaseModel):
    """Seconds between two readings of each meter, and whether the node's context is read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    nvml_interval_s: _Interval = Field(
        0.02, description=_interval("a GPU's power and energy counter (NVML, or zeus for AMD)")
    )
    nvml_state_interval_s: _Interval = Field(
        0.5, description=_interval("a GPU's clock, temperature, throttle reasons and processes")
    )
    rapl_interval_s: _Interval = Field(
        0.1,
        description=_interval("the RAPL counters of CPU and DRAM")
        + " The sampler reads more often where a counter could wrap unseen.",
    )
    codecarbon_interval_s: _CodecarbonInterval = Field(
        0.5, description=_interval("CodeCarbon's energies", _LEAST_CODECARBON_INTERVAL_S)
    )
    host_interval_s: _Interval = Field(
        0.5, description=_interval("the machine's CPU time and memory")
    )
    node_context: bool = Field(
        False,
        description=(
            "Whether the sampler also reads the node's power, the clocks of CPU and memory, and "
            "the job's cache misses, where the machine allows it (docs/explanation/energy.md). "
            "They are kept in the timeline and are no part of any energy. Reading them takes CPU "
            "time."
        ),
    )

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Take the sampling intervals from a stage's energy settings; defaults for absent keys.

        Raises:
            CodewattError: a value is outside its range.
        """
        known = {key: value for key, value in settings.items() if key in cls.model_fields}
        return cls.validated(known)

    @classmethod
    def validated(cls, settings: Mapping[str, Any]) -> Self:
        """Validate sampling intervals; defaults for absent keys.

        Raises:
            CodewattError: a key is unknown, or a value is not allowed.
        """
        try:
            return cls.model_validate(dict(settings))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(("energy", *map(str, first["loc"])))
            raise CodewattError(f"{key}: {first['input']!r}: {first['msg']}") from None
