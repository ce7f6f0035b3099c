"""Measure a study on a machine with several GPUs: each session on one of them, in parallel.

Rule generate measures one cell at a time. On a machine with n GPUs this script runs n Snakemakes,
each in a copy of the checkout that sees one GPU and its share of the cores. GPU k measures the
sessions k + 1, k + 1 + n, ..., so all cells of a session share a board, as variants and baselines
must. Models, corpora and layer scores are made before, once; variants and their fidelity are made
in parallel and copied to all. After each step the results are copied to the checkout, and packed
into the archive, from which the other stages continue elsewhere, in a checkout of the same commit:

    python benchmarks/gpu_sessions.py config/studies/smollm2-gpu-wide.yaml --gpus 0 1 \
        --scratch /tmp/gpu-sessions --archive smollm2-gpu-wide.tar.gz

The energy of a cell is comparable with that of a run on one GPU only for `boundary: gpu`, because
processor and memory are shared.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from codewatt.config.load_study import load_study
from codewatt.grid import Grid
from codewatt.paths import Paths

ROOT = Path(__file__).resolve().parents[1]
#: Copied between checkouts: results, and what Snakemake knows of them.
_METADATA = ".snakemake/metadata"
#: CPU cores of a job that measures fidelity.
_FIDELITY_CORES = 4


@dataclass(frozen=True)
class Snakemake:
    """Snakemake in a checkout that sees one GPU and some of the cores.

    Attributes:
        checkout: its working directory.
        gpu: index or UUID of its GPU.
        cores: the CPU cores that it may use.
        config: what it is told by --config.
        log: the file to which its output is appended.
    """

    checkout: Path
    gpu: str
    cores: Sequence[int]
    config: Sequence[str]
    log: Path

    def make(self, step: str, targets: Sequence[str]) -> bool:
        """Make targets; returns whether all were made."""
        begun_s = time.monotonic()
        command = [sys.executable, "-m", "snakemake", *targets, "--cores", str(len(self.cores))]
        command += ["--keep-going", "--quiet", "rules"]
        # Fidelity is not metered, so several jobs share the GPU.
        command += ["--set-threads", f"measure_fidelity={_FIDELITY_CORES}"]
        command += ["--config", *self.config]
        environment = {
            **os.environ,
            "CUDA_VISIBLE_DEVICES": self.gpu,
            "PYTHONPATH": f"{self.checkout / 'src'}:{os.environ.get('PYTHONPATH', '')}",
        }
        with self.log.open("a", encoding="utf-8") as log:
            failed = subprocess.run(
                ["taskset", "--cpu-list", ",".join(map(str, self.cores)), *command],
                cwd=self.checkout,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        ended = f"failed with {failed}" if failed else "done"
        print(f"gpu {self.gpu}: {step}: {ended}, {time.monotonic() - begun_s:.0f} s", flush=True)
        return not failed


class Collection:
    """The results of all copies, in the checkout and in the archive."""

    def __init__(self, study: str, archive: Path | None) -> None:
        self._folder = f"results/{study}"
        self._archive = archive
        self._lock = threading.Lock()

    def make(self, run: Snakemake, step: str, targets: Sequence[str]) -> bool:
        """Make targets in a copy, from what all copies have made so far, and collect them."""
        if not targets:
            return True
        with self._lock:
            copy_results(ROOT, run.checkout)
        made = run.make(step, targets)
        with self._lock:
            copy_results(run.checkout, ROOT)
            self.pack()
        return made

    def pack(self) -> None:
        """Write the archive: results without weights, and Snakemake's metadata."""
        if self._archive is None:
            return
        part = self._archive.with_name(f".{self._archive.name}.part")
        with tarfile.open(part, "w:gz", compresslevel=3) as archive:
            for name in (self._folder, _METADATA):
                if (ROOT / name).exists():
                    archive.add(ROOT / name, name, filter=_without_weights)
        part.rename(self._archive)


def _without_weights(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "weights" in Path(member.name).parts else member


def main() -> None:
    """Make what the sessions share, then the variants, then the sessions side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", help="study file")
    parser.add_argument("--gpus", nargs="+", required=True, help="indices or UUIDs of GPUs")
    parser.add_argument("--scratch", type=Path, required=True, help="new folder for copies, logs")
    parser.add_argument("--archive", type=Path, help="the .tar.gz to write")
    parser.add_argument("--config", nargs="*", default=[], help="more KEY=VALUE for Snakemake")
    options = parser.parse_args()
    study = load_study(options.study)
    grid, paths = Grid(study, options.study), Paths.of("results", study)
    config = [f"study={Path(options.study).resolve()}", *options.config]
    cores, n = sorted(os.sched_getaffinity(0)), len(options.gpus)
    scratch = options.scratch.resolve()
    scratch.mkdir(parents=True)

    alone = Snakemake(ROOT, options.gpus[0], cores, config, scratch / "shared.log")
    if not alone.make("what the sessions share", _shared(grid, paths)):
        sys.exit(f"failed; see {alone.log}")
    runs = []
    for number, gpu in enumerate(options.gpus):
        copy = scratch / f"gpu-{gpu}"
        shutil.copytree(ROOT, copy, symlinks=True)
        runs.append(Snakemake(copy, gpu, cores[number::n], config, copy.with_suffix(".log")))
    collection = Collection(study.study, options.archive and options.archive.resolve())

    def run_sessions(number: int) -> bool:
        done = True
        for session in range(number + 1, study.sessions + 1, n):
            cells = [paths.cell("generate.json", cell.id) for cell in grid.in_session(session)]
            done = collection.make(runs[number], f"session {session}", cells) and done
        return done

    done = True
    with ThreadPoolExecutor(n) as pool:
        for step, name in (("variants", "manifest.json"), ("fidelity", "fidelity.json")):
            if step == "fidelity" and not study.fidelity:
                continue
            targets = [paths.variant(name, variant.id) for variant in grid.variants]
            shares = [targets[number::n] for number in range(n)]
            done = all(list(pool.map(collection.make, runs, [step] * n, shares))) and done
        done = all(list(pool.map(run_sessions, range(n)))) and done
    sys.exit(0 if done else f"some jobs failed; see the logs in {scratch}")


def _shared(grid: Grid, paths: Paths) -> list[str]:
    """What must be the same in all sessions and is not a variant."""
    return [
        *(paths.model(model) for model in grid.model_ids),
        *(paths.benchmark("manifest.json", benchmark) for benchmark in grid.benchmark_ids),
        *(paths.corpus("documents.jsonl.gz", corpus) for corpus in grid.corpus_ids),
        *(
            paths.contamination(corpus, benchmark)
            for corpus in grid.corpus_ids
            for benchmark in grid.benchmark_ids
        ),
        *(paths.layer_scores(*scoring) for scoring in grid.scorings),
    ]


def copy_results(source: Path, target: Path) -> None:
    """Copy results and Snakemake's metadata that the target lacks."""
    for name in ("results", _METADATA):
        for path in (source / name).rglob("*"):
            copied = target / path.relative_to(source)
            if path.is_file() and not copied.exists():
                copied.parent.mkdir(parents=True, exist_ok=True)
                part = copied.with_name(f".{copied.name}.part")
                shutil.copy2(path, part)
                part.rename(copied)


if __name__ == "__main__":
    main()
