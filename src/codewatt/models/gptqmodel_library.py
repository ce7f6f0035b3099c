"""Imports GPTQModel without its output and without its changes to the process."""

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from typing import Any

from codewatt.errors import CodewattError

_LOG = logging.getLogger(__name__)
_SETTINGS = {
    # With fewer than two workers it deadlocks on two cores.
    "GPTQMODEL_CPU_WORKERS": "2",
    # Pack with torch: its C++ extension compiles at the first use, which takes 46 s.
    "GPTQMODEL_DISABLE_PACK_EXT": "1",
    "GPTQMODEL_DISABLE_GIL_WARNING": "1",
}


def import_gptqmodel() -> Any:
    """Import the module `gptqmodel`.

    Raises:
        CodewattError: it is not installed.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        with silence_output(), preserve_environment():
            import gptqmodel
    except ModuleNotFoundError as error:
        if error.name not in ("gptqmodel", "logbar"):
            raise
        raise CodewattError(
            "GPTQ and AWQ checkpoints need the library gptqmodel, which is not installed; install "
            "it as requirements/nodeps.txt says"
        ) from None
    from gptqmodel.utils import threadx

    # After an exception a worker ends the whole process; the caller gets the exception anyway.
    threadx._DeviceWorker._abort_process = _nothing
    return gptqmodel


def _nothing(worker: Any, error: BaseException) -> None:
    """Replaces the function that ends the process."""


@contextlib.contextmanager
def preserve_environment() -> Iterator[None]:
    """Remove environment variables that the library sets (torch's allocator, order of GPUs)."""
    before = set(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - before:
            del os.environ[name]


@contextlib.contextmanager
def silence_output() -> Iterator[None]:
    """Send what the library prints (tables, progress bars) to the debug log."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        from logbar import LogBar

        LogBar.shared().setLevel("ERROR")
        yield
    if output.getvalue():
        _LOG.debug("%s", output.getvalue())
