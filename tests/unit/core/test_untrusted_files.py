"""Files that others wrote: each thing that can be wrong with one is a line that names it."""

import gzip
import json
import os
import random
import subprocess
import sys

import pytest

from codewatt.errors import CodewattError
from codewatt.files import numbered_rows, read_json, read_jsonl
from codewatt.untrusted_files import expand_home, read_text

ROW = b'{"a": "text"}\n'


def _refusal(read, path):
    with pytest.raises(CodewattError) as refused:
        read(path)
    said = str(refused.value)
    assert "\n" not in said
    assert path.name[:20] in said
    return said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", gzip.compress(ROW, mtime=0), "is gzip, but its name does not end in .gz"),
        ("x.jsonl.gz", ROW, "is not gzip, though its name ends in .gz"),
        ("x.jsonl.gz", b"", "is empty"),
        (
            "x.jsonl",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "is a git-LFS pointer, not the file itself; fetch it: git lfs pull",
        ),
        ("x.jsonl.gz", b"version https://git-lfs.github.com/spec/v1\n", "is a git-LFS pointer"),
        ("x.jsonl", '{"a": 1}\n'.encode("utf-16"), "is in UTF-16; allowed: UTF-8"),
        ("x.jsonl", '{"a": 1}\n'.encode("utf-32"), "is in UTF-32; allowed: UTF-8"),
        ("x.jsonl", b"PK\x03\x04rest", "is a zip archive; unpack it first"),
        ("x.jsonl", b"\xfd7zXZ\x00rest", "is packed by xz"),
        ("x.jsonl", b"\x28\xb5\x2f\xfdrest", "is packed by zstd"),
        ("x.jsonl", ROW + b"\n\n" + b"[" * 100_000, ":4: not readable as JSON lines: nested too d"),
        ("x.jsonl", ROW + b'{"a": ' + b"9" * 5000 + b"}", ":2: not readable as JSON lines: Exceed"),
        ("x.jsonl", ROW + b'{"a": 1', ":2: not readable as JSON lines: Expecting ',' delimiter, c"),
        ("x.jsonl", b"\r\n" + ROW + b"[1]\r\n", ":3: not readable as JSON lines: expected a JSON"),
    ],
)
def test_what_a_file_really_is_is_said(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    assert said in _refusal(lambda path: list(read_jsonl(path)), tmp_path / name)


@pytest.mark.parametrize("read", [read_text, read_json, lambda path: list(read_jsonl(path))])
def test_what_is_not_a_file_is_refused_at_once(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    (tmp_path / "folder.json").mkdir()
    assert "is not a regular file" in _refusal(read, tmp_path / "pipe.json")
    assert "Too many levels of symbolic links" in _refusal(read, tmp_path / "loop.json")
    assert "is a directory; allowed: a file" in _refusal(read, tmp_path / "folder.json")
    assert "no such file" in _refusal(read, tmp_path / "absent.json")
    (tmp_path / "file").write_text("")
    assert "Not a directory" in _refusal(read, tmp_path / "file" / "below.json")
    assert "File name too long" in _refusal(read, tmp_path / ("x" * 300))


def test_marks_line_ends_and_blank_lines_of_other_systems_are_read(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}')
    assert list(numbered_rows(tmp_path / "x.jsonl")) == [(1, {"a": 1}), (4, {"a": 2})]
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "x.json") == [1]


@pytest.mark.parametrize("blank", [True, False])
def test_the_line_that_is_not_utf8_is_named(tmp_path, blank):
    """Wherever it stands: decoders read ahead, and line counts must not."""
    for bad in (1, 2, 700, 5000):
        lines = [b"" if blank and number % 3 == 0 else ROW.strip() for number in range(1, 6000)]
        lines[bad - 1] = b'{"a": "caf\xe9"}'
        (tmp_path / "x.jsonl").write_bytes(b"\n".join(lines))
        said = _refusal(lambda path: list(read_jsonl(path)), tmp_path / "x.jsonl")
        assert f"x.jsonl:{bad}: not readable as text: byte 0xe9 is not UTF-8" in said
        assert f"x.jsonl:{bad}:" in _refusal(read_text, tmp_path / "x.jsonl")


def test_gzip_that_is_damaged_anywhere_is_one_line(tmp_path):
    """Cut or with a bit changed: one of gzip's, zlib's and the system's errors, at random."""
    chance, path = random.Random(0), tmp_path / "x.jsonl.gz"
    content = "".join(json.dumps({"a": chance.random()}) + "\n" for _ in range(300))
    whole, said = gzip.compress(content.encode(), mtime=0), []
    for _ in range(200):
        damaged = bytearray(whole)
        at = chance.randrange(2, len(whole))
        if chance.random() < 0.3:
            del damaged[at:]
        else:
            damaged[at] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            assert len(list(read_jsonl(path))) == 300  # a bit of the header's that means nothing
        except CodewattError as error:
            said.append(str(error))
    assert len(said) > 150
    assert not any("\n" in line for line in said)


_BOMB = """
import resource, sys
from codewatt.errors import CodewattError
from codewatt.files import read_json, read_jsonl
resource.setrlimit(resource.RLIMIT_AS, 2 * (int(sys.argv[2]) << 20,))
for read in (read_json, lambda path: list(read_jsonl(path))):
    try:
        read(sys.argv[1])
    except CodewattError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("unit", "members", "mib"), [(b" ", 64, 700), (b"\n", 8, 200), (b"[]\n", 8, 200)]
)
def test_a_bomb_ends_early_and_in_little_memory(tmp_path, unit, members, mib):
    """4 GB of one thing in 4 MB, or 512 MB in 0.5 MB: refused with less address space than that.

    The first ends at the limit of a file's size, the others at that of its ratio.
    """
    path = tmp_path / "bomb.json.gz"
    member = gzip.compress(unit * ((64 << 20) // len(unit)), mtime=0)
    path.write_bytes(member * members)
    command = [sys.executable, "-c", _BOMB, path, str(mib)]
    done = subprocess.run(command, capture_output=True, text=True)
    said = done.stdout.splitlines()
    assert len(said) == 2, done.stderr
    assert all("bomb.json.gz" in line for line in said)


def test_a_home_directory_is_put_in_or_missed(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert expand_home("~/x") == "/home/someone/x"
    assert expand_home("a/~/x") == "a/~/x"
    with pytest.raises(CodewattError, match="~nobody-of-that-name/x: the home directory of"):
        expand_home("~nobody-of-that-name/x")
