"""Logging of the rule scripts: messages and exceptions go to the rule's log file and to stderr."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from codewatt.error_messages import PrintableFormatter, describe, printable
from codewatt.errors import CodewattError
from codewatt.run_lock import end_with_run

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_TRACES = logging.getLogger(
    "traceback"
)  # outside "codewatt", so that tracebacks go to the log file only


@contextmanager
def rule_log(snakemake: Any) -> Iterator[logging.Logger]:
    """Log to the rule's log file and to stderr while the block runs.

    The log file gets all messages from level INFO, stderr gets warnings and errors of codewatt.
    An error with a cause outside of the program (bad input, full disk, too little memory, missing
    package) is one line on stderr and exit code 1; its traceback is in the log file. An error of
    the program itself has its traceback in both.

    Args:
        snakemake: the object that Snakemake gives to a script; its `rule` and `log` are used.

    Yields:
        The logger of the rule.
    """
    end_with_run()
    # torch's loggers write to stderr through their own handlers, which would show warnings there.
    os.environ.setdefault("TORCH_LOGS", "-all")
    log = logging.getLogger(f"codewatt.{snakemake.rule}")
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setLevel(logging.WARNING)
    to_stderr.addFilter(logging.Filter("codewatt"))  # warnings of libraries go to the log file only
    to_stderr.setFormatter(PrintableFormatter("%(levelname)s: %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    logging.getLogger("codewatt").setLevel(logging.INFO)
    root.handlers[:] = [to_stderr]
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log on a full disk is no reason for a traceback
    to_file: logging.Handler | None = None
    try:
        to_file = logging.FileHandler(snakemake.log[0], mode="w", encoding="utf-8")
        to_file.setFormatter(PrintableFormatter(_FORMAT))
        root.addHandler(to_file)
        yield log
    except CodewattError as error:
        log.error("%s", printable(error))
        sys.exit(1)
    except Exception as error:
        line = describe(error)
        if line is None:
            log.exception("failed")
            raise
        log.error("%s", printable(_with_output(snakemake, line)))
        _TRACES.error("traceback of this error", exc_info=error)
        sys.exit(1)
    except BaseException:
        log.exception("failed")
        raise
    finally:
        if to_file is not None:
            _close(to_file)


def _with_output(snakemake: Any, line: str) -> str:
    """The message with the output that the job was writing; for a full disk also with a remedy."""
    full = any(words in line for words in ("No space left on device", "Disk quota exceeded"))
    outputs = [str(path) for path in getattr(snakemake, "output", [])]
    named = f"{outputs[0]}: {line}" if outputs and "/" not in line.split(": ")[0] else line
    return f"{named}; free disk space, then run the same command again" if full else named


def _close(handler: logging.Handler) -> None:
    """Close a log file; text that cannot be written (full disk) is lost."""
    try:
        handler.close()
    except OSError:
        return


@contextmanager
def mute_library_logs() -> Iterator[None]:
    """Disable log messages up to level WARNING while the block runs.

    bitsandbytes logs a warning at every 8-bit matrix multiplication, which would take time in a
    measured window. The same warnings are logged before, during the warm-up.
    """
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
