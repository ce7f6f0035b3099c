"""`codewatt export STUDY OUT` and `codewatt import PACKAGE`."""

import argparse
import re
from pathlib import Path

from codewatt.error_messages import show
from codewatt.errors import CodewattError
from codewatt.units import BYTES_PER_GB

_LICENSE, _CONFIG = "CC-BY-4.0", "config/config.yaml"
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `codewatt export`."""
    parser.add_argument("file", type=Path, help="the study file")
    parser.add_argument(
        "out", type=Path, help="the package: a new zip archive (OUT.zip) or a new directory"
    )
    parser.add_argument(
        "--results",
        default="results",
        metavar="DIR",
        help="the results directory, written as for the run (default: results)",
    )
    parser.add_argument(
        "--site",
        type=Path,
        metavar="FILE",
        help="the site file of the run, if there was one (default: config/config.yaml)",
    )
    parser.add_argument(
        "--citation",
        type=Path,
        metavar="FILE",
        help="CITATION.cff that names the authors of the study (default: that of the checkout)",
    )
    parser.add_argument(
        "--license",
        default=_LICENSE,
        metavar="SPDX",
        help=f"SPDX identifier of the licence of the data (default: {_LICENSE})",
    )


def run_export(options: argparse.Namespace) -> int:
    """Run `codewatt export` with parsed options; the exit code."""
    from codewatt.paths import Paths, in_checkout
    from codewatt.preflight import load_grid
    from codewatt.replication.archive_writer import check_output
    from codewatt.replication.export_study import Export, export_study
    from codewatt.replication.workflow_files import (
        checkout,
        read_workflow_files,
        refuse_unfinished,
    )

    if not _SPDX.fullmatch(options.license):
        raise CodewattError(
            f"--license {options.license!r}: not allowed; allowed: an SPDX identifier, such as "
            f"{_LICENSE}"
        )
    check_output(options.out)
    grid = load_grid(options.file)
    paths = Paths.of(options.results, grid.study)
    aa_test = Path(paths.table("aa_test.csv")).is_file()
    files = read_workflow_files(options.file, options.results, options.site, aa_test)
    refuse_unfinished(files, str(paths.root))
    root = checkout()
    export = Export(
        grid=grid,
        study_file=options.file,
        results=options.results,
        files=files,
        site=options.site or Path(in_checkout(_CONFIG, root)),
        citation=options.citation or root / "CITATION.cff",
        license_id=options.license,
    )
    exported = export_study(export, options.out)
    left_out_gb = sum(size for _, _, size in exported.weights) / BYTES_PER_GB
    show(f"{options.out}: {exported.files} files, all up to date")
    show(
        f"left out: weights of {len(exported.weights)} variants ({left_out_gb:.3f} GB); "
        "their sha256 are in the manifests, and Snakemake makes them again"
    )
    return 0


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `codewatt import`."""
    parser.add_argument("package", type=Path, help="a package that `codewatt export` made")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="the results directory; DIR/STUDY must not exist (default: results)",
    )


def run_import(options: argparse.Namespace) -> int:
    """Run `codewatt import` with parsed options; the exit code."""
    from codewatt.replication.import_package import import_package

    imported = import_package(options.package, options.results)
    show(f"{options.package}: sha256 of {imported.files} files checked")
    show(f"{imported.root}: results; the study file is {imported.study_file}")
    show(f"{len(imported.tables)} tables made again, each the same byte for byte")
    return 0
