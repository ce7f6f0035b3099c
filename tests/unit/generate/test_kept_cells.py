"""A cell that was measured outlives the failure of the job that measured others too."""

import errno
import hashlib
import json
import os
import shutil

import pytest

from codewatt.generate.kept_cells import (
    KEPT,
    MadeFrom,
    keep_cell,
    restore_cell,
    start_keeping,
    stop_keeping,
)

DATA = ("completions.jsonl.gz", "tasks.parquet", "timeline.parquet")
NAMES = (*DATA, "generate.json")
MADE_FROM = MadeFrom("a digest", 0)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A study's results in a run that keeps cells."""
    monkeypatch.setenv(KEPT, "")  # so that the variable is put back afterwards
    start_keeping(tmp_path / "cells")
    return tmp_path


def _outputs(results, cell, text=None):
    """The outputs of a cell, written if there is a text."""
    outputs = [results / "cells" / cell / name for name in NAMES]
    outputs[0].parent.mkdir(parents=True, exist_ok=True)
    if text:
        files = {}
        for path in outputs[:-1]:
            content = f"{text} {path.name}".encode()
            path.write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            files[path.name] = {"bytes": len(content), "sha256": digest}
        outputs[-1].write_text(json.dumps({"text": text, "files": files}))
    return outputs


def _is_cell(outputs, text):
    """Whether the outputs are there, are those of the text, and nothing else is there."""
    assert sorted(os.listdir(outputs[0].parent)) == sorted(NAMES)
    assert [path.read_text() for path in outputs[:-1]] == [f"{text} {name}" for name in DATA]
    return json.loads(outputs[-1].read_text())["text"] == text


def _delete(outputs):
    for path in outputs:
        path.unlink()


def _refuse_links(monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "links are not allowed here")

    monkeypatch.setattr(os, "link", refuse)


def _fill_disk(monkeypatch):
    """No link and no copy is possible."""

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    _refuse_links(monkeypatch)
    monkeypatch.setattr(shutil, "copy2", fail)


def test_a_retry_finds_what_an_earlier_attempt_measured(results):
    outputs = _outputs(results, "a", "first")
    times = [path.stat().st_mtime_ns for path in outputs]
    assert not restore_cell(outputs, MADE_FROM), "nothing was kept yet"
    keep_cell(outputs, MADE_FROM)
    _delete(outputs)
    assert restore_cell(outputs, MADE_FROM)
    assert _is_cell(outputs, "first")
    assert [path.stat().st_mtime_ns for path in outputs] == times


def test_a_cell_that_was_not_finished_is_measured(results):
    keep_cell(_outputs(results, "a", "first"), MADE_FROM)
    assert not restore_cell(_outputs(results, "b"), MADE_FROM)


def test_a_failed_run_gives_back_what_snakemake_deleted_and_names_it(results, capsys):
    deleted, there = _outputs(results, "a", "kept"), _outputs(results, "b", "kept")
    for outputs in (deleted, there):
        keep_cell(outputs, MADE_FROM)
    _delete(deleted)
    there[-1].unlink()
    there[-1].write_text("newer")
    assert stop_keeping(results / "cells") == ["a"]
    said = "codewatt: finished cells of failed jobs, put back (1): a\n"
    assert capsys.readouterr().err == said
    assert _is_cell(deleted, "kept")
    assert there[-1].read_text() == "newer"
    assert sorted(os.listdir(results)) == ["cells"]
    assert KEPT not in os.environ


def test_a_run_without_failed_jobs_says_nothing(results, capsys):
    keep_cell(_outputs(results, "a", "kept"), MADE_FROM)
    assert stop_keeping(results / "cells") == []
    assert capsys.readouterr().err == ""
    assert stop_keeping(results / "cells") == [], "a second call does nothing"


@pytest.mark.parametrize("lacks", [("kept.json",), (*NAMES, "kept.json")])
def test_a_cell_that_was_half_linked_is_not_given_back(results, lacks):
    """The last file of a kept cell is missing, or its directory is empty."""
    outputs = _outputs(results, "a", "kept")
    keep_cell(outputs, MADE_FROM)
    for name in lacks:
        (results / ".kept/run_1/a" / name).unlink()
    _delete(outputs)
    assert not restore_cell(outputs, MADE_FROM)
    assert stop_keeping(results / "cells") == []
    assert sorted(os.listdir(results)) == ["cells"]


def test_without_the_variable_nothing_is_kept(results):
    outputs = _outputs(results, "a", "once")
    keep_cell(outputs, MADE_FROM, environment={})
    assert not restore_cell(outputs, MADE_FROM, environment={})
    assert not (results / ".kept").exists()


def test_a_run_takes_over_the_cells_of_one_that_was_killed(results, capsys):
    """Its failed job's outputs were deleted, and no retry had put them back."""
    outputs = _outputs(results, "a", "first")
    keep_cell(outputs, MADE_FROM)
    _delete(outputs)
    start_keeping(results / "cells")
    assert restore_cell(outputs, MADE_FROM)
    assert _is_cell(outputs, "first")
    _delete(outputs)  # the job fails in this run too
    assert stop_keeping(results / "cells") == ["a"]
    assert _is_cell(outputs, "first")
    assert sorted(os.listdir(results)) == ["cells"]


def test_a_cell_of_a_killed_run_is_put_back_by_the_job_alone(results):
    """Only the job knows what the cell would be made from now; the cell stays kept for it."""
    outputs = _outputs(results, "a", "first")
    keep_cell(outputs, MADE_FROM)
    _delete(outputs)
    start_keeping(results / "cells")
    assert stop_keeping(results / "cells") == []
    start_keeping(results / "cells")
    assert restore_cell(outputs, MADE_FROM)
    assert stop_keeping(results / "cells") == []
    assert sorted(os.listdir(results)) == ["cells"]


