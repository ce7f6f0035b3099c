"""How fast the GEMV and GEMM kernels read weights, by shape, weight layout and launch settings.

For each linear layer of a study's first model and each weight layout, a CUDA graph runs the kernel
over copies that together exceed the L2 cache many times; the time of one layer is that of the graph
divided by their number. Prints the best configurations and their bytes per second, beside the rate
of a copy; writes all.

    python benchmarks/matmul_kernels.py --study STUDY.yaml --out kernels.json
"""

import argparse
import itertools
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import pynvml
import torch
import yaml

from codewatt.files import write_json
from codewatt.generate.static import triton_ops
from codewatt.generate.static.dense_decoder import Norm
from codewatt.generate.static.linear_layers import DenseWeight, FusedLinear, PackedInt4Weight
from codewatt.models.torchao_weights import EightBitWeight

pynvml.nvmlInit()
_DEVICE = pynvml.nvmlDeviceGetHandleByIndex(0)
_TOTAL_BYTES = 1_500_000_000
#: (outputs, warps) of a block, and stages, that are tried for the GEMM.
_GEMM_SHAPES = [(16, 1), (32, 2), (64, 4), (128, 4)]
_STAGES = [4, 6]
#: (outputs, inputs, warps) of a block, and maximum of blocks, that are tried for the GEMV.
_GEMV_CONFIGS = [(2, 1024, 4, 528), (4, 1024, 4, 528), (4, 1024, 4, 10**6)]
_GEMV_CONFIGS_INT4 = [
    (rows, words, warps, most)
    for rows in (2, 4, 8)
    for words, warps in ((128, 1), (128, 4), (512, 4))
    for most in (1320, 10**6)
]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--forms", nargs="+", default=["dense", "int8", "int4"])
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
        runs = _sweep(form, features, inputs, normed, options.rows)
        found += [{"form": form, "shape": name, **run} for run in runs]
        words = ", ".join(
            f"{run['blocks']} {run['us']:.1f} us "
            f"{run['bytes'] / run['us'] / 1e6:.2f} TB/s {run['j'] / run['bytes'] * 1e12:.0f} pJ/B"
            for run in runs[:2]
        )
        print(f"{form} {name} {features}x{inputs}: {words}", flush=True)
    write_json(options.out, {"copy_bytes_per_s": copy, "runs": found})


def _sweep(form: str, features: int, inputs: int, normed: bool, batch: int) -> list[dict[str, Any]]:
    """Times of each choice, the fastest first; energy of the two fastest."""
    made = [_fused_linear(form, features, inputs)]
    weight_bytes = _bytes(made[0])
    made += [
        _fused_linear(form, features, inputs)
        for _ in range(max(1, _TOTAL_BYTES // weight_bytes) - 1)
    ]
    rows = torch.randn(batch, inputs, device="cuda", dtype=torch.bfloat16)
    norm = None
    if normed:
        ones = torch.ones(inputs, device="cuda", dtype=torch.bfloat16)
        norm = Norm(ones, ones, 1e-5, rms=False)
    ops = triton_ops.triton_ops_for("cuda")

    def work() -> None:
        for linear in made:
            ops.linear(linear, rows, norm=norm)

    runs = []
    for name, blocks in _choices(form, features, inputs, batch):
        triton_ops.gemm_config = lambda *_, b=blocks, few=name == "gemm": b if few else None
        triton_ops.gemv_config = lambda *_, blocks=blocks: blocks
        words = name + " " + "/".join(map(str, vars(blocks).values()))
        try:
            graph = _graph(work)
        except Exception as error:
            print(f"{form} {words}: {str(error)[:100]}")
            continue
        us = _graph_us(graph) / len(made)
        runs.append({"blocks": words, "us": us, "bytes": weight_bytes, "graph": graph, "j": None})
    runs.sort(key=lambda run: run["us"])
    for place, run in enumerate(runs):
        graph = run.pop("graph")
        if place < 2:
            run["j"] = _graph_j(graph) / len(made)
    return runs


def _choices(form: str, features: int, inputs: int, batch: int) -> Any:
    columns = {"int4": [128]}.get(form, [64, 128])
    splits = [1, 2] if features > 8192 else [1, 2, 4] if inputs <= 4096 else [2, 4, 8]
    for width, (rows, warps), parts, stages in itertools.product(
        columns, _GEMM_SHAPES, splits, _STAGES
    ):
        if not (features > 8192 and rows < 32) and not (features < 8192 and rows > 64):
            yield "gemm", triton_ops.GemmConfig(rows, width, parts, warps, stages)
    if batch == 1:
        for blocks in _GEMV_CONFIGS_INT4 if form == "int4" else _GEMV_CONFIGS:
            yield "gemv", triton_ops.GemvConfig(*blocks)


def _fused_linear(form: str, features: int, inputs: int) -> FusedLinear:
    cuda = {"device": "cuda"}
    packed: Any
    if form == "dense":
        packed = DenseWeight(torch.randn(features, inputs, dtype=torch.bfloat16, **cuda))
    elif form == "int8":
        quantised = torch.randint(-128, 128, (features, inputs), dtype=torch.int8, **cuda)
        packed = EightBitWeight(quantised, torch.rand(features, **cuda))
    else:
        words = torch.randint(-(2**15), 2**15, (features, inputs // 4), dtype=torch.int16, **cuda)
        scale = torch.rand(inputs // 128, features, **cuda).bfloat16()
        packed = PackedInt4Weight(words, scale, scale, 128)
    layer = torch.nn.Linear(1, 1)
    layer.in_features, layer.out_features = inputs, features
    bias = torch.randn(features, dtype=torch.bfloat16, **cuda)
    return FusedLinear((layer,), packed, bias, gated=False)


def _bytes(linear: FusedLinear) -> int:
    tensors = [value for value in vars(linear.weight).values() if torch.is_tensor(value)]
    return sum(tensor.nbytes for tensor in tensors)


def _graph(work: Any) -> Any:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    graph.replay()
    torch.cuda.synchronize()
    return graph


def _graph_us(graph: Any, repeats: int = 5) -> float:
    """Median microseconds of a graph."""
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) * 1000)
    return sorted(times)[repeats // 2]


def _graph_j(graph: Any) -> float:
    """Joules of a graph, by NVML's counter over a second and a half of it."""
    count, start_s = 0, time.monotonic()
    before = pynvml.nvmlDeviceGetTotalEnergyConsumption(_DEVICE)
    while time.monotonic() < start_s + 1.5:
        for _ in range(20):
            graph.replay()
        torch.cuda.synchronize()
        count += 20
    return (pynvml.nvmlDeviceGetTotalEnergyConsumption(_DEVICE) - before) / 1000 / count


def _copy_bytes_per_s() -> float:
    source = torch.randn(2**30, device="cuda", dtype=torch.bfloat16)
    target = torch.empty_like(source)
    us = _graph_us(_graph(lambda: torch.neg(source, out=target)))  # a kernel; a copy node is slower
    return 2 * source.nbytes / us * 1e6


if __name__ == "__main__":
    main()
