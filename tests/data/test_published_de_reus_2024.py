"""The committed runs of de Reus et al. 2024 are what the tool makes from the authors' raw files."""

import csv
import sys
from collections import Counter
from pathlib import Path

import pytest

from codewatt.published.de_reus_2024 import build_data

pytestmark = pytest.mark.data


def test_the_committed_file_is_made_from_the_raw_ones(
    test_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    argv = ["build_data.py", str(test_data / "greenllms"), str(tmp_path / "made.csv")]
    monkeypatch.setattr(sys, "argv", argv)
    build_data.main()
    committed = build_data.JOB_STEPS.with_name("energy.csv")
    assert (tmp_path / "made.csv").read_bytes() == committed.read_bytes()


def test_every_job_step_with_a_row_in_the_tables_is_matched(test_data: Path) -> None:
    """All but ten: of the two jobs of 3B-256 only five runs of ten are in each table."""
    rows = build_data.build(test_data / "greenllms")
    matched = {(row["ear_file"], row["ear_step"]) for row in rows if row["ear_file"]}
    with open(build_data.JOB_STEPS, encoding="utf-8", newline="") as stream:
        steps = list(csv.DictReader(stream))
    unmatched = [s for s in steps if (s["ear_file"], s["ear_step"]) not in matched]
    assert (len(matched), len(steps)) == (126, 136)
    assert Counter(Path(step["table"]).name for step in unmatched) == {
        "results_3b_256_4bit.csv": 5,
        "results_3b_256_8bit.csv": 5,
    }
