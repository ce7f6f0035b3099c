"""`codewatt power STUDY`: which effects a study's design can detect, before it runs."""

import argparse
import json
from pathlib import Path

from codewatt.error_messages import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    parser.add_argument("file", type=Path, help="the study file")
    parser.add_argument(
        "--pilot",
        type=Path,
        metavar="DIR",
        help="results of a finished study with such cells, as results/nano: its spreads and "
        "its discordant tasks are used (default: recorded spreads)",
    )
    parser.add_argument(
        "--device",
        choices=("gpu", "cpu"),
        help="whose recorded spreads are used (default: cpu if the study's device is 'cpu', or "
        "else gpu)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; the exit code."""
    from codewatt.estimate.pilot_study import read_pilot
    from codewatt.estimate.power_report import make_power_report
    from codewatt.estimate.power_text import power_text, power_values
    from codewatt.preflight import load_grid

    grid = load_grid(options.file)
    pilot = None if options.pilot is None else read_pilot(options.pilot / "tables")
    device = options.device or ("cpu" if grid.study.device == "cpu" else "gpu")
    report = make_power_report(grid, device, pilot)
    if options.json:
        print(json.dumps(power_values(report), indent=2, ensure_ascii=False))
    else:
        show(power_text(report))
    return 0
