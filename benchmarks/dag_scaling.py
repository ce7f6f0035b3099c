"""How long a dry run of a large study takes, and what the time goes into.

    python benchmarks/dag_scaling.py [--jobs 500 5000 20000] [--profile profiles/slurm]

Each study has up to 30 models, 4 prune settings, 5 precisions, and as many token limits as give the
number of jobs. Printed: jobs, seconds by the clock, seconds of processor.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml


def study(jobs: int) -> dict[str, object]:
    """A study of at least that many jobs: three a cell, one a variant."""
    models = max(1, min(30, jobs // 150))
    variants = models * 4 * 5
    limits = -(-(jobs - variants) // (3 * variants))
    bits = {"method": "bitsandbytes", "compute_dtype": "bfloat16"}
    return {
        "study": "scaling",
        "title": "A study of many cells",
        "models": [
            {"id": f"model-{n}", "source": "hub", "repo": f"owner/model-{n}", "revision": "0" * 40}
            for n in range(models)
        ],
        "prunes": [
            {"id": "full", "method": "none"},
            *({"id": f"last{n}", "method": "last", "layers": n} for n in (1, 2, 3)),
        ],
        "precisions": [
            {"id": "fp32", "method": "none", "dtype": "float32"},
            {"id": "bf16", "method": "none", "dtype": "bfloat16"},
            {"id": "int8", "quant_type": "int8", **bits},
            {"id": "nf4", "quant_type": "nf4", **bits},
            {"id": "fp4", "quant_type": "fp4", **bits},
        ],
        "benchmarks": [{"id": "nano", "kind": "nano"}],
        "token_limits": [32 + n for n in range(limits)],
        "baseline": {"precision": "bf16", "prune": "full"},
    }


def measure(jobs: int, arguments: list[str]) -> str:
    """A dry run of such a study: one line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.yaml"
        file.write_text(yaml.safe_dump(study(jobs)))
        command = ["snakemake", "--dry-run", "--quiet", "rules", *arguments]
        command += ["--config", f"study={file}", f"results={folder}/results"]
        before, start_s = os.times(), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wall_s, after = time.perf_counter() - start_s, os.times()
    if done.returncode != 0:
        sys.exit(done.stderr[-2000:] or done.stdout[-2000:])
    total = next(line.split()[-1] for line in done.stdout.splitlines() if line.startswith("total"))
    processor_s = sum(after[2:4]) - sum(before[2:4])
    return f"{total:>7} {wall_s:9.1f} {processor_s:14.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[500, 5000, 20000])
    parser.add_argument("--profile", default=None)
    options = parser.parse_args()
    arguments = ["--profile", options.profile] if options.profile else []
    print("   jobs   clock s   processor s")
    for jobs in options.jobs:
        print(measure(jobs, arguments), flush=True)


if __name__ == "__main__":
    main()
