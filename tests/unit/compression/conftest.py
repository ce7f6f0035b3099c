"""Fixtures of the tests of pruning and quantising."""

import pytest


@pytest.fixture(autouse=True)
def _quick_sampler(without_codecarbon):
    """What CodeCarbon does in a job is tested in tests/unit/energy."""
