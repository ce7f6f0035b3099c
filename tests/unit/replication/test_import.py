"""A package from elsewhere gives the same tables again, or is refused with a reason."""

import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from codewatt.errors import CodewattError
from codewatt.replication.archive_reader import open_package
from codewatt.replication.export_study import Export
from codewatt.replication.import_package import import_package

Files = dict[str, bytes]


def files_of(package: Path) -> Files:
    with zipfile.ZipFile(package) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        return {name: archive.read(name) for name in names}


def write(path: Path, files: Files, *, resealed: bool = False) -> Path:
    """Write a package; `resealed`: with the checksums of its changed files."""
    if resealed:
        listed = sorted(files.keys() - {"manifest-sha256.txt"})
        lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in listed]
        files = {**files, "manifest-sha256.txt": "".join(lines).encode()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_an_import_makes_the_same_tables(finished: Export, package: Path, tmp_path: Path) -> None:
    imported = import_package(package, tmp_path / "results")
    before, after = Path(finished.results) / "drawn", tmp_path / "results" / "drawn"
    assert imported.root == after
    for table in (before / "tables").iterdir():
        assert (after / "tables" / table.name).read_bytes() == table.read_bytes()
    assert imported.tables == sorted(path.name for path in (before / "tables").iterdir())
    for file in finished.files:
        name = Path(file.path).relative_to(before)
        assert (after / name).read_bytes() == Path(file.path).read_bytes()
    assert imported.study_file.read_bytes() == finished.study_file.read_bytes()
    assert os.listdir(tmp_path / "results") == ["drawn"]


def test_no_file_is_newer_than_another(package: Path, tmp_path: Path) -> None:
    """Snakemake would otherwise run measurements again."""
    root = import_package(package, tmp_path).root
    assert len({path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}) == 1


def test_an_unpacked_package_is_imported(package: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "unpacked")
    imported = import_package(tmp_path / "unpacked", tmp_path / "results")
    assert imported.files == len(files_of(package)) - 1


def test_existing_results_are_kept(package: Path, tmp_path: Path) -> None:
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "mine.txt").write_text("my results")
    with pytest.raises(CodewattError, match=r"drawn: exists already; allowed"):
        import_package(package, tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["drawn", "mine.txt"]


def tampered(files: Files) -> None:
    name = "results/drawn/cells/one--full--fp32--nano--stripped--t24--b4--graph/timeline.parquet"
    content = bytearray(files[name])
    content[len(content) // 2] ^= 1
    files[name] = bytes(content)


def removed(files: Files) -> None:
    del files["results/drawn/tables/run.csv"]


def added(files: Files) -> None:
    files["results/drawn/cells/extra.json"] = b"{}"


def unlisted(files: Files) -> None:
    del files["manifest-sha256.txt"]


def garbled(files: Files) -> None:
    files["manifest-sha256.txt"] += b"no checksum\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (tampered, r"sha256 differs .*: results/drawn/cells/\S+graph/timeline.parquet$"),
        (removed, r"missing, but manifest-sha256.txt lists them: results/drawn/tables/run.csv$"),
        (added, r"not listed in manifest-sha256.txt: results/drawn/cells/extra.json$"),
        (unlisted, r"no file manifest-sha256.txt; allowed"),
        (garbled, r"manifest-sha256.txt:\d+: not allowed; allowed: a sha256"),
    ],
)
def test_a_changed_package_is_refused(
    package: Path, tmp_path: Path, change: Callable[[Files], None], message: str
) -> None:
    files = files_of(package)
    change(files)
    with pytest.raises(CodewattError, match=message):
        import_package(write(tmp_path / "changed.zip", files), tmp_path / "results")
    assert not list((tmp_path / "results").glob("*")), "nothing is left there"


def test_tables_that_the_records_do_not_give_are_named(package: Path, tmp_path: Path) -> None:
    """Even if whoever changed them wrote new checksums."""
    files = files_of(package)
    files["results/drawn/tables/cell.csv"] += b"\n"
    changed = write(tmp_path / "changed.zip", files, resealed=True)
    with pytest.raises(CodewattError, match=r"again differ: cell.csv: with the same code"):
        import_package(changed, tmp_path / "results")


