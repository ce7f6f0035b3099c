"""The committed runs of de Reus et al. 2024 are what the tool makes from the authors' raw files."""

import csv
import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def tool(repository: Path) -> ModuleType:
    path = repository / "tools" / "published_energy.py"
    spec = importlib.util.spec_from_file_location("published_energy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_committed_file_is_made_from_the_raw_ones(
    tool: ModuleType,
    test_data: Path,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["published_energy.py", str(test_data / "greenllms"), str(tmp_path / "made.csv")]
    monkeypatch.setattr(sys, "argv", words)
    tool.main()
    committed = repository / "resources/published/de_reus_2024_energy.csv"
    assert (tmp_path / "made.csv").read_bytes() == committed.read_bytes()


def test_every_job_step_with_a_row_in_the_tables_is_matched(
    tool: ModuleType, test_data: Path
) -> None:
    """All but ten: of the two jobs of 3B-256 only five runs of ten are in each table."""
    rows = tool.build(test_data / "greenllms")
    matched = {(row["ear_file"], row["ear_step"]) for row in rows if row["ear_file"]}
    with open(tool.JOB_STEPS, encoding="utf-8", newline="") as stream:
        steps = list(csv.DictReader(stream))
    unmatched = [s for s in steps if (s["ear_file"], s["ear_step"]) not in matched]
    assert (len(matched), len(steps)) == (126, 136)
    assert Counter(Path(step["table"]).name for step in unmatched) == {
        "results_3b_256_4bit.csv": 5,
        "results_3b_256_8bit.csv": 5,
    }
