"""The energy settings of a study: what is sampled, what a figure includes, when it is valid.

The study file and the jobs validate them by these models, so that both refuse the same values.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from codewatt.config.carbon_intensity import carbon_intensity
from codewatt.config.strict_model import PositiveFloat, PositiveInt, Strict
from codewatt.errors import CodewattError
from codewatt.sampler_settings import SamplerSettings, in_seconds

#: Allowed duration of an idle window, in seconds.
_LEAST_IDLE_S, _MOST_IDLE_S = 0.01, 3600.0
#: Largest sampling interval with which every second has a reading.
_MOST_REST_INTERVAL_S = 0.5


_Limit = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Fraction = Annotated[float, Field(gt=0, le=1)]


class ValidityLimits(Strict):
    """Limits of the validity checks (docs/reference/validity-checks.md)."""

    min_window_s: _Limit = Field(10.0, description="Shortest valid repeat, in seconds.")
    min_readings: PositiveInt = Field(
        10, description="Fewest readings of each meter within a valid repeat."
    )
    min_measured_s: _Limit = Field(
        60.0,
        description=(
            "Shortest measured time of a cell, all its repeats together, in seconds. Below it a "
            "warning is given."
        ),
    )
    max_gap_s: _Limit = Field(
        2.0,
        description=(
            "Longest time without a reading, in seconds. For a meter that is read less often: ten "
            "of its intervals."
        ),
    )
    max_edge_share: _Limit = Field(
        0.05,
        description=(
            "Largest uncertainty from the edges of a repeat's window, as a share of its energy."
        ),
    )
    max_phase_edge_share: _Limit = Field(
        0.1,
        description=(
            "Largest unknown part of prefill or decode: uncertainty from the edges as a share of "
            "the energy, plus the share of the time without a figure."
        ),
    )
    max_outside_phases: _Limit = Field(
        0.05, description="Largest share of a repeat's time outside prefill and decode."
    )
    max_counter_difference: _Limit = Field(
        0.02,
        description=(
            "Largest relative difference between the GPU's energy counter and its one-second "
            "power averages, integrated."
        ),
    )
    max_samples_difference: _Limit = Field(
        0.03,
        description=(
            "Largest relative difference between the GPU's energy counter and its integrated "
            "instantaneous power samples, which are less accurate."
        ),
    )
    max_codecarbon_difference: _Limit = Field(
        0.05,
        description="Largest relative difference between RAPL and CodeCarbon's readings of RAPL.",
    )
    max_below_idle: _Limit = Field(
        0.05,
        description=(
            "How far the energy of a repeat may be below the energy of idling for the same time, "
            "as a share of that idle energy."
        ),
    )
    max_clock_spread: _Limit = Field(
        0.1,
        description="Largest (95th - 5th percentile) / median of the GPU's SM clock in a repeat.",
    )
    max_idle_drift: _Limit = Field(
        0.1,
        description=(
            "Largest relative change of idle power from before the repeats to after them. If it "
            "is exceeded, there is no net energy."
        ),
    )
    max_idle_cpu_load: _Limit = Field(
        0.2,
        description=(
            "Largest mean CPU load (0 to 1) of the machine in an idle window. If it is exceeded, "
            "there is no net energy of CPU and DRAM."
        ),
    )
    max_other_cpus: PositiveFloat = Field(
        0.5,
        description=(
            "Largest mean number of CPUs that processes outside the job may use during a repeat, "
            "including CPUs that a hypervisor takes. Exceeding it is an error with boundary "
            "'node' or 'job', a warning with 'gpu'."
        ),
    )
    max_other_cpu_share: _Fraction = Field(
        0.05,
        description=(
            "The same limit as a share of the machine's CPUs. The smaller of the two limits is "
            "used."
        ),
    )
    max_stolen_share: _Limit = Field(
        0.01, description="Largest share of the machine's CPU time that a hypervisor may take."
    )
    max_repeat_spread: PositiveFloat = Field(
        0.25,
        description=(
            "Largest energy of a repeat / smallest energy of a repeat - 1, after both are moved "
            "towards each other by their uncertainty. Exceeding it is an error with boundary "
            "'node' or 'job', a warning with 'gpu'."
        ),
    )


class StartSettings(Strict):
    """The state of the GPUs (of the CPU, without a GPU) for which a job waits before each cell."""

    below_c: Annotated[float, Field(gt=0, le=150)] | None = Field(
        None,
        description=(
            "Every GPU of the job must be cooler than this, in degrees Celsius. Absent: at any "
            "temperature. The temperature of CPUs is not read."
        ),
    )
    steady_w: PositiveFloat = Field(
        3.0,
        description=(
            "The power of each GPU (of each CPU package, without a GPU), as means of one second, "
            "must stay within this many watts for `for_s`."
        ),
    )
    for_s: Annotated[float, in_seconds(1.0, 600.0)] = Field(
        30.0, description="How long power must be steady, in seconds; 1 to 600."
    )
    at_most_s: Annotated[float, in_seconds(1.0, 7200.0)] = Field(
        300.0,
        description=(
            "The longest wait in seconds; 1 to 7200. Then the cell is measured anyway, and the "
            "check start_conditions_met warns."
        ),
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.at_most_s <= self.for_s:
            raise ValueError(
                f"at_most_s {self.at_most_s:g} leaves no time to see power steady for "
                f"{self.for_s:g} s; allowed: more than for_s"
            )
        return self


class EnergySettings(SamplerSettings):
    """How energy is measured, what a figure includes, and when it is valid."""

    boundary: Literal["node", "job", "gpu"] = Field(
        "node",
        description=(
            "The devices whose energy `energy_j` includes. 'node': the job's GPUs, and all CPUs "
            "and DRAM of the machine. 'job': the job's GPUs, and its CPU share of CPU and DRAM "
            "energy. 'gpu': the job's GPUs only. The tables have all three."
        ),
    )
    country: str = Field(
        "NLD",
        pattern=r"^[A-Z]{3}$",
        description=(
            "ISO 3166 alpha-3 code of the country whose carbon intensity of electricity is used."
        ),
    )
    idle_s: Annotated[float, in_seconds(_LEAST_IDLE_S, _MOST_IDLE_S)] = Field(
        10.0,
        description=(
            "Duration of each idle window, before and after the repeats, with the model loaded; "
            f"{_LEAST_IDLE_S:g} to {_MOST_IDLE_S:g} s."
        ),
    )
    start: StartSettings | None = Field(
        None,
        description=(
            "Rest: before the model of a cell is loaded, its job waits until the GPU is cool and "
            "idle (docs/explanation/energy.md). Absent: cells do not wait."
        ),
    )
    validity: ValidityLimits = Field(ValidityLimits(), description="Limits of the validity checks.")

    @model_validator(mode="after")
    def _rest_sees_every_second(self) -> Self:
        for key in ("nvml_interval_s", "nvml_state_interval_s", "rapl_interval_s"):
            interval_s = getattr(self, key)
            if self.start is not None and interval_s > _MOST_REST_INTERVAL_S:
                raise ValueError(
                    f"{key} {interval_s:g}: `start` needs readings of every second; allowed with "
                    f"`start`: at most {_MOST_REST_INTERVAL_S:g}"
                )
        return self

    @field_validator("country")
    @classmethod
    def _has_a_carbon_intensity(cls, country: str) -> str:
        try:
            carbon_intensity(country)
        except CodewattError as error:
            raise ValueError(str(error)) from None
        return country

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """The energy settings of a stage, or of a study; defaults for absent keys.

        Raises:
            CodewattError: a key is unknown, or a value is not allowed.
        """
        return cls.validated(settings)

    @property
    def includes_cpu(self) -> bool:
        """Whether the study's own figures include CPU and DRAM energy."""
        return self.boundary != "gpu"
