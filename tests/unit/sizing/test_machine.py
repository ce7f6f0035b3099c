"""The machine's rates are taken for real, and what has no memory is absent."""

import pytest

from codewatt.sizing import measured_machine
from codewatt.sizing.measured_machine import MachineRates, measure_machine


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rates_are_possible_ones(dtype):
    rates = measure_machine("cpu", dtype)
    assert 0 < rates.bandwidth_bytes_per_s < 1e13
    assert 0 < rates.matmul_flops_per_s < 1e15
    assert rates.matrix_dtype == dtype
    assert rates.copied_bytes >= 128 * 2**20
    assert rates.matrix_edge in (128, 256, 512, 1024)


def test_the_copy_is_larger_than_the_largest_cache(tmp_path, monkeypatch):
    for name, size in (("index0", "32K\n"), ("index3", "49152K\n"), ("index4", "odd")):
        (tmp_path / "cpu0/cache" / name).mkdir(parents=True)
        (tmp_path / "cpu0/cache" / name / "size").write_text(size)
    monkeypatch.setattr(measured_machine, "Path", lambda _: tmp_path)
    assert measured_machine._cpu_copy_bytes() == 4 * 48 * 2**20
    (tmp_path / "cpu0/cache/index3/size").write_text("1048576K")
    assert measured_machine._cpu_copy_bytes() == 512 * 2**20
    (tmp_path / "cpu0/cache/index3/size").write_text("1K")
    assert measured_machine._cpu_copy_bytes() == 128 * 2**20


def test_bytes_are_counted_read_and_written_and_operations_twice(monkeypatch):
    """With a clock that says 2 s for everything."""
    monkeypatch.setattr(measured_machine, "_seconds", lambda device, work: lambda: 2.0)
    assert measured_machine._bandwidth("cpu", 1000) == 2 * 1000 / 2.0
    assert measured_machine._matrix_rate("cpu", "float32", (16, 32)) == (2 * 16**3 / 2.0, 16)
    monkeypatch.setattr(measured_machine, "_seconds", lambda device, work: lambda: 0.001)
    assert measured_machine._matrix_rate("cpu", "float32", (16, 32)) == (2 * 32**3 / 0.001, 32)


def test_no_memory_is_no_rate(monkeypatch):
    def full(*args):
        raise MemoryError

    monkeypatch.setattr(measured_machine, "_bandwidth", full)
    monkeypatch.setattr(measured_machine, "_matrix_rate", full)
    rates = measure_machine("cpu", "float32")
    assert rates == MachineRates(None, None, "float32", None, None)
    assert rates.to_dict()["bandwidth_bytes_per_s"] is None
