"""Engines against each other: tokens/s and joules per token of decoding, same prompts, interleaved.

Builds the architecture of a study's first model with random weights on the device, so nothing is
downloaded or read. In every round each engine completes the same batch of prompts at each batch
size; rounds give the mean with its 95 % t-interval. Energy is the GPU's counter over the decoding
windows. Prints a table and writes a JSON record.

    python benchmarks/decode_speed.py --study config/studies/starcoder2-3b-metering.yaml \
        --batch-sizes 1 32 --out decode_speed.json
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
# The sampler is a process of its own.
os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], os.environ.get("PYTHONPATH", "")])

import yaml

from codewatt.analysis.stats import Summary, summarise
from codewatt.energy.measure import window_energy
from codewatt.energy.sampler import Sampler
from codewatt.files import write_json
from codewatt.generate.base import Batch, Decoding, Engine, InfeasibleError, open_engine
from codewatt.models.loading import Loaded, resolve_device, used_gpus
from codewatt.models.tokenizers import make_tokenizer
from codewatt.provenance import provenance

_SOURCE = "def area(width, height):\n    '''Area of a rectangle, as a number.'''\n"


def main() -> None:
    """Measure, print a table, write the record."""
    options = _options()
    import torch

    device = resolve_device("auto")
    synchronise = torch.cuda.synchronize if device == "cuda" else _nothing
    loaded = random_model(options.study, options.dtype, device)
    decoding = Decoding(token_limit=options.token_limit, stop_strings=())
    print(f"{loaded.model.num_parameters():,} parameters, {options.dtype}, {_name(device)}")
    with tempfile.TemporaryDirectory() as scratch:
        timeline = Path(scratch) / "timeline.parquet"
        with Sampler(timeline, gpu_ids=used_gpus(device)) as sampler:
            runs, engines = _rounds(loaded, decoding, synchronise, options)
        for run in runs:
            found = window_energy(timeline, run["first_token_s"], run["end_s"], device)
            run["decode_gpu_j"] = found["energy_j"]["gpu"]
    rows = [_row(name, size, runs) for size in options.batch_sizes for name in options.engines]
    record = {
        "parameters": loaded.model.num_parameters(),
        "dtype": options.dtype,
        "engines": engines,
        "rows": rows,
        "runs": runs,
        "sampler": sampler.summary,
        "provenance": provenance(),
    }
    write_json(options.out, record)
    for row in rows:
        print(_words(row))


def _rounds(
    loaded: Loaded, decoding: Decoding, synchronise: Any, options: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every engine and batch size, round by round; warmed up before."""
    engines: dict[tuple[str, int], Engine] = {}
    described, texts, runs = [], {}, []
    for size in options.batch_sizes:
        for name in options.engines:
            engine = open_engine(name, loaded, synchronise)
            try:
                engine.prepare([prompts_of(size)], decoding)
            except InfeasibleError as error:
                described.append({"batch_size": size, "name": name, "infeasible": str(error)})
                print(f"{name}, batch {size}: {error}")
                continue
            engine.complete(prompts_of(size), decoding)
            engines[name, size] = engine
            described.append({"batch_size": size, **engine.describe()})
    for number in range(options.rounds):
        for (name, size), engine in engines.items():
            batch = engine.complete(prompts_of(size), decoding)
            runs.append(_run(name, size, number, batch))
            texts.setdefault(size, {})[name] = [done.text for done in batch.completions]
    for size, by_engine in texts.items():
        first, *others = by_engine.values()
        for other in others:
            same = sum(a == b for a, b in zip(first, other, strict=True))
            print(f"batch {size}: {same} of {len(first)} completions equal between engines")
    return runs, described


def _run(name: str, size: int, number: int, batch: Batch) -> dict[str, Any]:
    tokens = sum(done.new_tokens for done in batch.completions)
    return {
        "engine": name,
        "batch_size": size,
        "round": number,
        "decoded_tokens": tokens - len(batch.completions),  # the prefill makes each one's first
        "start_s": batch.start_s,
        "first_token_s": batch.first_token_s,
        "end_s": batch.end_s,
    }


def _row(name: str, size: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    own = [run for run in runs if (run["engine"], run["batch_size"]) == (name, size)]

    def over(key: str) -> dict[str, Any]:
        values = {
            "tokens_per_s": lambda r: r["decoded_tokens"] / (r["end_s"] - r["first_token_s"]),
            "j_per_token": lambda r: (
                None if r["decode_gpu_j"] is None else r["decode_gpu_j"] / r["decoded_tokens"]
            ),
            "ttft_s": lambda r: r["first_token_s"] - r["start_s"],
        }
        return vars(summarise(map(values[key], own)))

    keys = ("tokens_per_s", "j_per_token", "ttft_s")
    return {"engine": name, "batch_size": size, **{key: over(key) for key in keys}}


def _words(row: dict[str, Any]) -> str:
    def interval(key: str) -> str:
        summary = Summary(**row[key])
        if summary.mean is None:
            return f"{key} absent"
        ends = f" [{summary.ci95[0]:.4g}, {summary.ci95[1]:.4g}]" if summary.ci95 else ""
        return f"{key} {summary.mean:.4g}{ends}"

    figures = ", ".join(interval(key) for key in ("tokens_per_s", "j_per_token", "ttft_s"))
    return f"{row['engine']}, batch {row['batch_size']}: {figures}"


def random_model(study: Path, dtype: str, device: str) -> Loaded:
    """The study's first model with random weights, made on the device."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    settings = yaml.safe_load(study.read_text(encoding="utf-8"))["models"][0]
    values = dict(settings["config"])
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).eval()
    with tempfile.TemporaryDirectory() as folder:
        small = {"source": "stdlib", "vocab_size": 2048}
        make_tokenizer(small, config.vocab_size, Path(folder))
        tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Loaded(model, tokenizer, device, dtype)


def prompts_of(size: int) -> list[str]:
    """Prompts of unequal length, about 50 to 150 tokens."""
    return [_SOURCE * (2 + number % 4) + f"def f{number}(x):" for number in range(size)]


def _name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def _nothing() -> None:
    """The CPU has nothing to wait for."""


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--engines", nargs="+", default=["transformers", "graph"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--token-limit", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
