"""Whether llama.cpp was built for this processor, from texts that real machines printed."""

import platform

import pytest

from codewatt.models import llama_cpp_library
from codewatt.models.llama_cpp_library import import_llama_cpp, missing_instructions

# Printed by llama.cpp (llama-cpp-python 0.3.36) built with -march=native on a Xeon with AMX.
XEON_BUILD = (
    "CPU : SSE3 = 1 | SSSE3 = 1 | AVX = 1 | AVX_VNNI = 1 | AVX2 = 1 | F16C = 1 | FMA = 1 | "
    "BMI2 = 1 | AVX512 = 1 | AVX512_VBMI = 1 | AVX512_VNNI = 1 | AVX512_BF16 = 1 | AMX_INT8 = 1 | "
    "LLAMAFILE = 1 | OPENMP = 1 | REPACK = 1 | "
)
# Some flags of /proc/cpuinfo of that machine, and of an AMD EPYC without AVX-512.
XEON_FLAGS = (
    "pni ssse3 fma sse4_1 avx f16c bmi1 avx2 bmi2 avx512f avx_vnni avx512_bf16 avx512vbmi "
    "avx512_vnni amx_bf16 amx_tile amx_int8"
)
EPYC_FLAGS = "pni ssse3 fma sse4_1 avx f16c bmi1 avx2 bmi2"
XEON, EPYC = set(XEON_FLAGS.split()), set(EPYC_FLAGS.split())


def test_a_build_for_this_processor_lacks_nothing():
    assert missing_instructions(XEON_BUILD, XEON) == []


def test_a_build_for_another_processor_names_what_is_missing():
    assert missing_instructions(XEON_BUILD, EPYC) == [
        "AVX_VNNI",
        "AVX512",
        "AVX512_VBMI",
        "AVX512_VNNI",
        "AVX512_BF16",
        "AMX_INT8",
    ]


def test_instructions_that_were_not_built_in_are_not_needed():
    assert missing_instructions("CPU : AVX2 = 1 | AVX512 = 0 | OPENMP = 1 | ", EPYC) == []


def test_other_backends_are_not_read_as_instructions():
    info = "CUDA : ARCHS = 750,900 | USE_GRAPHS = 1 | CPU : SSE3 = 1 | AVX512 = 1 | "
    assert missing_instructions(info, EPYC) == ["AVX512"]


def test_unknown_flags_refuse_nothing():
    assert missing_instructions(XEON_BUILD, set()) == []


def test_the_flags_of_this_machine_are_read():
    flags = llama_cpp_library._cpu_flags()
    assert platform.machine() != "x86_64" or "sse2" in flags


def test_a_build_for_another_processor_is_refused_before_it_computes(monkeypatch):
    class Library:
        @staticmethod
        def llama_log_callback(function):
            return function

        @staticmethod
        def llama_log_set(callback, data):
            pass

        @staticmethod
        def llama_backend_init():
            pass

        @staticmethod
        def llama_print_system_info():
            return XEON_BUILD.encode()

    monkeypatch.setattr(llama_cpp_library.importlib, "import_module", lambda name: Library)
    monkeypatch.setattr(llama_cpp_library, "_cpu_flags", lambda: EPYC)
    llama_cpp_library._library.cache_clear()
    try:
        with pytest.raises(Exception, match=r"this processor lacks .*AVX512.*make llama-cpp"):
            import_llama_cpp()
    finally:
        llama_cpp_library._library.cache_clear()
