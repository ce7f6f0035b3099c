"""`codewatt estimate STUDY`: estimate the time, energy, memory and disk of a study."""

import argparse
import json
import math
import os
from pathlib import Path

from codewatt.error_messages import show
from codewatt.errors import CodewattError

_CLUSTER_CORES = 8  # profiles/slurm/site.yaml


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    parser.add_argument("file", type=Path, help="the study file")
    parser.add_argument(
        "--gpu",
        metavar="NAME",
        help="name of a GPU in src/codewatt/sizing/gpus.csv (default: l40s), or 'none' for a CPU; "
        "if the study names hardware: the GPU for each id that is not in that table",
    )
    parser.add_argument(
        "--gpus",
        type=int,
        default=1,
        metavar="N",
        help="number of GPUs that are used at the same time (default: 1)",
    )
    parser.add_argument(
        "--cores", type=int, metavar="N", help="number of cores of a job that judges completions"
    )
    parser.add_argument(
        "--host-w", type=float, metavar="W", help="power of a machine's CPU and memory, in watts"
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="compare with the finished jobs in this directory (default: results)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; the exit code."""
    from codewatt.estimate.estimate_report import make_report
    from codewatt.estimate.estimate_text import report_text, report_values
    from codewatt.estimate.gpu_selection import select_gpus, selection_notes
    from codewatt.preflight import load_grid

    for name in ("gpus", "cores"):
        if (given := getattr(options, name)) is not None and given < 1:
            raise CodewattError(f"--{name} {given}: not allowed; allowed: 1 or more")
    if (watts := options.host_w) is not None and not 0 <= watts < math.inf:
        raise CodewattError(f"--host-w {watts:g}: not allowed; allowed: a finite number, 0 or more")
    grid = load_grid(options.file)
    cards = select_gpus(grid, options.gpu)
    cores = options.cores or (_CLUSTER_CORES if any(cards.values()) else os.cpu_count() or 1)
    gpu_notes = selection_notes(cards, options.gpu)
    report = make_report(
        grid, options.results, cards, options.gpus, cores, options.host_w, gpu_notes
    )
    if options.json:
        print(json.dumps(report_values(report), indent=2, ensure_ascii=False))
    else:
        show(report_text(report))
    return 0
