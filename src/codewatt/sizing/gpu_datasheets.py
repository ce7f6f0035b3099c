"""Data sheet values of GPUs. They are used for estimates only."""

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.units import BYTES_PER_GB, FLOPS_PER_TFLOP

_TABLE = Path(__file__).with_name("gpus.csv")
#: Names that clusters use for several GPUs -> the one with the least memory.
_ALIASES = {"a100": "a100-40", "v100": "v100-16", "h100-80": "h100"}


@dataclass(frozen=True)
class Gpu:
    """One GPU model.

    Attributes:
        id: the name by which `codewatt estimate --gpu` finds it.
        name: the full name.
        memory_bytes: memory of the data sheet, with 1 GB = 1e9 bytes; CUDA's value differs by some
            per cent.
        bandwidth_bytes_per_s: memory bandwidth.
        flops_per_s: dtype -> dense FLOPs per second: of tensor cores for 16-bit dtypes, of CUDA
            cores for float32. A 16-bit dtype without tensor cores is absent.
        tdp_w: thermal design power (W).
        idle_w: measured idle power with a model loaded (W); None if not measured.
        source: the data sheet, and the source of idle power.
    """

    id: str
    name: str
    memory_bytes: float
    bandwidth_bytes_per_s: float
    flops_per_s: dict[str, float]
    tdp_w: float
    idle_w: float | None
    source: str


def get_gpu(name: str) -> Gpu:
    """The GPU of an id (case is ignored), such as l40s, a100-80 or H100; 'a100' is the 40 GB model.

    Raises:
        CodewattError: the GPU is not in the table.
    """
    if (found := find_gpu(name)) is None:
        raise CodewattError(
            f"GPU {name!r} is not in the table of GPUs; allowed: {', '.join(gpus())}"
        )
    return found


def find_gpu(name: str) -> Gpu | None:
    """Like `get_gpu`; None if the GPU is not in the table."""
    key = re.sub(r"[\s_]+", "-", name.strip().lower()).removeprefix("nvidia-")
    return gpus().get(_ALIASES.get(key, key))


@cache
def gpus() -> dict[str, Gpu]:
    """All GPUs of the table, by id."""
    with _TABLE.open(encoding="utf-8", newline="") as stream:
        return {row["id"]: _gpu(row) for row in csv.DictReader(stream)}


def _gpu(row: dict[str, str]) -> Gpu:
    rates = {
        dtype: float(row[column]) * FLOPS_PER_TFLOP
        for dtype, column in (
            ("float32", "fp32_tflop_per_s"),
            ("bfloat16", "bf16_tflop_per_s"),
            ("float16", "fp16_tflop_per_s"),
        )
        if row[column]
    }
    return Gpu(
        id=row["id"],
        name=row["name"],
        memory_bytes=float(row["memory_gb"]) * BYTES_PER_GB,
        bandwidth_bytes_per_s=float(row["bandwidth_gb_per_s"]) * BYTES_PER_GB,
        flops_per_s=rates,
        tdp_w=float(row["tdp_w"]),
        idle_w=float(row["idle_w"]) if row["idle_w"] else None,
        source=row["source"],
    )
