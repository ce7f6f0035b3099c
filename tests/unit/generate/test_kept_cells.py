"""A cell that was measured outlives the failure of the job that measured others too."""

import os

import pytest

from codewatt.generate.kept_cells import (
    KEPT,
    keep_cell,
    restore_cell,
    start_keeping,
    stop_keeping,
)

NAMES = ("completions.jsonl.gz", "tasks.parquet", "timeline.parquet", "generate.json")


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A study's results in a run that keeps cells."""
    monkeypatch.setenv(KEPT, "")  # so that the variable is put back afterwards
    start_keeping(tmp_path)
    return tmp_path


def _outputs(results, cell, text=None):
    """The outputs of a cell, written if there is a text."""
    outputs = [results / "cells" / cell / name for name in NAMES]
    outputs[0].parent.mkdir(parents=True, exist_ok=True)
    for path in outputs if text else ():
        path.write_text(f"{text} {path.name}")
    return outputs


def _delete(outputs):
    for path in outputs:
        path.unlink()


def test_a_retry_finds_what_an_earlier_attempt_measured(results):
    outputs = _outputs(results, "a", "first")
    times = [path.stat().st_mtime_ns for path in outputs]
    assert not restore_cell(outputs), "nothing was kept yet"
    keep_cell(outputs)
    _delete(outputs)
    assert restore_cell(outputs)
    assert [path.read_text() for path in outputs] == [f"first {name}" for name in NAMES]
    assert [path.stat().st_mtime_ns for path in outputs] == times


def test_a_cell_that_was_not_finished_is_measured(results):
    keep_cell(_outputs(results, "a", "first"))
    assert not restore_cell(_outputs(results, "b"))


def test_a_failed_run_gives_back_what_snakemake_deleted_and_nothing_else(results):
    deleted, there = _outputs(results, "a", "kept"), _outputs(results, "b", "kept")
    for outputs in (deleted, there):
        keep_cell(outputs)
    _delete(deleted)
    there[-1].unlink()
    there[-1].write_text("newer")
    assert stop_keeping(results / "cells") == ["a"]
    assert [path.read_text() for path in deleted] == [f"kept {name}" for name in NAMES]
    assert there[-1].read_text() == "newer"
    assert sorted(os.listdir(results)) == ["cells"]
    assert KEPT not in os.environ


def test_a_cell_that_was_half_linked_is_not_given_back(results):
    outputs = _outputs(results, "a", "kept")
    keep_cell(outputs)
    (results / ".kept/a/generate.json").unlink()
    _delete(outputs)
    assert not restore_cell(outputs)
    assert stop_keeping(results / "cells") == []


def test_a_new_run_starts_with_nothing_kept(results):
    outputs = _outputs(results, "a", "old")
    keep_cell(outputs)
    _delete(outputs)
    start_keeping(results)
    assert not restore_cell(outputs)


def test_without_the_variable_nothing_is_kept(results):
    outputs = _outputs(results, "a", "once")
    keep_cell(outputs, environment={})
    assert not restore_cell(outputs, environment={})
    assert not (results / ".kept").exists()


def test_files_are_copied_where_links_are_not_possible(results, monkeypatch):
    def refuse(*_):
        raise PermissionError("links are not allowed here")

    monkeypatch.setattr(os, "link", refuse)
    outputs = _outputs(results, "a", "first")
    keep_cell(outputs)
    _delete(outputs)
    assert restore_cell(outputs)
    assert outputs[0].read_text() == f"first {NAMES[0]}"
