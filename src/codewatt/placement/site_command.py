"""`codewatt site check`: list what this cluster has, and compare the site file with it."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from codewatt.config.load_study import load_config
from codewatt.config.yaml_file import read_yaml
from codewatt.error_messages import printable, show
from codewatt.placement.site_check import site_notes, site_problems
from codewatt.slurm.slurm_nodes import Cluster, read_cluster

_DEFAULT = Path("profiles/slurm/site.yaml")
#: Smallest MinJobAge (s), the time that Slurm remembers finished jobs: three times the profile's
#: first wait. If it is smaller, Snakemake's executor reads states from sacct instead of squeue, and
#: sacct does not report some cancelled jobs.
_MIN_JOB_AGE_S = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("what", choices=["check"], help="compare a site file with this cluster")
    parser.add_argument(
        "--site", type=Path, default=_DEFAULT, help=f"the site file (default: {_DEFAULT})"
    )


def run(options: argparse.Namespace) -> int:
    """Print the partitions and nodes, then the problems of the site file.

    Returns:
        1 if there is a problem.
    """
    machine = load_config(read_yaml(options.site), str(options.site)).machine
    cluster = read_cluster()
    for line in table_of_nodes(cluster):
        show(line)
    for line in site_notes(machine):
        show(f"note: {options.site}: {line}")
    found = site_problems(machine, cluster)
    for problem in found:
        print(printable(f"{options.site}: {problem}"), file=sys.stderr)
    if not found:
        show(f"{options.site}: no problem found")
    return 1 if found else 0


def table_of_nodes(cluster: Cluster) -> Iterable[str]:
    """A table of partitions, with one line for each kind of node."""
    rows = [("partition", "nodes", "cores", "memory MB", "time min", "GPUs", "features")]
    for partition in cluster.partitions:
        kinds: dict[tuple[str, ...], int] = {}
        for node in cluster.nodes:
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
    if cluster.min_job_age_s is not None and cluster.min_job_age_s < _MIN_JOB_AGE_S:
        yield (
            f"note: Slurm forgets finished jobs after {cluster.min_job_age_s} s (MinJobAge); their "
            "states are then read from sacct, which omits jobs that were cancelled while waiting"
        )
