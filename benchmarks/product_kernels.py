"""How fast the products of a decoding step read their weights, by shape, form and block.

For each shape of a study's first model and each form of weights, a graph runs the kernel over
copies that together exceed the cache many times; the time of one is that of the graph over their
number. Prints the best blocks and the bytes a second they reach, beside a copy's; writes all.

    python benchmarks/product_kernels.py --study STUDY.yaml --out kernels.json
"""

import argparse
import itertools
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import torch
import yaml

from codewatt.files import write_json
from codewatt.generate.static import fast
from codewatt.generate.static.plan import Norm
from codewatt.generate.static.projections import Dense, FourBit, Int8, Projection

_TOTAL_BYTES = 1_500_000_000
_BLOCKS = {
    "dense": list(itertools.product((1, 2, 4), (512, 1024, 2048), (4, 8))),
    "int8": list(itertools.product((1, 2, 4), (1024, 2048), (4, 8))),
    "int4": list(itertools.product((1, 2, 4, 8), (128, 256, 512), (2, 4))),
}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--forms", nargs="+", default=list(_BLOCKS))
    options = parser.parse_args()
    config = yaml.safe_load(options.study.read_text(encoding="utf-8"))["models"][0]["config"]
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    size = hidden // config["num_attention_heads"]
    shapes = {
        "qkv": (hidden + 2 * config["num_key_value_heads"] * size, hidden, True),
        "out": (hidden, hidden, False),
        "up": (wide, hidden, True),
        "down": (hidden, wide, False),
        "head": (config["vocab_size"], hidden, True),
    }
    copy = _copy_bytes_per_s()
    print(f"{torch.cuda.get_device_name()}: a copy moves {copy / 1e12:.2f} TB/s")
    found = []
    for form, (name, (features, inputs, normed)) in itertools.product(
        options.forms, shapes.items()
    ):
        blocks = _BLOCKS[form]
        for early in (True, False):
            runs = _sweep(form, features, inputs, normed, early, blocks)
            found += [{"form": form, "shape": name, "early": early, **run} for run in runs]
            best = sorted(runs, key=lambda run: run["us"])[:3]
            blocks = [tuple(run["blocks"]) for run in best]
            words = ", ".join(
                f"{run['blocks']} {run['us']:.1f} us {run['bytes'] / run['us'] / 1e6:.2f} TB/s"
                for run in best
            )
            print(f"{form} {name} {features}x{inputs} early={early}: {words}", flush=True)
    write_json(options.out, {"copy_bytes_per_s": copy, "runs": found})


def _sweep(
    form: str, features: int, inputs: int, normed: bool, early: bool, choices: Any
) -> list[dict[str, Any]]:
    made = [_product(form, features, inputs)]
    weight_bytes = _bytes(made[0])
    made += [
        _product(form, features, inputs) for _ in range(max(1, _TOTAL_BYTES // weight_bytes) - 1)
    ]
    row = torch.randn(1, inputs, device="cuda", dtype=torch.bfloat16)
    norm = None
    if normed:
        ones = torch.ones(inputs, device="cuda", dtype=torch.bfloat16)
        norm = Norm(ones, ones, 1e-5, rms=False)
    operations = fast.Kernels(early)
    runs = []
    for blocks in choices:
        if blocks[1] > fast._power_of_two(inputs // (8 if form == "int4" else 1)):
            continue
        fast._blocks = fast._four_bit_blocks = lambda *_, blocks=blocks: blocks

        def work() -> None:
            for product in made:
                operations.project(product, row, norm=norm)

        us = _graph_us(work) / len(made)
        runs.append({"blocks": list(blocks), "us": us, "bytes": weight_bytes})
    return runs


def _product(form: str, features: int, inputs: int) -> Projection:
    cuda = {"device": "cuda"}
    packed: Any
    if form == "dense":
        packed = Dense(torch.randn(features, inputs, dtype=torch.bfloat16, **cuda))
    elif form == "int8":
        codes = torch.randint(-128, 128, (features, inputs), dtype=torch.int8, **cuda)
        packed = Int8(codes, torch.rand(features, **cuda))
    else:
        words = torch.randint(-(2**31), 2**31, (features, inputs // 8), dtype=torch.int32, **cuda)
        scale = torch.rand(features, inputs // 128, **cuda).bfloat16()
        packed = FourBit(words, scale, scale.clone(), None, 128)
    layer = torch.nn.Linear(1, 1)
    layer.in_features, layer.out_features = inputs, features
    bias = torch.randn(features, dtype=torch.bfloat16, **cuda)
    return Projection((layer,), packed, bias, gated=False)


def _bytes(product: Projection) -> int:
    tensors = [value for value in vars(product.packed).values() if torch.is_tensor(value)]
    return sum(tensor.nbytes for tensor in tensors)


def _graph_us(work: Any, repeats: int = 5) -> float:
    """Median microseconds of a graph of that work."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    graph.replay()
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) * 1000)
    return sorted(times)[repeats // 2]


def _copy_bytes_per_s() -> float:
    source = torch.randn(2**30, device="cuda", dtype=torch.bfloat16)
    target = torch.empty_like(source)
    us = _graph_us(lambda: torch.neg(source, out=target))  # a kernel; a copy node is slower
    return 2 * source.nbytes / us * 1e6


if __name__ == "__main__":
    main()
