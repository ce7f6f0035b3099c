"""Put the NLTK data that BigCodeBench's tasks read into a directory; runs in .venv-bigcodebench.

Usage: python tools/install_nltk_data.py DIRECTORY [ARCHIVE]

Without ARCHIVE, NLTK's own downloader fetches five packages from one commit of nltk/nltk_data.
ARCHIVE is a local copy instead: a .tar, .tar.gz, .tar.xz or .zip with the directory nltk_data.
Either way the files that the tasks read must have the pinned SHA-256: with other versions, such as
a longer list of stop words, tests of some tasks fail.
"""

import hashlib
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

# The old pickles: NLTK 3.8 reads punkt, not punkt_tab.
COMMIT = "005569f5d91002697c5dfd5bced624209af0b3bb"
URL = f"https://raw.githubusercontent.com/nltk/nltk_data/{COMMIT}/packages"

#: Package -> directory, whether NLTK unpacks it, size (bytes) and MD5 of the zip file; the
#: downloader compares the last two. All are from index.xml of that commit; `words` from a copy.
PACKAGES = {
    "punkt": ("tokenizers", True, 13905355, "8dd1d8760a0976f96e5c262decd75165"),
    "averaged_perceptron_tagger": (
        "taggers", True, 2526731, "05c91d607ee1043181233365b3f76978",
    ),
    "vader_lexicon": ("sentiment", False, 90486, "8b3824e2c39b655dd225fb266c8bea53"),
    "stopwords": ("corpora", True, 34276, "8726a900bca7083674536e2593686361"),
    "words": ("corpora", True, 757777, "8594d9d5422e01d993dfbbc3f38d3ae5"),
}  # fmt: skip

#: Files that the tasks read -> SHA-256.
FILES = {
    "tokenizers/punkt/PY3/english.pickle": (
        "5cad3758596392364e3be9803dbd7ebeda384b68937b488a01365f5551bb942c"
    ),
    "taggers/averaged_perceptron_tagger/averaged_perceptron_tagger.pickle": (
        "25a5a19c7ced7b2bac3831da5bc0afcc2c34e5dd01cd4f361bb799949a696238"
    ),
    "sentiment/vader_lexicon.zip": (
        "8adba4294eef3964d820bf655e37e61bdc3a341994356af59b74fb3b4a36ce5c"
    ),
    "corpora/stopwords/english": "019f104ba2ed07436d05f9cdd3383034ad66014edc27fc651f837e1a038b6451",
    "corpora/words/en": "69d1a74371b98676d3312727115b13fefaf57d561561b6ee347d13b1eea0d0c9",
}


def fail(message: str) -> None:
    """End with one line."""
    sys.exit(f"setup: NLTK data: {message}")


def unpack(archive: Path, target: Path) -> Path:
    """Unpack an archive into a directory; returns the directory nltk_data in it."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(target)
        else:
            with tarfile.open(archive) as packed:
                packed.extractall(target, filter="data")
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        reason = str(error).splitlines()[0]
        fail(f"{archive}: cannot be unpacked: {reason}; allowed: .tar, .tar.gz, .tar.xz, .zip")
    if not (target / "nltk_data").is_dir():
        fail(f"{archive}: contains no directory nltk_data")
    return target / "nltk_data"


def download(target: Path) -> Path:
    """Download the packages with NLTK's downloader."""
    from nltk.downloader import Downloader, Package

    for name, (directory, unzip, size, md5) in PACKAGES.items():
        package = Package(
            name, f"{URL}/{directory}/{name}.zip", subdir=directory, size=size, checksum=md5,
            unzip=unzip,
        )  # fmt: skip
        try:
            Downloader().download(
                package, download_dir=str(target), quiet=True, raise_on_error=True
            )
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            fail(f"{reason}; set NLTK_DATA_ARCHIVE to a local copy")
    return target


def check(directory: Path) -> None:
    """Compare the files with the pinned digests."""
    for name, wanted in FILES.items():
        path = directory / name
        if not path.is_file():
            fail(f"{name} is missing")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != wanted:
            fail(f"{name}: sha256 is {found}; allowed: {wanted}")


def main() -> None:
    """Install the data; the directory appears only when all files are there and right."""
    target = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        found = unpack(Path(sys.argv[2]), new) if len(sys.argv) > 2 else download(new)
        check(found)
        shutil.rmtree(target, ignore_errors=True)
        found.rename(target)


if __name__ == "__main__":
    main()
