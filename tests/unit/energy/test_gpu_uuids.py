"""The UUIDs of GPUs have one form, whoever names them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

import codewatt
from codewatt.energy.meters.meter import ComponentInfo, MeterInfo
from codewatt.energy.sampler_process import Sampling
from codewatt.gpu_uuids import nvml_uuid

BARE = "8a8b0a5c-6d5b-4a0c-9a3e-1d2c3b4a5f60"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (BARE, f"GPU-{BARE}"),
        (UUID(BARE), f"GPU-{BARE}"),
        (f"GPU-{BARE}", f"GPU-{BARE}"),
        (f"MIG-{BARE}", f"MIG-{BARE}"),
        (f"MIG-GPU-{BARE}/3/0", f"MIG-GPU-{BARE}/3/0"),
    ],
)
def test_a_uuid_in_nvmls_form(given: Any, expected: str) -> None:
    assert nvml_uuid(given) == expected


def test_a_timeline_is_narrowed_by_uuids_of_both_forms() -> None:
    devices = [{"device": f"GPU-{name}"} for name in "abc"]
    parts = {"gpu": ComponentInfo("measured", "nvml")}
    sampler: Any = SimpleNamespace(infos=[MeterInfo("nvml", None, 1.0, parts, devices, {})])
    Sampling.narrow(sampler, ["b", "GPU-c", "MIG-d"])
    (info,) = sampler.infos
    assert [device["device"] for device in info.devices] == ["GPU-b", "GPU-c"]
    assert info.facts["not_polled"] == ["MIG-d"]


def test_no_other_module_writes_the_prefix() -> None:
    package = Path(codewatt.__file__).parent
    found = {path.name for path in package.rglob("*.py") if 'f"GPU-{' in path.read_text()}
    assert found == {"gpu_uuids.py"}
