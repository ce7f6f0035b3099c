"""The command line: `codewatt study`, `pin`, `estimate`, `power`, `evaluate` and others."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from codewatt.error_messages import describe, printable
from codewatt.untrusted_files import expand_home


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Bad input, a full disk or too little memory is reported in one line on stderr, with exit code 1.
    Only an error of the program itself ends with a traceback.
    """
    try:
        options = command_parser().parse_args(arguments)
        for name, value in vars(options).items():
            if isinstance(value, Path):
                setattr(options, name, Path(expand_home(str(value))))
        return int(options.run(options) or 0)
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        print("codewatt: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        line = describe(error)
        if line is None:
            raise
        print(f"codewatt: {printable(line)}", file=sys.stderr)
        return 1


def command_parser() -> argparse.ArgumentParser:
    """The parser of every command; each sets `run`, which takes the parsed options."""
    import codewatt.estimate.estimate_command as estimate_command
    import codewatt.estimate.power_command as power_command
    import codewatt.evaluate.evaluate_command as command
    import codewatt.models.pin_command as pin_command
    import codewatt.placement.site_command as site_command
    import codewatt.published.audit_command as published_command
    import codewatt.replication.replication_commands as replication_commands

    parser = argparse.ArgumentParser(
        prog="codewatt",
        description="What compressing a code LLM costs and saves in energy, time and accuracy.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    evaluate = commands.add_parser(
        "evaluate", help="judge completions that were generated elsewhere"
    )
    command.add_arguments(evaluate)
    evaluate.set_defaults(run=command.run)
    estimate = commands.add_parser(
        "estimate", help="estimate a study: jobs, GPU hours, energy, CO2, disk, wall time"
    )
    estimate_command.add_arguments(estimate)
    estimate.set_defaults(run=estimate_command.run)
    power = commands.add_parser(
        "power", help="tell which effects a study's sessions, repeats and tasks can detect"
    )
    power_command.add_arguments(power)
    power.set_defaults(run=power_command.run)
    study = commands.add_parser("study", help="check a study file and show its grid")
    study.add_argument("file", type=Path, help="the study file")
    study.set_defaults(run=_study)
    pin = commands.add_parser("pin", help="write the commits of a study's hub models into its file")
    pin_command.add_arguments(pin)
    pin.set_defaults(run=pin_command.run)
    site = commands.add_parser("site", help="check a site file against this Slurm cluster")
    site_command.add_arguments(site)
    site.set_defaults(run=site_command.run)
    published = commands.add_parser("published", help="check the figures of published studies")
    published_command.add_arguments(published)
    published.set_defaults(run=published_command.run)
    export = commands.add_parser(
        "export", help="write a finished study as a replication package (RO-Crate)"
    )
    replication_commands.add_export_arguments(export)
    export.set_defaults(run=replication_commands.run_export)
    imported = commands.add_parser(
        "import", help="check a replication package and make its tables again"
    )
    replication_commands.add_import_arguments(imported)
    imported.set_defaults(run=replication_commands.run_import)
    reference = commands.add_parser(
        "reference", help="write reference pages and the study file's schema"
    )
    reference.add_argument("--schema", type=Path, help="write the study file's JSON schema here")
    reference.add_argument("--page", type=Path, help="write the page of the study file here")
    reference.add_argument("--commands", type=Path, help="write the page of the command line here")
    reference.add_argument("--tables", type=Path, help="write the page of the tables here")
    reference.add_argument("--checks", type=Path, help="write the page of validity checks here")
    reference.set_defaults(run=_reference)
    return parser


def _study(options: argparse.Namespace) -> int:
    """Validate a study and print its cells, one a line."""
    from codewatt.preflight import load_grid
    from codewatt.prune_chains import build_chains

    grid = load_grid(options.file)
    for cell in grid.cells:
        print(cell.id)
    open_ended = sum(len(chain) - 1 for chain in build_chains(grid))
    print(
        f"{grid.study.study}: {len(grid.model_ids)} models, {len(grid.variants)} variants, "
        f"{len(grid.cells)} cells"
        + (f" in {grid.study.sessions} sessions each" if grid.study.sessions > 1 else "")
        + (f", {open_ended} of them only until nothing is solved" if open_ended else ""),
        file=sys.stderr,
    )
    return 0


def _reference(options: argparse.Namespace) -> int:
    """Write each generated page that the options name."""
    from codewatt.analysis.column_reference import tables_page
    from codewatt.cli_reference import command_line_page
    from codewatt.config.schema import reference, study_schema
    from codewatt.energy.validity.all_checks import checks_page
    from codewatt.files import atomic_path

    for path, text in (
        (options.schema, study_schema),
        (options.page, reference),
        (options.checks, checks_page),
        (options.commands, lambda: command_line_page(command_parser())),
        (options.tables, tables_page),
    ):
        if path is not None:
            with atomic_path(path) as temporary:
                temporary.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
