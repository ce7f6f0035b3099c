"""`codewatt estimate STUDY`: what a study will take, and what it took so far."""

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
        help="the card, by docs/estimate.md (default: l40s); 'none' for CPUs; where the study "
        "names hardware: of those names that are no card themselves, and of no other",
    )
    parser.add_argument(
        "--gpus",
        type=int,
        default=1,
        metavar="N",
        help="cards at a time, whichever they are (default: 1)",
    )
    parser.add_argument(
        "--cores", type=int, metavar="N", help="cores of a job that judges completions"
    )
    parser.add_argument(
        "--host-w", type=float, metavar="W", help="power of a machine's CPU and memory"
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="what is finished there is shown beside (default: results)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; the exit code."""
    from codewatt.estimate.estimate_report import make_report
    from codewatt.estimate.estimate_text import as_text, as_values
    from codewatt.estimate.gpu_selection import cards_of, said_of
    from codewatt.preflight import load_grid

    for name in ("gpus", "cores"):
        if (given := getattr(options, name)) is not None and given < 1:
            raise CodewattError(f"--{name} {given}: at least 1 is needed")
    if (watts := options.host_w) is not None and not 0 <= watts < math.inf:
        raise CodewattError(f"--host-w {watts:g}: a finite number of W, 0 or more, is needed")
    grid = load_grid(options.file)
    cards = cards_of(grid, options.gpu)
    cores = options.cores or (_CLUSTER_CORES if any(cards.values()) else os.cpu_count() or 1)
    said = said_of(cards, options.gpu)
    report = make_report(grid, options.results, cards, options.gpus, cores, options.host_w, said)
    if options.json:
        print(json.dumps(as_values(report), indent=2, ensure_ascii=False))
    else:
        show(as_text(report))
    return 0
