"""`codewatt site check`: what this cluster offers, and what of the site file does not fit it."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from codewatt.config.load_study import load_config
from codewatt.config.yaml_file import read_yaml
from codewatt.error_messages import printable, show
from codewatt.slurm.cluster_inventory import Offers, read_offers
from codewatt.slurm.site_check import notes, problems

_DEFAULT = Path("profiles/slurm/site.yaml")
#: The executor falls back from squeue to sacct, which never reports some cancelled jobs, when
#: Slurm forgets finished jobs sooner than three of the profile's first waits.
_MIN_JOB_AGE_S = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("what", choices=["check"], help="compare a site file with this cluster")
    parser.add_argument("--site", type=Path, default=_DEFAULT, help=f"default: {_DEFAULT}")


def run(options: argparse.Namespace) -> int:
    """Print what there is, then what does not fit.

    Returns:
        1 if anything does not.
    """
    machine = load_config(read_yaml(options.site), str(options.site)).machine
    offers = read_offers()
    for line in described(offers):
        show(line)
    for line in notes(machine):
        show(f"note: {options.site}: {line}")
    found = problems(machine, offers)
    for problem in found:
        print(printable(f"{options.site}: {problem}"), file=sys.stderr)
    if not found:
        show(f"{options.site}: fits")
    return 1 if found else 0


def described(offers: Offers) -> Iterable[str]:
    """A table of partitions, a line a kind of node."""
    rows = [("partition", "nodes", "cores", "memory MB", "time min", "GPUs", "features")]
    for partition in offers.partitions:
        kinds: dict[tuple[str, ...], int] = {}
        for node in offers.nodes:
            if partition.name in node.partitions:
                gpus = ",".join(f"gpu:{k}:{n}" if k else f"gpu:{n}" for k, n in node.gpus.items())
                features = ",".join(node.features) or "-"
                kind = (str(node.cpus), str(node.mem_mb), gpus or "-", features)
                kinds[kind] = kinds.get(kind, 0) + 1
        limit = partition.max_runtime_min
        for (cpus, memory, gpus, features), count in kinds.items():
            time = "no limit" if limit is None else str(limit)
            rows.append((partition.name, str(count), cpus, memory, time, gpus, features))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if offers.min_job_age_s is not None and offers.min_job_age_s < _MIN_JOB_AGE_S:
        yield (
            f"note: Slurm forgets finished jobs after {offers.min_job_age_s} s (MinJobAge); states "
            "are then asked of sacct, which does not report jobs that were cancelled waiting"
        )