def test_a_run_that_is_told_to_run_jobs_again_takes_nothing_over(results):
    outputs = _outputs(results, "a", "old")
    keep_cell(outputs, MADE_FROM)
    _delete(outputs)
    start_keeping(results / "cells", forced=True)
    assert not restore_cell(outputs, MADE_FROM)


def test_a_cell_whose_directory_the_user_deleted_is_measured(results):
    """docs/how-to/rerun.md says to delete it; the other cell of the killed run is taken over."""
    deleted, other = _outputs(results, "a", "old"), _outputs(results, "b", "old")
    for outputs in (deleted, other):
        keep_cell(outputs, MADE_FROM)
        _delete(outputs)
    deleted[0].parent.rmdir()
    start_keeping(results / "cells")
    assert not restore_cell(deleted, MADE_FROM)
    assert restore_cell(other, MADE_FROM)


def test_a_cell_made_from_something_else_is_measured(results):
    outputs = _outputs(results, "a", "old")
    keep_cell(outputs, MADE_FROM)
    _delete(outputs)
    assert not restore_cell(outputs, MadeFrom("another digest", 0))
    assert not any(path.exists() for path in outputs)


def test_a_cell_older_than_its_inputs_is_measured(results):
    outputs = _outputs(results, "a", "old")
    oldest = min(path.stat().st_mtime_ns for path in outputs)
    keep_cell(outputs, MADE_FROM)
    _delete(outputs)
    assert not restore_cell(outputs, MadeFrom(MADE_FROM.key, oldest + 1))
    assert restore_cell(outputs, MadeFrom(MADE_FROM.key, oldest))


def test_what_a_cell_is_made_from(tmp_path, monkeypatch):
    """Each of settings, code, content of inputs and environment changes the key."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("one")
    second.write_text("two")
    os.utime(first, ns=(0, 7_000))
    os.utime(second, ns=(0, 5_000))
    inputs = [str(first), str(second)]
    made_from = MadeFrom.of("{}", ["module 1"], inputs)
    assert made_from.newest_input_ns == 7_000
    assert MadeFrom.of("{}", ["module 1"], inputs) == made_from
    keys = {
        made_from.key,
        MadeFrom.of("[]", ["module 1"], inputs).key,
        MadeFrom.of("{}", ["module 2"], inputs).key,
        MadeFrom.of("{}", ["module 1"], inputs[:1]).key,
    }
    second.write_text("too")
    keys.add(MadeFrom.of("{}", ["module 1"], inputs).key)
    monkeypatch.setattr("sys.prefix", "/another/environment")
    keys.add(MadeFrom.of("{}", ["module 1"], inputs).key)
    assert len(keys) == 6


def test_a_damaged_kept_cell_is_measured(results, caplog):
    outputs = _outputs(results, "a", "first")
    keep_cell(outputs, MADE_FROM)
    _delete(outputs)
    damaged = results / ".kept/run_1/a/tasks.parquet"
    damaged.write_text("short")
    assert not restore_cell(outputs, MADE_FROM)
    assert not any(path.exists() for path in outputs)
    assert "measured again, as it cannot be taken over" in caplog.text
    assert f"{damaged}: size is 5 bytes; the manifest has 19 bytes" in caplog.text


def test_files_are_copied_where_links_are_not_possible(results, monkeypatch):
    _refuse_links(monkeypatch)
    outputs = _outputs(results, "a", "first")
    times = [path.stat().st_mtime_ns for path in outputs]
    keep_cell(outputs, MADE_FROM)
    _delete(outputs)
    assert restore_cell(outputs, MADE_FROM)
    assert _is_cell(outputs, "first")
    assert [path.stat().st_mtime_ns for path in outputs] == times


def test_a_copy_that_breaks_off_leaves_no_part_of_a_file(results, monkeypatch):
    outputs = _outputs(results, "a", "first")
    keep_cell(outputs, MADE_FROM)
    _delete(outputs)

    def break_off(source, target):
        with open(target, "wb") as part:
            part.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    _refuse_links(monkeypatch)
    monkeypatch.setattr(shutil, "copy2", break_off)
    assert not restore_cell(outputs, MADE_FROM)
    assert os.listdir(outputs[0].parent) == []


def test_a_cell_that_cannot_be_kept_is_a_warning(results, monkeypatch, caplog):
    outputs = _outputs(results, "a", "first")
    _fill_disk(monkeypatch)
    keep_cell(outputs, MADE_FROM)
    assert "not kept for a retry of this job: " in caplog.text
    assert "No space left on device" in caplog.text
    assert _is_cell(outputs, "first")
    assert not restore_cell(outputs, MADE_FROM)


def test_a_directory_that_cannot_be_made_is_a_warning(results, caplog):
    (results / ".kept").write_text("a file in the way")
    keep_cell(_outputs(results, "a", "first"), MADE_FROM)
    assert "not kept for a retry of this job: " in caplog.text


def test_a_cell_that_cannot_be_put_back_is_named_and_stays_kept(results, monkeypatch, capsys):
    outputs = _outputs(results, "a", "first")
    keep_cell(outputs, MADE_FROM)
    _delete(outputs)
    with monkeypatch.context() as patch:
        _fill_disk(patch)
        assert stop_keeping(results / "cells") == []
    kept = results / ".kept/run_1/a"
    said = capsys.readouterr().err
    assert f"{outputs[0].parent}: a finished cell was not put back: " in said
    assert said.endswith(f"No space left on device; it stays in {kept}\n")
    start_keeping(results / "cells")
    assert restore_cell(outputs, MADE_FROM)
