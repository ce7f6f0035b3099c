"""The llama.cpp library through the low-level interface of llama-cpp-python, and its log.

`make llama-cpp` builds it (docs/how-to/llama-cpp.md). This is the one module that imports it.
"""

import ctypes
import importlib
import logging
import re
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

from codewatt.errors import CodewattError

_LOG = logging.getLogger(__name__)
#: Folder beside the package in which `tools/setup_llama_cpp.sh` puts llama.cpp's converter.
_CONVERTER = "llama_cpp_converter"
_WARN, _ERROR = 3, 4  # ggml_log_level; 5 continues the line before
_KEPT_LINES = 20
#: Names of instruction sets in llama.cpp's list -> in /proc/cpuinfo (Linux on x86-64).
_CPU_FLAGS = {
    "SSE3": "pni",
    "SSSE3": "ssse3",
    "AVX": "avx",
    "AVX_VNNI": "avx_vnni",
    "AVX2": "avx2",
    "F16C": "f16c",
    "FMA": "fma",
    "BMI2": "bmi2",
    "AVX512": "avx512f",
    "AVX512_VBMI": "avx512vbmi",
    "AVX512_VNNI": "avx512_vnni",
    "AVX512_BF16": "avx512_bf16",
    "AMX_INT8": "amx_int8",
}


class LlamaCppLog:
    """llama.cpp's messages: kept for error messages, and passed to Python's log.

    Attributes:
        problems: warnings and errors since the last `clear`, oldest first.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []

    def clear(self) -> None:
        """Forget the messages so far."""
        self.problems.clear()

    def receive(self, level: int, text: bytes, _: Any) -> None:
        """Take a message of llama.cpp."""
        line = text.decode("utf-8", errors="replace").strip()
        if not line:
            return
        _LOG.debug("%s", line)
        if level in (_WARN, _ERROR):
            self.problems = [*self.problems[-_KEPT_LINES:], line]

    def reason(self) -> str:
        """The first error since the last `clear`, for a message of one line."""
        errors = [line for line in self.problems if "error" in line or "fail" in line]
        return (errors or self.problems or ["llama.cpp gives no reason"])[0]


LOG = LlamaCppLog()


def import_llama_cpp() -> Any:
    """The module llama_cpp.llama_cpp, whose functions are those of llama.h.

    Raises:
        CodewattError: it is not installed, or its library cannot be loaded.
    """
    try:
        return _library()
    except ModuleNotFoundError as error:
        if error.name != "llama_cpp":
            raise
        raise CodewattError(
            "llama.cpp is not installed here; `make llama-cpp` builds it, which needs a C++ "
            "compiler and CMake (docs/how-to/llama-cpp.md)"
        ) from None
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise CodewattError(
            f"llama.cpp cannot be loaded: {reason}; `make llama-cpp` builds it anew"
        ) from None


@cache
def _library() -> Any:
    library: Any = importlib.import_module("llama_cpp.llama_cpp")
    # Kept by the module, as llama.cpp calls it for as long as the process lives.
    library.codewatt_log = library.llama_log_callback(LOG.receive)
    library.llama_log_set(library.codewatt_log, ctypes.c_void_p(0))
    library.llama_backend_init()
    built_for = library.llama_print_system_info().decode()
    if missing := missing_instructions(built_for, _cpu_flags()):
        # The first multiplication would end the process with "Illegal instruction".
        raise RuntimeError(
            f"it was built for instructions that this processor lacks ({', '.join(missing)})"
        )
    return library


def missing_instructions(system_info: str, cpu_flags: Collection[str]) -> list[str]:
    """The instruction sets that llama.cpp was built for and a processor lacks.

    Args:
        system_info: llama.cpp's list, such as "CPU : SSE3 = 1 | AVX512 = 1 | OPENMP = 1 |".
        cpu_flags: the processor's flags, as /proc/cpuinfo names them; empty: unknown.

    Returns:
        Their names in llama.cpp's list, in its order; none if the flags are unknown.
    """
    built_for = re.findall(r"(\w+) = 1\b", system_info)
    return [
        name
        for name in built_for
        if cpu_flags and name in _CPU_FLAGS and _CPU_FLAGS[name] not in cpu_flags
    ]


def _cpu_flags() -> set[str]:
    """The flags of this machine's processor; empty where the system does not list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    flags = (line.split(":", 1)[1] for line in lines if line.startswith("flags"))
    return set(next(flags, "").split())


def llama_cpp_version() -> str:
    """Version of llama-cpp-python, which pins that of llama.cpp.

    Raises:
        CodewattError: see `import_llama_cpp`.
    """
    import_llama_cpp()
    return str(sys.modules["llama_cpp"].__version__)


def system_info() -> str:
    """The instruction sets that llama.cpp was built for and finds on this processor."""
    found: bytes = import_llama_cpp().llama_print_system_info()
    return " ".join(found.decode().split())


def converter_folder() -> Path:
    """The folder with llama.cpp's converter of transformers' checkpoints to GGUF.

    Raises:
        CodewattError: llama.cpp or its converter is not installed.
    """
    import_llama_cpp()
    package = Path(sys.modules["llama_cpp"].__file__ or "").parent
    folder = package.parent / _CONVERTER
    if not (folder / "conversion").is_dir():
        raise CodewattError(
            f"llama.cpp's converter is not in {folder}; `make llama-cpp` puts it there "
            "(docs/how-to/llama-cpp.md)"
        )
    return folder
