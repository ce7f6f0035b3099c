"""Fixtures for every test: where the benchmark data is, and nothing of this machine's settings."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


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
