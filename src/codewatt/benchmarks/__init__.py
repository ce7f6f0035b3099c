"""Benchmarks: programming tasks with tests.

To add a benchmark, add a module NAME_benchmark.py that sets BENCHMARK to a `Benchmark`. Its name
is the `kind` of a study's benchmark. The other places to change are listed in `Benchmark`.
"""
