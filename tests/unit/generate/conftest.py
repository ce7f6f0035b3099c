"""Fixtures of the engines' tests."""

import pytest


@pytest.fixture(scope="module")
def one_thread():
    """Models of this size are quickest so, the more so on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _quick_sampler(without_codecarbon):
    """What CodeCarbon does in a job is tested in tests/unit/energy."""