def test_other_versions_are_named_as_the_cause(package: Path, tmp_path: Path) -> None:
    files = files_of(package)
    files["results/drawn/tables/cell.csv"] += b"\n"
    environment = files["settings/environment.json"].decode()
    line = next(line for line in environment.splitlines() if '"pyarrow"' in line)
    environment = environment.replace(line, '    "pyarrow": "1.2.3",')
    files["settings/environment.json"] = environment.encode()
    changed = write(tmp_path / "changed.zip", files, resealed=True)
    with pytest.raises(CodewattError, match=r"pyarrow 1.2.3 made them, here is \d"):
        import_package(changed, tmp_path / "results")


def test_results_of_another_study_are_refused(package: Path, tmp_path: Path) -> None:
    files = files_of(package)
    study = files["settings/study.yaml"].replace(b"study: drawn", b"study: other")
    files["settings/study.yaml"] = study
    changed = write(tmp_path / "changed.zip", files, resealed=True)
    with pytest.raises(CodewattError, match=r"holds results of drawn; allowed: .*'other'"):
        import_package(changed, tmp_path / "results")


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/outside", "a/../../outside", "a//b", "./a", "a\\..\\b", "a\nb",
     "\u202etxt", "x" * 2000],
)  # fmt: skip
def test_names_outside_of_the_package_are_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "hostile.zip", {name: b"content"})
    with pytest.raises(CodewattError, match="not allowed"):
        import_package(path, tmp_path / "results")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostile.zip"]


def test_a_name_with_a_nul_byte_is_refused(tmp_path: Path) -> None:
    """Python's zipfile would cut it there."""
    path = write(tmp_path / "hostile.zip", {"results/aXb": b"content"})
    path.write_bytes(path.read_bytes().replace(b"results/aXb", b"results/a\0b"))
    with pytest.raises(CodewattError, match="the name has a character that is not allowed"):
        import_package(path, tmp_path / "results")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK])
def test_links_and_special_files_in_an_archive_are_refused(tmp_path: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("results/drawn/link")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "hostile.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(CodewattError, match="is a link or special file"):
        import_package(tmp_path / "hostile.zip", tmp_path / "results")


def test_links_in_a_directory_are_refused(tmp_path: Path) -> None:
    (tmp_path / "hostile").mkdir()
    (tmp_path / "hostile" / "link").symlink_to("/etc")
    with pytest.raises(CodewattError, match="link: is a link or special file"):
        import_package(tmp_path / "hostile", tmp_path / "results")


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "hostile.zip", "w") as archive:
        archive.writestr("a", "one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", "two")
    with pytest.raises(CodewattError, match="a: stands there twice"):
        import_package(tmp_path / "hostile.zip", tmp_path / "results")


def test_a_compression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros", "w") as stream,
    ):
        for _ in range(100):
            stream.write(bytes(1 << 20))
    with pytest.raises(CodewattError, match="looks like a compression bomb"):
        import_package(tmp_path / "bomb.zip", tmp_path / "results")


def test_a_size_that_the_header_hides_is_refused(tmp_path: Path) -> None:
    """A header that says 10 bytes, for a file of 10 MB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large", bytes(10_000_000))
    content = buffer.getvalue().replace((10_000_000).to_bytes(4, "little"), b"\x0a\x00\x00\x00")
    (tmp_path / "lying.zip").write_bytes(content)
    with (
        open_package(tmp_path / "lying.zip") as opened,
        pytest.raises(CodewattError, match=r"large: (damaged|holds more)"),
    ):
        opened.extract("large", tmp_path / "large")
    assert (tmp_path / "large").stat().st_size <= 10


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "locked.zip", {"a": b"content"})
    content = bytearray((tmp_path / "locked.zip").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    (tmp_path / "locked.zip").write_bytes(content)
    with pytest.raises(CodewattError, match="a: is encrypted"):
        import_package(tmp_path / "locked.zip", tmp_path / "results")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.zip").write_bytes(content)
    with pytest.raises(CodewattError, match=r"broken.zip: not readable as zip"):
        import_package(tmp_path / "broken.zip", tmp_path / "results")


def test_a_package_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CodewattError, match=r"absent.zip: no such file"):
        import_package(tmp_path / "absent.zip", tmp_path / "results")
