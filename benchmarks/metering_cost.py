"""What metering costs: the time of a decoding step with the energy sampler running and stopped.

One model is loaded once and completes prompts at batch 1. Every few steps the sampler's process is
stopped (SIGSTOP) or let go on, in random order within each pair of segments, so that the machine's
drift falls out of their ratio. A host that decodes step by step is disturbed by other tenants far
more than by the sampler: the median over pairs with its distribution-free interval is the figure,
the mean stands beside it.

    python benchmarks/metering_cost.py --weights results/STUDY/models/ID/weights \
        --tasks results/STUDY/benchmarks/ID/tasks.jsonl.gz --out metering_cost.json
"""

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
# The sampler is a process of its own.
os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], os.environ.get("PYTHONPATH", "")])

from scipy.stats import binom

from codewatt.analysis.log_scale_statistics import summarise
from codewatt.benchmarks.tasks import read_tasks
from codewatt.energy.sampler import Sampler
from codewatt.files import write_json
from codewatt.models.loading import load_model, resolve_device, used_gpu_uuids
from codewatt.provenance import provenance


class Switch:
    """Stops the sampler or lets it go on every `segment` steps, and times each segment.

    Called at each decoding step, like a stopping criterion of transformers; stops nothing.

    Attributes:
        pairs: (seconds metered, seconds unmetered) of the same number of steps.
    """

    def __init__(
        self, pid: int, segment: int, seed: int, synchronise: Callable[[], object]
    ) -> None:
        self.pid, self.segment, self.synchronise = pid, segment, synchronise
        self._draw = random.Random(seed)
        self.pairs: list[tuple[float, float]] = []
        self.begin()

    def begin(self) -> None:
        """Start over with a new completion: its first step is the prefill."""
        self._steps, self._since_s = -1, 0.0
        self._order: list[bool] = []
        self._found: dict[bool, float] = {}

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Count a step; at a segment's end, time it and switch."""
        import torch

        self._steps += 1
        if self._steps % self.segment == 0:
            self.synchronise()
            self._next(time.perf_counter())
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

    def _next(self, now_s: float) -> None:
        if self._steps and self._order:
            self._found[self._order.pop(0)] = now_s - self._since_s
        if not self._order:
            if self._found:
                self.pairs.append((self._found[True], self._found[False]))
            self._found, self._order = {}, self._draw.sample([True, False], 2)
        os.kill(self.pid, signal.SIGCONT if self._order[0] else signal.SIGSTOP)
        self._since_s = time.perf_counter()


def main() -> None:
    """Measure, print one line, write the record."""
    options = _options()
    import torch

    device = resolve_device("auto")
    synchronise = torch.cuda.synchronize if device == "cuda" else _nothing
    loaded = load_model(options.weights, dtype=options.dtype, device=device)
    prompts = [task.prompt.strip() for task in read_tasks(options.tasks)]
    _complete(loaded, prompts[0], 2 * options.segment, [])
    with (
        tempfile.TemporaryDirectory() as scratch,
        Sampler(Path(scratch) / "timeline.parquet", gpu_ids=used_gpu_uuids(device)) as sampler,
    ):
        switch = Switch(sampler.pid, options.segment, options.seed, synchronise)
        end_s, number = time.monotonic() + options.seconds, 0
        try:
            while time.monotonic() < end_s:
                switch.begin()
                _complete(loaded, prompts[number % len(prompts)], options.token_limit, [switch])
                number += 1
        finally:
            os.kill(sampler.pid, signal.SIGCONT)
    _report(switch.pairs, options, sampler, number)


def _complete(loaded: Any, prompt: str, tokens: int, criteria: list[Any]) -> None:
    """One greedy completion of exactly so many tokens."""
    import torch
    from transformers import StoppingCriteriaList

    encoded = loaded.tokenizer([prompt], return_tensors="pt").to(loaded.device)
    with torch.inference_mode():
        loaded.model.generate(
            input_ids=encoded["input_ids"],
            attention_mask=encoded["attention_mask"],
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=loaded.tokenizer.pad_token_id,
            stopping_criteria=StoppingCriteriaList(criteria),
        )


def _report(pairs: list[tuple[float, float]], options: Any, sampler: Any, number: int) -> None:
    losses = sorted(on / off - 1 for on, off in pairs)
    mean, median = summarise(losses), statistics.median(losses)
    low, high = _median_interval(losses)
    record = {
        "loss": {"median": median, "median_ci95": [low, high], "mean": vars(mean)},
        "pairs_s": pairs,
        "segment_steps": options.segment,
        "completions": number,
        "token_limit": options.token_limit,
        "median_tokens_per_s": options.segment / statistics.median(off for _, off in pairs),
        "sampler": sampler.summary,
        "meters": sampler.meters,
        "provenance": provenance(),
    }
    write_json(options.out, record)
    ends = mean.ci95 or (float("nan"), float("nan"))
    print(
        f"metering lengthens a decoding step by {median:.3%} [{low:.3%}, {high:.3%}] (median of "
        f"{len(pairs)} pairs of {options.segment} steps, 95 % interval), mean {mean.mean:.3%} "
        f"[{ends[0]:.3%}, {ends[1]:.3%}]; {record['median_tokens_per_s']:.1f} tokens/s; "
        f"sampler: {sampler.summary['cpu_share']:.1%} of a processor"
    )


def _median_interval(values: list[float]) -> tuple[float, float]:
    """Order statistics that hold the median with 95 % confidence, whatever the distribution."""
    below = int(binom.ppf(0.025, len(values), 0.5))
    return values[max(below - 1, 0)], values[min(len(values) - below, len(values) - 1)]


def _nothing() -> None:
    """The CPU has nothing to wait for."""


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--token-limit", type=int, default=257)
    parser.add_argument("--segment", type=int, default=16, help="decoding steps between switches")
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
