"""Outputs are whole or absent; digests follow content."""

import gzip
import os
import stat

import pytest

from codewatt.errors import CodewattError
from codewatt.files import (
    atomic_path,
    check_files,
    check_writable,
    describe_files,
    digest,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "x.json"
    write_json(target, {"a": 1})
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text(f"half{1 / 0}")
    assert read_json(target) == {"a": 1}
    assert os.listdir(tmp_path) == ["x.json"]


def test_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert os.listdir(tmp_path) == []


def test_gzip_of_the_same_rows_is_the_same_bytes(tmp_path):
    rows = [{"a": "ä"}, {"b": [1, 2]}]
    write_jsonl(tmp_path / "1.jsonl.gz", rows)
    write_jsonl(tmp_path / "2.jsonl.gz", rows)
    assert (tmp_path / "1.jsonl.gz").read_bytes() == (tmp_path / "2.jsonl.gz").read_bytes()
    assert list(read_jsonl(tmp_path / "1.jsonl.gz")) == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"a": 1}\n{"a"\n', r":2: not readable"), (b"[1]\n", ":1: .*expected a JSON object")],
)
def test_bad_lines_are_named(tmp_path, content, message):
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(CodewattError, match=message):
        list(read_jsonl(tmp_path / "x.jsonl"))


def test_a_cut_gzip_is_an_error(tmp_path):
    whole = gzip.compress(b'{"a": 1}\n' * 1000)
    (tmp_path / "x.jsonl.gz").write_bytes(whole[:-12])
    with pytest.raises(CodewattError, match="not readable"):
        list(read_jsonl(tmp_path / "x.jsonl.gz"))


def test_digest_ignores_the_order_of_keys_but_not_types():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})


def test_described_files_are_checked(tmp_path):
    (tmp_path / "a").write_text("x")
    described = describe_files(tmp_path)
    check_files(tmp_path, described)
    (tmp_path / "a").write_text("y")
    with pytest.raises(CodewattError, match="sha256 differs"):
        check_files(tmp_path, described)
    (tmp_path / "a").unlink()
    with pytest.raises(CodewattError, match="file is missing, but the manifest lists it"):
        check_files(tmp_path, described)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    for target, said in {
        tmp_path / "folder": "folder: is a directory; allowed: the name of a file",
        tmp_path / "file" / "x.json": "x.json: cannot be written: a part of its path is a file",
        tmp_path / ("x" * 300): "cannot be written: File name too long",
        "/dev/null": "/dev/null: is not a regular file; allowed: the name of a file",
        "/proc/x.json": "/proc/x.json: cannot be written: ",
    }.items():
        with pytest.raises(CodewattError, match=said):
            write_json(target, {})
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "kept"
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_an_error_about_another_file_is_not_the_targets(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"), atomic_path(tmp_path / "x") as temporary:
        temporary.write_text((tmp_path / "absent").read_text())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "a." * 127, f"x.{'y' * 200}.gz"])
def test_the_longest_names_are_written(tmp_path, name):
    write_json(tmp_path / name, {"a": 1})
    assert read_json(tmp_path / name) == {"a": 1}
    assert os.listdir(tmp_path) == [name]


def test_room_is_asked_for_and_given_back(tmp_path):
    check_writable(tmp_path / "new" / "x.json", 1 << 20)
    assert os.listdir(tmp_path / "new") == []
    with pytest.raises(
        CodewattError, match=r"x\.json: cannot be written: (File too large|No spac)"
    ):
        check_writable(tmp_path / "x.json", 1 << 62)
    assert os.listdir(tmp_path) == ["new"]
