"""What GPUs can do by their data sheets: for estimates only, and labelled so wherever shown."""

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from codewatt.errors import CodewattError
from codewatt.units import BYTES_PER_GB, FLOPS_PER_TFLOP

_TABLE = Path(__file__).with_name("gpus.csv")
#: Names that clusters give to several cards -> the one with the least memory.
_ALIASES = {"a100": "a100-40", "v100": "v100-16", "h100-80": "h100"}


@dataclass(frozen=True)
class Gpu:
    """One card. Rates are dense, of matrix units for 16 bits, of CUDA cores for float32.

    Attributes:
        memory_bytes: the data sheet's GB, taken as 1e9; what CUDA shows can differ by some percent.
        flops_per_s: dtype -> rate; a dtype that the card has no matrix units for is absent.
        idle_w: measured with a model loaded; None where it was not.
        source: the data sheet, and where idle power is from.
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
    """A card by its id, whatever the case: l40s, a100-80, H100; 'a100' is the one of 40 GB.

    Raises:
        CodewattError: it is not in the table.
    """
    if (found := find_gpu(name)) is None:
        raise CodewattError(
            f"GPU {name!r} is not in the table of GPUs; allowed: {', '.join(gpus())}"
        )
    return found


def find_gpu(name: str) -> Gpu | None:
    """As `get_gpu`; None if it is not in the table."""
    key = re.sub(r"[\s_]+", "-", name.strip().lower()).removeprefix("nvidia-")
    return gpus().get(_ALIASES.get(key, key))


@cache
def gpus() -> dict[str, Gpu]:
    """Every card of the table, by id."""
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
