"""Time of each kernel of a decode step of the engine `graph`.

Captures the decode step of a study's first model (random weights) at one batch size and profiles
some replays. Kernels are grouped by name and number of blocks. If a kernel starts before the
previous one has ended (dependent launch), its time includes the wait: the sum of kernel times then
exceeds the time of the step.

    python benchmarks/decode_profile.py --study STUDY.yaml --batch-size 1 --out profile.json
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import decode_speed  # also puts src on the path
import torch

from codewatt.files import write_json
from codewatt.generate.engine import DecodingParams, open_engine

_REPLAYS = 10


def main() -> None:
    """Profile, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--precision", default="bfloat16")
    options = parser.parse_args()
    loaded = decode_speed.random_model(options.study, options.precision, "cuda")
    engine = open_engine("graph", loaded, torch.cuda.synchronize)
    prompts = decode_speed.prompts_of(options.batch_size)
    decoding = DecodingParams(token_limit=128 + _REPLAYS, stop_strings=())
    engine.prepare([prompts], decoding)
    engine.complete(prompts, DecodingParams(token_limit=128 + _REPLAYS, stop_strings=()))
    with torch.inference_mode():
        engine._decoder.prefill(*_encoded(loaded, prompts))
    decode_one_token = engine._decode_one_token
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(_REPLAYS):
            decode_one_token()
        torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        profile.export_chrome_trace(f"{folder}/trace.json")
        events = json.loads(Path(folder, "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    kernels = [event for event in events if event.get("cat") == "kernel"]
    rows = defaultdict(list)
    for event in kernels:
        rows[event["name"][:70], str(event["args"].get("grid"))].append(event["dur"])
    table = [
        {
            "kernel": name,
            "blocks": grid,
            "per_step": len(times) / _REPLAYS,
            "us_each": sum(times) / len(times),
            "us_per_step": sum(times) / _REPLAYS,
        }
        for (name, grid), times in rows.items()
    ]
    table.sort(key=lambda row: -row["us_per_step"])
    span = max(e["ts"] + e["dur"] for e in kernels) - min(e["ts"] for e in kernels)
    weights = loaded.model.get_memory_footprint()
    print(f"{span / _REPLAYS:.0f} us per step, {weights / 1e9:.2f} GB of weights")
    for row in table[:20]:
        print(
            f"{row['us_per_step']:8.1f} us {row['per_step']:5.1f} x {row['us_each']:6.1f} us  "
            f"{row['kernel']} {row['blocks']}"
        )
    write_json(options.out, {"us_per_step": span / _REPLAYS, "kernels": table})


def _encoded(loaded, prompts):
    encoded = loaded.tokenizer(prompts, return_tensors="pt", padding=True).to(loaded.device)
    return encoded["input_ids"], encoded["attention_mask"]


if __name__ == "__main__":
    main()
