"""One finished study and its package, written once for the tests that only read them."""

from pathlib import Path

import pytest

from codewatt.replication.export_study import Export, export_study
from tests.support.replication import write_finished_study


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """A finished study with raw files, records and tables; tests do not change it."""
    return write_finished_study(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="package")
def package(finished: Export, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its package, a zip archive."""
    path = tmp_path_factory.mktemp("package") / "package.zip"
    export_study(finished, path)
    return path
