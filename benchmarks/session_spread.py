"""Spread between sessions on a GPU: one cell against itself (A/A), and against a quantised variant.

Builds the architecture of a study's first model with random weights, makes each precision by the
project's quantisers and measures, in every session, the cells "bf16" and "bf16-again" (the same
work twice) and each quantised precision. Each measurement is a process of its own that loads the
model, warms up and runs the repeats, as rule generate does; the order of the cells in a session is
the one that the pipeline draws. Between two sessions the GPU rests.

    python benchmarks/session_spread.py measure --study config/studies/starcoder2-3b-metering.yaml \
        --sessions 1 2 --out sessions_1_2.json
    python benchmarks/session_spread.py compare sessions_1_2.json sessions_3_4.json

`measure` writes the energy (J) and time (s) of every repeat; `compare` prints the estimates.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import decode_speed  # also puts src on the path
from decode_speed import PRECISIONS, prompts_of, random_model

from codewatt.analysis.session_effects import compare_sessions
from codewatt.analysis.variance_components import Observation, variance_components
from codewatt.energy.job_meter import JobMeter
from codewatt.energy.sampler import Sampler
from codewatt.energy.timeline_reader import read_timeline
from codewatt.files import read_json, write_json
from codewatt.generate.engine import DecodingParams, open_engine
from codewatt.models.generation_config import GenerationDefaults
from codewatt.models.loading import load_model, resolve_device, used_gpu_uuids
from codewatt.provenance import provenance
from codewatt.quantise.quantiser import open_quantiser
from codewatt.session_order import draw

BASELINE, AGAIN = "bf16", "bf16-again"
_WARMUP_BATCHES = 3
#: Idle time in each process before its warm-up, in seconds.
_IDLE_S = 3.0


def main() -> None:
    """Run one of the three commands."""
    options = _options()
    {"measure": _measure, "cell": _measure_cell, "compare": _compare}[options.command](options)


def _measure(options: Any) -> None:
    """Every cell of each session, in the drawn order; write the record after each session."""
    device = resolve_device("auto")
    folder = Path(options.scratch)
    _make_variants(options, device, folder)
    cells = [BASELINE, AGAIN, *options.precisions]
    runs: list[dict[str, Any]] = []
    for session in options.sessions:
        time.sleep(options.rest_s)
        order = sorted(cells, key=lambda cell: draw(0, session, cell))
        print(f"session {session}: {', '.join(order)}", flush=True)
        for position, cell in enumerate(order, start=1):
            runs += _run_in_process(options, folder, cell, session, position)
        write_json(options.out, {"runs": runs, "provenance": provenance()})


def _make_variants(options: Any, device: str, folder: Path) -> None:
    """The source model and each precision, on disk, if they are not there yet."""
    source = folder / "source"
    if not source.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = random_model(options.study, "bfloat16", device)
        made.model.save_pretrained(source)
        made.tokenizer.save_pretrained(source)
        del made
    for name in options.precisions:
        if (folder / name).exists():
            continue
        (folder / name).mkdir()
        settings = PRECISIONS[name]
        open_quantiser(settings["method"]).quantise(source, folder / name, settings, device, None)


def _run_in_process(
    options: Any, folder: Path, cell: str, session: int, position: int
) -> list[dict[str, Any]]:
    """The repeats of one cell, measured by a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "cell.json"
        command = [
            sys.executable, __file__, "cell", "--precision", cell.removesuffix("-again"),
            "--scratch", str(folder), "--out", str(out), "--repeats", str(options.repeats),
            "--batches", str(options.batches), "--token-limit", str(options.token_limit),
        ]  # fmt: skip
        started_s = time.monotonic()
        subprocess.run(command, check=True)
        found: dict[str, Any] = read_json(out)
    print(f"  {cell}: {time.monotonic() - started_s:.0f} s", flush=True)
    names = {"session": session, "position": position, "cell": cell}
    return [{**names, **found["start"], **run} for run in found["runs"]]


