"""Measure what the machine can do: bytes moved per second and FLOPs per second.

Both are measured where the model runs, as a roofline from a data sheet is one that nobody reaches.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, cast

from codewatt.errors import CodewattError
from codewatt.sizing.roofline_record import MachineRatesRecord

_MIB = 2**20
#: Copied at a time on a GPU: many times the 50 MB of an H100's cache.
_GPU_COPY_BYTES = 1024 * _MIB
_CACHES = "cpu0/cache/index*/size"
#: The share of a GPU's free memory that the two buffers may take together.
_FREE_SHARE = 0.25
#: Copied at a time on a CPU: at least, and at most for the sake of time.
_CPU_COPY_BYTES = (128 * _MIB, 512 * _MIB)
#: A GPU works so long before it counts, as its clocks rise from rest; a CPU does it once.
_GPU_WARM_S = 0.05
#: Times that the median is taken of.
_GPU_TIMES, _CPU_TIMES = 10, 5
#: Edges of the square matrices that are multiplied.
_GPU_EDGE = 8192
_CPU_EDGES = (128, 256, 512, 1024)
#: A larger product is tried on a CPU while the last one took less than this: more than what a
#: thread waits for its turn, so that a busy machine is not judged by the smallest product.
_CPU_PRODUCT_S = 0.03


@dataclass(frozen=True)
class MachineRates:
    """What was measured.

    Attributes:
        bandwidth_bytes_per_s: bytes read and written a second by a copy in the device's memory.
        matmul_flops_per_s: multiplications and additions per second of a square matrix
            multiplication.
        matrix_dtype: of that product.
        copied_bytes, matrix_edge: how large the copy and the matrices were.
        A rate is None where the memory left was too small for it.
    """

    bandwidth_bytes_per_s: float | None
    matmul_flops_per_s: float | None
    matrix_dtype: str
    copied_bytes: int | None
    matrix_edge: int | None

    @classmethod
    def from_dict(cls, values: MachineRatesRecord) -> Self:
        """What `to_dict` gave.

        Raises:
            CodewattError: a key is absent or none of these.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise CodewattError(f"a manifest's machine: {error}") from None

    def to_dict(self) -> MachineRatesRecord:
        """Plain values, as manifests keep them."""
        return cast(MachineRatesRecord, asdict(self))


def measure_machine(device: str, dtype: str) -> MachineRates:
    """Measure the device's bandwidth and matrix rate; medians of several.

    Takes well under a second on a GPU, and about 0.3 s on a CPU, where torch's own number of
    threads is used: set it as for the model.

    Args:
        device: "cpu" or "cuda".
        dtype: of the matrices: the model's, by torch's name.
    """
    import torch

    if device != "cuda":
        return _measure(device, dtype, _cpu_copy_bytes(), _CPU_EDGES)
    free_bytes, _ = torch.cuda.mem_get_info()
    copied_bytes = min(_GPU_COPY_BYTES, int(free_bytes * _FREE_SHARE / 2) // _MIB * _MIB)
    try:
        return _measure(device, dtype, copied_bytes, (_GPU_EDGE,))
    finally:
        torch.cuda.empty_cache()  # the model's own allocations find the memory as it was


def _measure(device: str, dtype: str, copied_bytes: int, edges: tuple[int, ...]) -> MachineRates:
    bandwidth = _or_none(lambda: _bandwidth(device, copied_bytes)) if copied_bytes else None
    product = _or_none(lambda: _matrix_rate(device, dtype, edges))
    rate, edge = (None, None) if product is None else product
    return MachineRates(bandwidth, rate, dtype, None if bandwidth is None else copied_bytes, edge)


def _bandwidth(device: str, copied_bytes: int) -> float:
    """Bytes a second, each byte counted once read and once written."""
    import torch

    source = torch.ones(copied_bytes, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)  # written, so that its pages are there
    return 2 * copied_bytes / _median_s(device, _seconds(device, lambda: target.copy_(source)))


def _matrix_rate(device: str, dtype: str, edges: tuple[int, ...]) -> tuple[float, int]:
    """(FLOPs per second, edge) of the largest product of `edges` that is quick enough."""
    import torch

    generator = torch.Generator(device).manual_seed(0)  # the run's own draws stay as they are
    for edge in edges:
        # Random: a product of constants draws less power, and so runs at higher clocks.
        matrix = torch.randn(
            edge, edge, dtype=getattr(torch, dtype), device=device, generator=generator
        )
        result = torch.empty_like(matrix)
        seconds = _seconds(device, partial(torch.mm, matrix, matrix, out=result))
        seconds()  # libraries set themselves up
        if edge == edges[-1] or min(seconds() for _ in range(2)) > _CPU_PRODUCT_S:
            break
    return 2 * edge**3 / _median_s(device, seconds), edge


def _median_s(device: str, seconds: Callable[[], float]) -> float:
    """The median of several, once the device is at work."""
    start_s = time.perf_counter()
    seconds()
    while device == "cuda" and time.perf_counter() - start_s < _GPU_WARM_S:
        seconds()
    times = _GPU_TIMES if device == "cuda" else _CPU_TIMES
    return statistics.median(seconds() for _ in range(times))


def _seconds(device: str, work: Callable[[], Any]) -> Callable[[], float]:
    """A function that does the work once and says how long it took, by the device's own clock."""
    import torch

    def on_gpu() -> float:
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        work()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last)) / 1000

    def on_cpu() -> float:
        start_s = time.perf_counter()
        work()
        return time.perf_counter() - start_s

    return on_gpu if device == "cuda" else on_cpu


def _or_none(measure: Callable[[], Any]) -> Any:
    """What was measured; None if there was no memory for it."""
    import torch

    try:
        return measure()
    except (torch.cuda.OutOfMemoryError, MemoryError):
        return None


def _cpu_copy_bytes() -> int:
    """Four times the largest cache that Linux tells of, within limits."""
    least, most = _CPU_COPY_BYTES
    sizes = [_cache_bytes(path) for path in Path("/sys/devices/system/cpu").glob(_CACHES)]
    return min(max(least, 4 * max(sizes, default=0)), most)


def _cache_bytes(path: Path) -> int:
    """A cache's size from a text such as 32768K."""
    try:
        return int(path.read_text().strip().removesuffix("K")) * 1024
    except (OSError, ValueError):
        return 0
