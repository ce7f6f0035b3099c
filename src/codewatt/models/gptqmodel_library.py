"""GPTQModel as a library among others: imported once, quietly, without changing the process."""

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from typing import Any

from codewatt.errors import CodewattError

_LOG = logging.getLogger(__name__)
_SETTINGS = {
    # With fewer than two workers it waits for itself on two cores.
    "GPTQMODEL_CPU_WORKERS": "2",
    # Packing by torch: the other way compiles a C++ extension at the first use, for 46 s.
    "GPTQMODEL_DISABLE_PACK_EXT": "1",
    "GPTQMODEL_DISABLE_GIL_WARNING": "1",
}


def import_gptqmodel() -> Any:
    """The module `gptqmodel`.

    Raises:
        CodewattError: it is not installed.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        with silenced(), kept_environment():
            import gptqmodel
    except ModuleNotFoundError as error:
        if error.name not in ("gptqmodel", "logbar"):
            raise
        raise CodewattError(
            "GPTQ and AWQ need gptqmodel, which is not installed here (requirements/nodeps.txt)"
        ) from None
    from gptqmodel.utils import threadx

    # A worker that meets an exception ends the whole process at once; the exception is on its way
    # to the caller by then.
    threadx._DeviceWorker._abort_process = _nothing
    return gptqmodel


def _nothing(worker: Any, error: BaseException) -> None:
    """In place of ending the process."""


@contextlib.contextmanager
def kept_environment() -> Iterator[None]:
    """Undo what the library sets for all of torch: another allocator, another order of GPUs."""
    before = set(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - before:
            del os.environ[name]


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keep what the library prints (tables, progress bars) off the terminal."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        from logbar import LogBar

        LogBar.shared().setLevel("ERROR")
        yield
    if said.getvalue():
        _LOG.debug("%s", said.getvalue())
