"""`codewatt published check`, `model` and `page`: what published studies say, and what holds."""

import argparse
from pathlib import Path

from codewatt.error_messages import show
from codewatt.errors import CodewattError
from codewatt.files import write_csv_rows
from codewatt.published.published_study import open_study, study_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `codewatt published` to a parser."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="check the figures of published studies")
    check.description = (
        "Check published figures: what follows from them, what does not, and corrections where the "
        "data allow. de_reus_2024: energy of single runs, missed counter wraps, all tables and "
        "figures of results, and statements. buis_2024: all tables of the thesis, and its "
        "statements."
    )
    check.add_argument(
        "study",
        nargs="?",
        metavar="STUDY",
        help=f"name of the study (default: all studies); one of: {', '.join(study_names())}",
    )
    check.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="the study's figures: a file of runs, or a folder of tables (default: the packaged "
        "ones)",
    )
    check.add_argument("--runs", action="store_true", help="print one line for each run")
    check.add_argument(
        "--csv",
        type=Path,
        metavar="FILE",
        help="also write all checked runs or figures to a CSV file",
    )
    check.set_defaults(published=_check)
    model = commands.add_parser("model", help="show the analytical model of a published study")
    model.description = (
        "Show a study's formulas as printed and as they are, what they predict, and how well this "
        "agrees with the measured runs: a page in Markdown. buis_2024: equations 3.1 to 3.37."
    )
    model.add_argument("study", metavar="STUDY", help="name of the study: buis_2024")
    model.add_argument("--data", type=Path, metavar="PATH", help="as for check")
    model.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="also write the page, its figures and CSV files with all numbers into this folder",
    )
    model.set_defaults(published=_model)
    page = commands.add_parser("page", help="write one page on both published studies")
    page.description = (
        "Write index.html: every table and figure of both studies from their published numbers, "
        "computed again and corrected; verdicts on their statements; a checklist; and whether "
        "quantisation saves or costs energy, with codewatt's own measurements. Beside printed "
        "numbers stand those that study files of this project measured, where they were run. "
        "Figures and CSV files are written beside it."
    )
    page.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        default=Path("results/published"),
        help="folder to write into (default: %(default)s)",
    )
    page.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        default=Path("results"),
        help="results of study files, for the measured values (default: %(default)s)",
    )
    page.set_defaults(published=_page)


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; returns the exit code.

    Raises:
        CodewattError: the study is unknown, a file is missing or wrong, or an option needs one
            study.
    """
    return int(options.published(options))


def _model(options: argparse.Namespace) -> int:
    study = open_study(options.study)
    show(study.model_page(options.data or study.data, options.out).rstrip())
    return 0


def _page(options: argparse.Namespace) -> int:
    from codewatt.published.page.write_page import write_page

    show(str(write_page(options.out, options.results)))
    return 0


def _check(options: argparse.Namespace) -> int:
    names = [options.study] if options.study is not None else study_names()
    for option in ("data", "csv"):
        if getattr(options, option) is not None and len(names) > 1:
            raise CodewattError(f"--{option}: one study is needed; name one of: {', '.join(names)}")
    for name in names:
        study = open_study(name)
        audit = study.audit(options.data or study.data)
        if options.csv is not None:
            write_csv_rows(options.csv, audit.csv_columns, audit.csv_rows())
        show(audit.text(by_run=options.runs))
    return 0
