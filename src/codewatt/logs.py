"""One way to log: each rule's log gets every line, and any exception that ends it."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from codewatt.errors import CodewattError
from codewatt.interruption import end_with_run

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def rule_log(snakemake: Any) -> Iterator[logging.Logger]:
    """Log to the rule's file and to stderr while a script's one call runs.

    A CodewattError is one line and exit code 1; anything else leaves its traceback in both.
    """
    end_with_run()
    # torch's loggers have handlers of their own on stderr: there only errors are for the user.
    os.environ.setdefault("TORCH_LOGS", "-all")
    log = logging.getLogger(f"codewatt.{snakemake.rule}")
    to_file = logging.FileHandler(snakemake.log[0], mode="w", encoding="utf-8")
    to_file.setFormatter(logging.Formatter(_FORMAT))
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setLevel(logging.WARNING)
    to_stderr.addFilter(logging.Filter("codewatt"))  # libraries' warnings are for the log
    to_stderr.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    logging.getLogger("codewatt").setLevel(logging.INFO)
    root.handlers[:] = [to_file, to_stderr]
    logging.captureWarnings(True)
    try:
        yield log
    except CodewattError as error:
        log.error("%s", error)
        sys.exit(1)
    except BaseException:
        log.exception("failed")
        raise
    finally:
        to_file.close()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No log lines in here: bitsandbytes writes one at every 8-bit product.

    What libraries have to say they said before, in a warm-up or at the first answer.
    """
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
