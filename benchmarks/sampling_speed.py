"""Decode speed of greedy and sampled decoding, by engine and batch size; and whether seeds hold.

Builds a study's first model with random weights on the device, so nothing is downloaded. In every
round each engine completes the same prompts by each way of decoding, one sample of each prompt,
until the token limit. Prints tokens per second and writes a JSON record with:

- rows: tokens/s, ms per decode step and seconds to the first token, mean and 95 % interval of the
  geometric mean over the rounds;
- seeds: for each cell whether the same seed gave the same tokens twice, and the share of sequences
  that another seed left equal;
- agreement: the share of sequences whose tokens are the same under both engines.

    python benchmarks/sampling_speed.py --study config/studies/starcoder2-3b-metering.yaml \
        --out sampling_speed.json
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import decode_speed  # also puts src on the path
import torch

from codewatt.analysis.log_scale_statistics import Summary, summarise
from codewatt.files import write_json
from codewatt.generate.engine import BatchResult, DecodingParams, Engine, open_engine
from codewatt.generate.sampling import SampleSeeds
from codewatt.models.generation_config import GenerationDefaults
from codewatt.models.loading import resolve_device
from codewatt.provenance import provenance

#: Name → temperature and top_p.
MODES: dict[str, tuple[float | None, float | None]] = {
    "greedy": (None, None),
    "temperature": (0.8, None),
    "top_p": (0.8, 0.95),
}
ENGINES = ("graph", "transformers")
Cell = tuple[str, str, int]
Tokens = list[list[int]]


def main() -> None:
    """Measure, print a table, write the record."""
    options = _options()
    device = resolve_device("auto")
    synchronise = torch.cuda.synchronize if device == "cuda" else decode_speed._nothing
    loaded = decode_speed.random_model(options.study, options.dtype, device)
    # Without end tokens all sequences run to the token limit.
    loaded = replace(loaded, generation=GenerationDefaults((), "none"))
    engines, described = {}, []
    shared: Engine | None = None
    for name in options.engines:
        for mode in options.modes:
            for size in options.batch_sizes:
                engine = open_engine(name, loaded, synchronise)
                if name == "graph":
                    if shared is not None:
                        engine.share_weights(shared)  # type: ignore[attr-defined]
                    shared = engine
                prompts, decoding = decode_speed.prompts_of(size), _decoding(mode, options)
                engine.prepare([prompts], decoding)
                engine.complete(prompts, decoding)  # warm-up
                engines[name, mode, size] = engine
                described.append({**_names((name, mode, size)), **engine.describe()})
                print(f"{name}, {mode}, batch {size}: ready", flush=True)
    runs, tokens = _rounds(engines, options)
    rows = [_row(cell, runs) for cell in engines]
    record = {
        "device": decode_speed._name(device),
        "dtype": options.dtype,
        "token_limit": options.token_limit,
        "modes": {mode: MODES[mode] for mode in options.modes},
        "engines": described,
        "rows": rows,
        "runs": runs,
        "seeds": _seeds(engines, tokens, options),
        "agreement": _agreement(tokens),
        "provenance": provenance(),
    }
    write_json(options.out, record)
    for row in rows:
        print(_words(row))
    for found in (*record["seeds"], *record["agreement"]):
        print(found)


def _rounds(
    engines: dict[Cell, Engine], options: Any
) -> tuple[list[dict[str, Any]], dict[Cell, Tokens]]:
    """The timed batches of every round, and the tokens of each cell's first batch."""
    runs, tokens = [], {}
    started_s = time.monotonic()
    for number in range(options.rounds):
        for cell, engine in engines.items():
            batch = _complete(engine, cell, options)
            tokens.setdefault(cell, _tokens(batch))
            steps = max(done.new_tokens for done in batch.completions) - 1
            decoded = sum(done.new_tokens - 1 for done in batch.completions)
            decode_s = batch.end_s - batch.first_token_s
            runs.append(
                {
                    **_names(cell),
                    "round": number,
                    "tokens_per_s": decoded / decode_s,
                    "step_ms": decode_s / steps * 1000,
                    "ttft_s": batch.first_token_s - batch.start_s,
                }
            )
        print(f"round {number} at {time.monotonic() - started_s:.0f} s", flush=True)
        if time.monotonic() - started_s > options.budget_s:
            break
    return runs, tokens


def _complete(engine: Engine, cell: Cell, options: Any, seed: int = 0) -> BatchResult:
    _, mode, size = cell
    return engine.complete(
        decode_speed.prompts_of(size), _decoding(mode, options), SampleSeeds(seed)
    )


def _seeds(
    engines: dict[Cell, Engine], tokens: dict[Cell, Tokens], options: Any
) -> list[dict[str, Any]]:
    """Whether each sampled cell repeats its tokens with the same seed, and changes with another."""
    found = []
    for cell, engine in engines.items():
        if cell[1] == "greedy":
            continue
        again, other = (_tokens(_complete(engine, cell, options, seed)) for seed in (0, 1))
        found.append(
            {
                **_names(cell),
                "same_seed_same_tokens": again == tokens[cell],
                "equal_with_another_seed": _share_equal(other, tokens[cell]),
            }
        )
    return found


def _agreement(tokens: dict[Cell, Tokens]) -> list[dict[str, Any]]:
    """The share of sequences with the same tokens under both engines."""
    pairs = [(cell, ("transformers", *cell[1:])) for cell in tokens if cell[0] == "graph"]
    return [
        {
            "decoding": cell[1],
            "batch_size": cell[2],
            "equal_share": _share_equal(tokens[cell], tokens[other]),
        }
        for cell, other in pairs
        if other in tokens
    ]


def _share_equal(ours: Tokens, theirs: Tokens) -> float:
    return sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(ours)


def _tokens(batch: BatchResult) -> Tokens:
    return [done.tokens for done in batch.completions]


def _decoding(mode: str, options: Any) -> DecodingParams:
    temperature, top_p = MODES[mode]
    return DecodingParams(options.token_limit, (), temperature=temperature, top_p=top_p)


def _names(cell: Cell) -> dict[str, Any]:
    return dict(zip(("engine", "decoding", "batch_size"), cell, strict=True))


def _row(cell: Cell, runs: list[dict[str, Any]]) -> dict[str, Any]:
    own = [r for r in runs if (r["engine"], r["decoding"], r["batch_size"]) == cell]
    keys = ("tokens_per_s", "step_ms", "ttft_s")
    return {**_names(cell), **{key: vars(summarise(run[key] for run in own)) for key in keys}}


def _words(row: dict[str, Any]) -> str:
    def interval(key: str) -> str:
        summary = Summary(**row[key])
        ends = " [{:.4g}, {:.4g}]".format(*summary.ci95) if summary.ci95 else ""
        return f"{summary.mean:.4g}{ends}"

    figures = " | ".join(interval(key) for key in ("tokens_per_s", "step_ms", "ttft_s"))
    return f"| {row['engine']} | {row['decoding']} | {row['batch_size']} | {figures} |"


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--token-limit", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget-s", type=float, default=300.0, help="no round begins after it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
