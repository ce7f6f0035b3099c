"""Measures the machine's rates for the roofline: memory bandwidth and FLOPs per second.

Both are measured on the device that runs the model, because the rates of a data sheet are not
reached in practice.
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
from codewatt.units import BYTES_PER_GIB, BYTES_PER_KIB, BYTES_PER_MIB, MS_PER_S

#: Size of the copy on a GPU: many times the L2 cache (50 MB on an H100).
_GPU_COPY_BYTES = BYTES_PER_GIB
_CACHES = "cpu0/cache/index*/size"
#: Largest share of the GPU's free memory for the two buffers together.
_FREE_SHARE = 0.25
#: Smallest and largest size of the copy on a CPU; a larger one would take too long.
_CPU_COPY_BYTES = (128 * BYTES_PER_MIB, 512 * BYTES_PER_MIB)
#: Warm-up time on a GPU, whose clocks rise from idle; on a CPU one warm-up call is enough.
_GPU_WARM_S = 0.05
#: Number of measurements, of which the median is taken.
_GPU_TIMES, _CPU_TIMES = 10, 5
#: Sizes n of the n x n matrices that are multiplied.
_GPU_EDGE = 8192
_CPU_EDGES = (128, 256, 512, 1024)
#: On a CPU, a larger matrix is tried if the last multiplication took less than this. It is longer
#: than a thread waits to be scheduled, so that other load does not distort the result.
_CPU_PRODUCT_S = 0.03


@dataclass(frozen=True)
class MachineRates:
    """Measured rates of a device. A rate is None if there was too little free memory for it.

    Attributes:
        bandwidth_bytes_per_s: bytes read and written per second by a copy in device memory.
        matmul_flops_per_s: FLOPs per second of a square matrix multiplication.
        matrix_dtype: dtype of the matrices.
        copied_bytes: size of the copy.
        matrix_edge: n of the n x n matrices.
    """

    bandwidth_bytes_per_s: float | None
    matmul_flops_per_s: float | None
    matrix_dtype: str
    copied_bytes: int | None
    matrix_edge: int | None

    @classmethod
    def from_dict(cls, values: MachineRatesRecord) -> Self:
        """The inverse of `to_dict`.

        Raises:
            CodewattError: a key is missing or unknown.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise CodewattError(f"manifest: roofline.machine: {error}") from None

    def to_dict(self) -> MachineRatesRecord:
        """The fields as a dictionary, for a manifest."""
        return cast(MachineRatesRecord, asdict(self))


def measure_machine(device: str, dtype: str) -> MachineRates:
    """Measure memory bandwidth and matrix multiplication rate of a device (medians).

    Takes well under 1 s on a GPU and about 0.3 s on a CPU. On a CPU it uses torch's number of
    threads, which must be the same as for the model.

    Args:
        device: "cpu" or "cuda".
        dtype: dtype of the model, by its name in torch; also used for the matrices.
    """
    import torch

    if device != "cuda":
        return _measure(device, dtype, _cpu_copy_bytes(), _CPU_EDGES)
    free_bytes, _ = torch.cuda.mem_get_info()
    copied_bytes = min(
        _GPU_COPY_BYTES, int(free_bytes * _FREE_SHARE / 2) // BYTES_PER_MIB * BYTES_PER_MIB
    )
    try:
        return _measure(device, dtype, copied_bytes, (_GPU_EDGE,))
    finally:
        torch.cuda.empty_cache()  # free the buffers before the model allocates


def _measure(device: str, dtype: str, copied_bytes: int, edges: tuple[int, ...]) -> MachineRates:
    bandwidth = _or_none(lambda: _bandwidth(device, copied_bytes)) if copied_bytes else None
    product = _or_none(lambda: _matrix_rate(device, dtype, edges))
    rate, edge = (None, None) if product is None else product
    return MachineRates(bandwidth, rate, dtype, None if bandwidth is None else copied_bytes, edge)


def _bandwidth(device: str, copied_bytes: int) -> float:
    """Memory bandwidth of a copy (bytes/s); each byte counts as one read and one write."""
    import torch

    source = torch.ones(copied_bytes, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)  # written once, so that its pages are allocated
    return 2 * copied_bytes / _median_s(device, _seconds(device, lambda: target.copy_(source)))


def _matrix_rate(device: str, dtype: str, edges: tuple[int, ...]) -> tuple[float, int]:
    """(FLOPs per second, n) of the largest n x n multiplication of `edges` that is fast enough."""
    import torch

    generator = torch.Generator(device).manual_seed(0)  # does not change the global random state
    for edge in edges:
        # Random values: constant matrices draw less power, so the GPU would run at higher clocks.
        matrix = torch.randn(
            edge, edge, dtype=getattr(torch, dtype), device=device, generator=generator
        )
        result = torch.empty_like(matrix)
        seconds = _seconds(device, partial(torch.mm, matrix, matrix, out=result))
        seconds()  # first call: libraries initialise themselves
        if edge == edges[-1] or min(seconds() for _ in range(2)) > _CPU_PRODUCT_S:
            break
    return 2 * edge**3 / _median_s(device, seconds), edge


def _median_s(device: str, seconds: Callable[[], float]) -> float:
    """Median of several measurements (s) after a warm-up."""
    start_s = time.perf_counter()
    seconds()
    while device == "cuda" and time.perf_counter() - start_s < _GPU_WARM_S:
        seconds()
    times = _GPU_TIMES if device == "cuda" else _CPU_TIMES
    return statistics.median(seconds() for _ in range(times))


def _seconds(device: str, work: Callable[[], Any]) -> Callable[[], float]:
    """A function that runs `work` once and returns its duration (s) by the device's clock."""
    import torch

    def on_gpu() -> float:
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        work()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last)) / MS_PER_S

    def on_cpu() -> float:
        start_s = time.perf_counter()
        work()
        return time.perf_counter() - start_s

    return on_gpu if device == "cuda" else on_cpu


def _or_none(measure: Callable[[], Any]) -> Any:
    """The result of `measure`; None if the device is out of memory."""
    import torch

    try:
        return measure()
    except (torch.cuda.OutOfMemoryError, MemoryError):
        return None


def _cpu_copy_bytes() -> int:
    """Size of the copy on a CPU: four times the largest cache, within _CPU_COPY_BYTES."""
    least, most = _CPU_COPY_BYTES
    sizes = [_cache_bytes(path) for path in Path("/sys/devices/system/cpu").glob(_CACHES)]
    return min(max(least, 4 * max(sizes, default=0)), most)


def _cache_bytes(path: Path) -> int:
    """Size of a cache (bytes) from a file with text such as 32768K; 0 if unreadable."""
    try:
        return int(path.read_text().strip().removesuffix("K")) * BYTES_PER_KIB
    except (OSError, ValueError):
        return 0
