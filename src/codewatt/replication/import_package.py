"""Import of a replication package: every digest is checked and the tables are made again.

Nothing of the package is executed. Records are read by the checks of their types; the study file by
those of every study file.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from codewatt.config.load_study import load_study
from codewatt.errors import CodewattError
from codewatt.grid import Grid
from codewatt.paths import Paths
from codewatt.replication import package_layout as layout
from codewatt.replication.archive_reader import (
    Package,
    check_space,
    open_package,
    read_checksums,
)
from codewatt.replication.export_study import read_environment
from codewatt.replication.package_texts import ENVIRONMENT_RECORD, EnvironmentRecord
from codewatt.replication.remade_tables import different_files, make_tables, table_files
from codewatt.replication.workflow_files import checkout
from codewatt.units import NS_PER_S
from codewatt.untrusted_files import display_path

#: Folder of the study's results in which the rest of the package is put.
_REST = "package"
_NAMED = 5


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        root: the folder of the study's results.
        study_file: the study file, in that folder.
        files: number of files whose digest was checked.
        tables: names of the tables that were made again, the same byte for byte.
    """

    root: Path
    study_file: Path
    files: int
    tables: list[str]


def import_package(path: Path, results: Path) -> Imported:
    """Check a package, put its results in place and make the tables again.

    Args:
        path: a zip archive or a directory, made by `codewatt export`.
        results: the results directory; results/STUDY must not exist.

    Raises:
        CodewattError: the package is refused, a file differs from its digest, the results exist
            already, or a table that is made again differs from the one in the package.
    """
    with open_package(path) as package:
        digests = _checked_names(package)
        results.mkdir(parents=True, exist_ok=True)
        check_space(package, results)
        with _temporary(results) as folder:
            _extract(package, digests, folder)
            grid = Grid(load_study(folder / layout.STUDY), layout.STUDY)
            study = grid.study.study
            unpacked = folder / layout.RESULTS / study
            found = sorted(p.name for p in (folder / layout.RESULTS).glob("*"))
            if found != [study]:
                raise CodewattError(
                    f"{display_path(path)}: holds results of {', '.join(found) or 'no study'}; "
                    f"allowed: those of the study in {layout.STUDY}, {study!r}"
                )
            root = Paths.of(results, grid.study).root
            if os.path.lexists(root):
                raise CodewattError(
                    f"{display_path(root)}: exists already; allowed: a results directory without "
                    f"this study (--results)"
                )
            remade = folder / "tables"
            make_tables(grid, Paths(unpacked), remade)
            different = different_files(table_files(), unpacked / "tables", remade)
            if different:
                raise CodewattError(_difference(path, different, folder))
            _put_in_place(folder, unpacked, root)
    return Imported(root, root / _REST / layout.STUDY, len(digests), table_files())


def _checked_names(package: Package) -> dict[str, str]:
    """Path -> sha256 of all files but the list itself.

    Raises:
        CodewattError: the list and the files do not name the same.
    """
    where = display_path(package.path)
    for name in (layout.CHECKSUMS, layout.METADATA, layout.STUDY):
        if name not in package.sizes:
            raise CodewattError(
                f"{where}: no file {name}; allowed: a package made by codewatt export"
            )
    digests = read_checksums(package, layout.CHECKSUMS)
    names = package.sizes.keys() - {layout.CHECKSUMS}
    for problem, found in (
        (f"missing, but {layout.CHECKSUMS} lists them", digests.keys() - names),
        (f"not listed in {layout.CHECKSUMS}", names - digests.keys()),
    ):
        if found:
            raise CodewattError(f"{where}: files that are {problem}: {_named(found)}")
    return digests


def _extract(package: Package, digests: dict[str, str], folder: Path) -> None:
    """Write all files below a folder.

    Raises:
        CodewattError: names the files whose sha256 differs.
    """
    wrong = [
        name for name in sorted(digests) if package.extract(name, folder / name) != digests[name]
    ]
    if wrong:
        raise CodewattError(
            f"{display_path(package.path)}: sha256 differs from {layout.CHECKSUMS}: {_named(wrong)}"
        )


@contextmanager
def _temporary(directory: Path) -> Iterator[Path]:
    """A folder beside the results, on the same file system; removed in the end."""
    folder = Path(tempfile.mkdtemp(prefix=".codewatt-import.", dir=directory))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(folder: Path, unpacked: Path, root: Path) -> None:
    """Move the results to their place and the rest of the package into a folder beside them.

    All files get the same modification time. Snakemake, which has no record of these jobs, then
    takes no output for older than its input, and runs no measurement again.
    """
    rest = unpacked / _REST
    rest.mkdir()
    for path in sorted(folder.iterdir()):
        if path.name not in (layout.RESULTS, "tables"):
            path.rename(rest / path.name)
    now_ns = time.time_ns() // int(NS_PER_S) * int(NS_PER_S)
    for parent, _, names in os.walk(unpacked):
        for name in names:
            os.utime(Path(parent, name), ns=(now_ns, now_ns))
    unpacked.rename(root)


def _difference(path: Path, tables: list[str], folder: Path) -> str:
    """Why tables that were made again may differ: other code or other packages."""
    made: EnvironmentRecord = ENVIRONMENT_RECORD.read(folder / layout.ENVIRONMENT)
    here = read_environment(checkout())
    reasons = [
        f"{name} {made['versions'].get(name)} made them, here is {version}"
        for name, version in here["versions"].items()
        if made["versions"].get(name) != version
    ]
    if changed := {line.rpartition(" ")[0] for line in {*made["code"]} ^ {*here["code"]}}:
        reasons.append(
            f"the code differs ({_named(changed)}; the package was made at commit {made['commit']})"
        )
    reason = "; ".join(reasons) or "with the same code and packages"
    return f"{display_path(path)}: tables made again differ: {', '.join(tables)}: {reason}"


def _named(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    listed = sorted(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(display_path(name) for name in listed[:_NAMED]) + more
