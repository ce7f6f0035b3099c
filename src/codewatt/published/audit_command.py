"""`codewatt published check`: puts a published study's energy figures to our checks."""

import argparse
from pathlib import Path

from codewatt.error_messages import show
from codewatt.errors import CodewattError
from codewatt.files import write_csv_rows
from codewatt.published.audit_report import CSV_COLUMNS, csv_row, render
from codewatt.published.run_checks import check
from codewatt.published.run_data import read_runs

DEFAULT = Path(__file__).resolve().parents[3] / "resources/published/de_reus_2024_energy.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    checks = commands.add_parser("check", help="de Reus et al. 2024: published, flagged, corrected")
    checks.description = "Judge the published energy of every run, and undo unseen counter wraps."
    checks.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="the runs (default: resources/published/de_reus_2024_energy.csv of the checkout)",
    )
    checks.add_argument("--runs", action="store_true", help="one line a run")
    checks.add_argument("--csv", type=Path, metavar="FILE", help="also write every run to a file")


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; the exit code."""
    path = options.data or DEFAULT
    if options.data is None and not path.is_file():
        raise CodewattError(f"{path}: no such file; name a copy with --data")
    checked = check(read_runs(path))
    if options.csv is not None:
        write_csv_rows(options.csv, CSV_COLUMNS, map(csv_row, checked))
    show(render(checked, by_run=options.runs))
    return 0
