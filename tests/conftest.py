"""Fixtures for every test: where the benchmark data is, and nothing of this machine's settings."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.workbench import SMALL, Workbench

REPOSITORY = Path(__file__).resolve().parent.parent

# A slow or busy machine fails no test.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with HumanEval+ and published completions (CODEWATT_TEST_DATA)."""
    folder = os.environ.get("CODEWATT_TEST_DATA")
    if not folder or not (Path(folder) / "humaneval_plus").is_dir():
        pytest.skip("benchmark data is absent: set CODEWATT_TEST_DATA to a folder that holds it")
    return Path(folder)


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """The small study in a copy of the project, run to its end for real."""
    bench = Workbench(REPOSITORY, tmp_path_factory.mktemp("study"))
    bench.write_study(SMALL)
    bench.snakemake("--cores", "all")
    return bench
