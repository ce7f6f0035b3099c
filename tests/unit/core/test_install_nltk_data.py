"""NLTK's data are installed from an archive only if all files are the pinned ones."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

DATA = "bigcodebench/nltk_data.tar.xz"


def install(repository: Path, target: Path, archive: Path) -> subprocess.CompletedProcess[str]:
    script = repository / "tools" / "install_nltk_data.py"
    return subprocess.run(
        [sys.executable, script, target, archive], capture_output=True, text=True, check=False
    )


def test_other_files_are_refused_in_one_line(repository: Path, tmp_path: Path) -> None:
    archive, target = tmp_path / "data.zip", tmp_path / "nltk_data"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("nltk_data/tokenizers/punkt/PY3/english.pickle", "other")
    done = install(repository, target, archive)
    assert done.returncode == 1
    assert done.stderr.startswith("setup: NLTK data: tokenizers/punkt/PY3/english.pickle: sha256")
    assert done.stderr.count("\n") == 1
    assert not target.exists()


def test_what_is_no_archive_is_refused_in_one_line(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    done = install(repository, tmp_path / "nltk_data", tmp_path / "text")
    assert "cannot be unpacked" in done.stderr
    assert done.stderr.count("\n") == 1
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    done = install(repository, tmp_path / "nltk_data", tmp_path / "empty.tar")
    assert "contains no directory nltk_data" in done.stderr


@pytest.mark.data
def test_the_pinned_files_are_installed(repository: Path, test_data: Path, tmp_path: Path) -> None:
    target = tmp_path / "nltk_data"
    done = install(repository, target, test_data / DATA)
    assert done.returncode == 0, done.stderr
    words = (target / "corpora/stopwords/english").read_bytes()
    assert hashlib.sha256(words).hexdigest().startswith("019f104b")
