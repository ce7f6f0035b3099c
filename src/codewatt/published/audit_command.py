"""`codewatt published check`: audits the energy figures of published studies."""

import argparse
from pathlib import Path

from codewatt.error_messages import show
from codewatt.errors import CodewattError
from codewatt.files import write_csv_rows
from codewatt.published.audit_text import CHECK_COLUMNS, csv_row, render
from codewatt.published.checked_run import group_by_table
from codewatt.published.published_study import open_study, study_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `codewatt published` to a parser."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="check the energy figures of published studies")
    check.description = (
        "Check the published energy of every run of a study, and correct missed counter wraps."
    )
    check.add_argument(
        "study",
        nargs="?",
        metavar="STUDY",
        help=f"name of the study (default: all studies); one of: {', '.join(study_names())}",
    )
    check.add_argument(
        "--data", type=Path, metavar="FILE", help="the study's runs (default: the packaged file)"
    )
    check.add_argument("--runs", action="store_true", help="print one line for each run")
    check.add_argument("--csv", type=Path, metavar="FILE", help="also write all runs to a CSV file")


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; returns the exit code.

    Raises:
        CodewattError: the study is unknown, a file is missing or wrong, or an option needs one
            study.
    """
    names = [options.study] if options.study is not None else study_names()
    for option in ("data", "csv"):
        if getattr(options, option) is not None and len(names) > 1:
            raise CodewattError(f"--{option}: one study is needed; name one of: {', '.join(names)}")
    for name in names:
        study = open_study(name)
        checked = study.audit(options.data or study.data_file)
        if options.csv is not None:
            rows = (csv_row(one, study.csv_columns) for one in checked)
            write_csv_rows(options.csv, (*study.csv_columns, *CHECK_COLUMNS), rows)
        show(render(study, group_by_table(checked), by_run=options.runs))
    return 0
