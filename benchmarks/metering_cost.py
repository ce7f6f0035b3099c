"""What metering costs: tokens/s with the energy sampler running and with it stopped.

One model is loaded once. Pairs of completions of one prompt follow, one with the sampler running
and one with its process stopped (SIGSTOP), in random order within each pair, so that drift of the
machine falls out of their ratio. Prints and writes a JSON record: the mean relative loss of
tokens/s over the pairs with its 95 % t-interval.

    python benchmarks/metering_cost.py --weights results/STUDY/models/ID/weights \
        --tasks results/STUDY/benchmarks/ID/tasks.jsonl.gz --out metering_cost.json
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
os.environ["PYTHONPATH"] = sys.path[0]  # the sampler is a process of its own

from codewatt.analysis.stats import summarise  # noqa: E402
from codewatt.benchmarks.base import read_tasks  # noqa: E402
from codewatt.energy.sampler import Sampler  # noqa: E402
from codewatt.files import write_json  # noqa: E402
from codewatt.generate.base import Decoding, Engine, open_engine  # noqa: E402
from codewatt.models.loading import load_model, resolve_device, used_gpus  # noqa: E402
from codewatt.provenance import provenance  # noqa: E402

_SETTLE_S = 0.05


def main() -> None:
    """Measure, print one line, write the record."""
    options = _options()
    import torch

    device = resolve_device("auto")
    synchronise = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    loaded = load_model(options.weights, dtype=options.dtype, device=device)
    engine = open_engine(options.engine, loaded, synchronise)
    prompts = [task.prompt.strip() for task in read_tasks(options.tasks)]
    decoding = Decoding(token_limit=options.token_limit, stop_strings=())
    for _ in range(options.warmup):
        engine.complete(prompts[:1], decoding)
    with (
        tempfile.TemporaryDirectory() as scratch,
        Sampler(Path(scratch) / "timeline.parquet", gpu_ids=used_gpus(device)) as sampler,
    ):
        try:
            pairs = _pairs(engine, prompts, decoding, sampler.pid, options)
        finally:
            os.kill(sampler.pid, signal.SIGCONT)
    loss = summarise(1 - on / off for on, off in pairs)
    record = {
        "loss_of_tokens_per_s": vars(loss),
        "tokens_per_s": [{"metered": on, "unmetered": off} for on, off in pairs],
        "token_limit": options.token_limit,
        "engine": engine.describe(),
        "sampler": sampler.summary,
        "meters": sampler.meters,
        "provenance": provenance(),
    }
    write_json(options.out, record)
    low, high = loss.ci95 or (float("nan"), float("nan"))
    print(
        f"metering costs {loss.mean:.3%} of tokens/s, 95 % interval [{low:.3%}, {high:.3%}], "
        f"{loss.n} pairs; sampler: {sampler.summary['cpu_share']:.1%} of a processor"
    )


def _pairs(
    engine: Engine, prompts: list[str], decoding: Decoding, sampler: int, options: Any
) -> list[tuple[float, float]]:
    """(tokens/s metered, tokens/s unmetered) of each pair."""
    draw = random.Random(options.seed)
    pairs = []
    for number in range(options.pairs):
        prompt = prompts[number % len(prompts)]
        rates = {}
        for metered in draw.sample([True, False], 2):
            os.kill(sampler, signal.SIGCONT if metered else signal.SIGSTOP)
            time.sleep(_SETTLE_S)
            batch = engine.complete([prompt], decoding)
            tokens = sum(done.new_tokens for done in batch.completions)
            rates[metered] = tokens / (batch.end_s - batch.start_s)
        pairs.append((rates[True], rates[False]))
    return pairs


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--engine", default="transformers")
    parser.add_argument("--token-limit", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
