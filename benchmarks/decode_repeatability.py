"""Whether an engine writes the same tokens when it decodes the same batch again.

Builds a study's first model with random weights on the device, so nothing is downloaded. For each
choice of torch's attention kernels, batch size and way of decoding, the engine decodes the same
batch several times; nothing is changed in between. Prints and records, for each further run, how
many sequences equal those of the first run token for token, and the step of the first difference.
Random weights make almost all tokens almost equally likely, so they show differences of rounding
sooner than a trained model does.

    python benchmarks/decode_repeatability.py --study config/studies/starcoder2-3b-metering.yaml \
        --out decode_repeatability.json
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import decode_speed  # also puts src on the path
import torch

from codewatt.files import write_json
from codewatt.generate.engine import DecodingParams, Engine, open_engine
from codewatt.generate.sampling import SampleSeeds
from codewatt.models.generation_config import GenerationDefaults
from codewatt.models.loading import resolve_device
from codewatt.provenance import provenance

TEMPERATURES = {"greedy": None, "sampled": 0.8}


def main() -> None:
    """Decode, compare, write the record."""
    options = _options()
    device = resolve_device("auto")
    synchronise = torch.cuda.synchronize if device == "cuda" else decode_speed._nothing
    loaded = decode_speed.random_model(options.study, options.dtype, device)
    # Without end tokens all sequences run to the token limit.
    loaded = replace(loaded, generation=GenerationDefaults((), "none"))
    rows = []
    for kernels in options.attention:
        _choose_attention(kernels)
        engine = open_engine(options.engine, loaded, synchronise)
        for size in options.batch_sizes:
            for name, temperature in TEMPERATURES.items():
                decoding = DecodingParams(
                    token_limit=options.token_limit, stop_strings=(), temperature=temperature
                )
                row = {"attention": kernels, "batch_size": size, "decoding": name}
                rows.append({**row, **_compare(engine, size, decoding, options.runs)})
                print(rows[-1], flush=True)
    record = {
        "device": decode_speed._name(device),
        "engine": options.engine,
        "dtype": options.dtype,
        "token_limit": options.token_limit,
        "rows": rows,
        "provenance": provenance(),
    }
    write_json(options.out, record)


def _compare(engine: Engine, size: int, decoding: DecodingParams, runs: int) -> dict[str, Any]:
    """Decode the same batch `runs` times and compare with the first run."""
    prompts = decode_speed.prompts_of(size)
    engine.prepare([prompts], decoding)
    found = [
        [done.tokens for done in engine.complete(prompts, decoding, SampleSeeds()).completions]
        for _ in range(runs)
    ]
    differences = [
        [_first_difference(*pair) for pair in zip(found[0], again, strict=True)]
        for again in found[1:]
    ]
    return {
        "equal_sequences": [sum(step is None for step in steps) for steps in differences],
        "first_difference": min(
            (step for steps in differences for step in steps if step is not None), default=None
        ),
    }


def _first_difference(one: list[int], other: list[int]) -> int | None:
    """Index of the first token that differs; None for equal sequences of one length."""
    return next(
        (i for i, pair in enumerate(zip(one, other, strict=True)) if len({*pair}) > 1), None
    )


def _choose_attention(kernels: str) -> None:
    """Let torch's scaled_dot_product_attention choose among all kernels, or only its math."""
    fused = kernels == "default"
    torch.backends.cuda.enable_flash_sdp(fused)
    torch.backends.cuda.enable_mem_efficient_sdp(fused)
    torch.backends.cuda.enable_cudnn_sdp(fused)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--study", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--engine", default="transformers", choices=("transformers", "graph"))
    parser.add_argument(
        "--attention", nargs="+", default=["default", "math"], choices=("default", "math")
    )
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--token-limit", type=int, default=96)
    parser.add_argument("--runs", type=int, default=4)
    return parser.parse_args()


if __name__ == "__main__":
    main()