def _measure_cell(options: Any) -> None:
    """Load, idle, warm up, run the repeats; write the energy and time of each repeat."""
    import torch

    device = resolve_device("auto")
    synchronise = torch.cuda.synchronize if device == "cuda" else decode_speed._nothing
    settings = PRECISIONS[options.precision]
    quantiser = open_quantiser(settings["method"])
    written = Path(options.scratch) / options.precision
    started = datetime.now(UTC).isoformat(timespec="seconds")
    loaded = load_model(
        written if any(written.glob("*")) else Path(options.scratch) / "source",
        dtype=quantiser.load_dtype(settings),
        device=device,
    )
    # Without end tokens every sequence runs to the token limit: all repeats do the same work.
    loaded = replace(loaded, generation=GenerationDefaults((), "none"))
    decoding = DecodingParams(token_limit=options.token_limit, stop_strings=())
    engine, prompts = open_engine("graph", loaded, synchronise), prompts_of(1)
    engine.prepare([prompts], decoding)
    gpus = used_gpu_uuids(device)
    windows, tokens = [], []
    with tempfile.TemporaryDirectory() as scratch:
        timeline = Path(scratch) / "timeline.parquet"
        with Sampler(timeline, gpu_ids=gpus):
            idle_from_s = time.monotonic()
            time.sleep(_IDLE_S)
            idle_to_s = time.monotonic()
            for _ in range(_WARMUP_BATCHES):
                engine.complete(prompts, decoding)
            for _ in range(options.repeats):
                synchronise()
                start_s, count = time.monotonic(), 0
                for _ in range(options.batches):
                    batch = engine.complete(prompts, decoding)
                    count += sum(done.new_tokens for done in batch.completions)
                synchronise()
                windows.append((start_s, time.monotonic()))
                tokens.append(count)
        meter = JobMeter.read(timeline, device)
        temperatures = read_timeline(timeline).find("nvml", "gpu", "temperature_c")
        first = [
            values.values[(values.t_s >= idle_from_s) & (values.t_s <= idle_to_s)]
            for values in temperatures.values()
        ]
    part = "gpu" if device == "cuda" else "node"
    runs = [
        {
            "repeat": number,
            "energy_j": meter.energy(start_s, end_s)[part],
            "duration_s": end_s - start_s,
            "new_tokens": count,
        }
        for number, ((start_s, end_s), count) in enumerate(zip(windows, tokens, strict=True))
    ]
    start = {
        "started_at_utc": started,
        "gpus": gpus,
        "start_temperature_c": float(first[0][0]) if first and len(first[0]) else None,
    }
    write_json(options.out, {"start": start, "runs": runs})


def _compare(options: Any) -> None:
    """Print each cell's change against BASELINE by sessions, the spreads, and what can be told."""
    runs = [run for path in options.records for run in read_json(path)["runs"]]
    sessions = sorted({run["session"] for run in runs})
    others = sorted({run["cell"] for run in runs} - {BASELINE})
    for metric in ("energy_j", "duration_s"):
        print(metric)
        for cell in others:
            for count in range(1, len(sessions) + 1):
                found = compare_sessions(
                    _logs(runs, BASELINE, metric, sessions[:count]),
                    _logs(runs, cell, metric, sessions[:count]),
                )
                if found is not None and found.difference is not None:
                    ends = [100 * math.expm1(end) for end in found.difference.interval()]
                    smallest = math.expm1(found.difference.minimum_detectable())
                    print(
                        f"  {cell}, sessions 1 to {count}: {100 * math.expm1(found.value):.2f} % "
                        f"[{ends[0]:.2f}, {ends[1]:.2f}], p {found.difference.p:.2g}, detectable "
                        f"{100 * smallest:.2g} %"
                    )
            by_session = [
                _mean(_logs(runs, cell, metric, [s])[s])
                - _mean(_logs(runs, BASELINE, metric, [s])[s])
                for s in sessions
            ]
            print("   by session:", *(f"{100 * math.expm1(d):.2f} %" for d in by_session))
        observations = [
            Observation(run["cell"], run["session"], run["gpus"][0], math.log(run[metric]))
            for run in runs
        ]
        print("  SD of the logarithm:", vars(variance_components(observations)))


def _logs(
    runs: Sequence[dict[str, Any]], cell: str, metric: str, sessions: Sequence[int]
) -> dict[int, list[float]]:
    """Session -> logarithms of a metric of one cell."""
    return {
        session: [
            math.log(run[metric])
            for run in runs
            if run["cell"] == cell and run["session"] == session
        ]
        for session in sessions
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _options(arguments: Sequence[str] | None = None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("measure")
    measure.add_argument("--study", type=Path, required=True)
    measure.add_argument("--sessions", type=int, nargs="+", default=[1, 2, 3, 4])
    measure.add_argument("--precisions", nargs="+", default=["int8-wo"], choices=PRECISIONS)
    measure.add_argument("--rest-s", type=float, default=30.0, help="before each session")
    cell = commands.add_parser("cell", help="one measurement; called by `measure`")
    cell.add_argument("--precision", required=True, choices=PRECISIONS)
    for command in (measure, cell):
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--scratch", default="/dev/shm/session_spread")
        command.add_argument("--repeats", type=int, default=5)
        command.add_argument("--batches", type=int, default=10, help="batches of a repeat")
        command.add_argument("--token-limit", type=int, default=512)
    compare = commands.add_parser("compare")
    compare.add_argument("records", type=Path, nargs="+")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
