"""The study file and the jobs that meter allow the same energy settings."""

import pytest

from codewatt.config.energy_settings import EnergySettings
from codewatt.config.load_study import validate
from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.sampler_settings import SamplerSettings
from tests.support.good_study import GOOD


@pytest.mark.parametrize(
    "settings",
    [
        {"idle_s": 0.01, "nvml_interval_s": 0.001, "codecarbon_interval_s": 0.1},
        {"idle_s": 3600, "nvml_interval_s": 60, "codecarbon_interval_s": 60},
        {},
    ],
)
def test_what_the_study_may_say_the_sampler_takes(settings):
    """The ends of each range, and the defaults: both sides read the same ranges."""
    energy = validate(Study, {**GOOD, "energy": settings}, "study.yaml").energy
    assert SamplerSettings.from_dict(energy.model_dump()).nvml_interval_s == energy.nvml_interval_s
    assert EnergySettings.from_dict(energy.model_dump()) == energy
    if not settings:
        assert SamplerSettings() == SamplerSettings.from_dict(energy.model_dump())
        assert EnergySettings() == energy


@pytest.mark.parametrize("name", ["nvml_interval_s", "codecarbon_interval_s"])
@pytest.mark.parametrize("value", [0.0009, 0.05, 0.0999, 0.1, 59.9, 60.1, 1e300, 0.0, -1.0])
def test_what_the_sampler_refuses_the_study_refuses(name, value):
    refused = []
    for read in (
        lambda: validate(Study, {**GOOD, "energy": {name: value}}, "study.yaml"),
        lambda: SamplerSettings.from_dict({name: value}),
    ):
        try:
            read()
        except CodewattError as error:
            refused.append(str(error))
    assert len(refused) in (0, 2), refused


@pytest.mark.parametrize(
    "settings",
    [
        {"country": "XYZ"},
        {"country": "nld"},
        {"boundary": "rack"},
        {"validity": {"max_gap_s": -1.0}},
        {"validity": {"max_gap": 1.0}},
        {"min_window_s": 5.0},
    ],
)
def test_the_study_file_and_the_energy_job_refuse_alike(settings):
    with pytest.raises(CodewattError) as job:
        EnergySettings.from_dict(settings)
    with pytest.raises(CodewattError) as study:
        validate(Study, {**GOOD, "energy": settings}, "study.yaml")
    key = str(job.value).split(": ")[0]
    assert str(study.value).startswith(f"study.yaml: {key}: ")
