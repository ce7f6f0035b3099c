"""`codewatt estimate STUDY`: what a study will take, and what it took so far."""

import argparse
import json
import os
from pathlib import Path

from codewatt.errors import CodewattError

_DEFAULT_GPU = "l40s"
_CLUSTER_CORES = 8  # profiles/slurm/site.yaml


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    parser.add_argument("file", type=Path, help="the study file")
    parser.add_argument(
        "--gpu",
        metavar="NAME",
        help=f"the card, by docs/estimate.md (default: {_DEFAULT_GPU}); 'none' for CPUs",
    )
    parser.add_argument(
        "--gpus", type=int, default=1, metavar="N", help="cards at a time (default: 1)"
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
    from codewatt.cells import Grid
    from codewatt.config.load import load_study
    from codewatt.estimate.render import as_text, as_values
    from codewatt.estimate.report import make_report
    from codewatt.sizing.gpus import gpu_named

    for name in ("gpus", "cores"):
        if (given := getattr(options, name)) is not None and given < 1:
            raise CodewattError(f"--{name} {given}: at least 1 is needed")
    grid = Grid(load_study(options.file), str(options.file))
    named = options.gpu or ("none" if grid.study.device == "cpu" else _DEFAULT_GPU)
    if named != "none" and grid.study.device == "cpu":
        raise CodewattError(f"--gpu {named}: the study's device is 'cpu'; allowed: none")
    if named == "none" and grid.study.device == "cuda":
        raise CodewattError("--gpu none: the study's device is 'cuda'; name a card")
    gpu = None if named == "none" else gpu_named(named)
    cores = options.cores or (_CLUSTER_CORES if gpu else os.cpu_count() or 1)
    report = make_report(grid, options.results, gpu, options.gpus, cores, options.host_w)
    if options.json:
        print(json.dumps(as_values(report), indent=2, ensure_ascii=False))
    else:
        print(as_text(report))
    return 0
