"""One way to log: each rule's log gets every line, and any exception that ends it."""

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
_TRACES = logging.getLogger("traceback")  # not below "codewatt": for the log file alone


@contextmanager
def rule_log(snakemake: Any) -> Iterator[logging.Logger]:
    """Log to the rule's file and to stderr while a script's one call runs.

    What the user or the machine is to blame for (bad input, a full disk, too little memory, a
    missing package) is one line on stderr and exit code 1; the log has the traceback as well. An
    error of the program itself leaves its traceback in both.
    """
    end_with_run()
    # torch's loggers have handlers of their own on stderr: there only errors are for the user.
    os.environ.setdefault("TORCH_LOGS", "-all")
    log = logging.getLogger(f"codewatt.{snakemake.rule}")
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setLevel(logging.WARNING)
    to_stderr.addFilter(logging.Filter("codewatt"))  # libraries' warnings are for the log
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
        log.error("%s", printable(_of_output(snakemake, line)))
        _TRACES.error("where it was raised", exc_info=error)
        sys.exit(1)
    except BaseException:
        log.exception("failed")
        raise
    finally:
        if to_file is not None:
            _close(to_file)


def _of_output(snakemake: Any, line: str) -> str:
    """The line with what the job was to write, and what to do where there was no room for it."""
    full = any(words in line for words in ("No space left on device", "Disk quota exceeded"))
    outputs = [str(path) for path in getattr(snakemake, "output", [])]
    named = f"{outputs[0]}: {line}" if outputs and "/" not in line.split(": ")[0] else line
    return f"{named}; make room and run the same command again" if full else named


def _close(handler: logging.Handler) -> None:
    """Close a log file; what could not be written any more is lost."""
    try:
        handler.close()
    except OSError:
        return


@contextmanager
def mute_library_logs() -> Iterator[None]:
    """No log lines in here: bitsandbytes writes one at every 8-bit product.

    What libraries have to say they said before, in a warm-up or at the first answer.
    """
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
