"""The small study, run once for all tests of what would run again."""

import pytest

from tests.support.workbench import Workbench


@pytest.fixture
def bench(finished_study: Workbench):
    """The finished study; its study file is put back after each test."""
    before = finished_study.study_file.read_text()
    yield finished_study
    finished_study.study_file.write_text(before)
