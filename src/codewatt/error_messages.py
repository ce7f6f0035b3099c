"""Error messages for the user: any exception as one line without control characters."""

import logging
import re
import unicodedata
import zlib

from codewatt.errors import CodewattError

#: Format characters that belong to ordinary text: the joiners of emoji and of some scripts.
_JOINERS = "\u200c\u200d"
#: Control, format, surrogate, line-separator and paragraph-separator characters.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_LINE_ENDS = re.compile(r"[^\S ]\s*|\s+[^\S ]\s*")
#: How libraries that raise errors of their own report a failed system call.
_SYSTEM_CALL = re.compile(
    r"No space left on device|Read-only file system|Disk quota exceeded|Permission denied|"
    r"\(os error \d+\)"
)


def printable(text: object) -> str:
    """A text as one line that cannot control a terminal: no line ends, control characters escaped.

    Text out of data (ids, file names, errors that quote a file) may hold escape sequences, which
    can rewrite what a terminal shows, and marks that reverse the direction of writing.
    """
    return escaped(_LINE_ENDS.sub(" ", str(text)).strip())


def show(text: str) -> None:
    """Print the output of a command, with control characters escaped; its lines are kept."""
    print("\n".join(escaped(line) for line in text.split("\n")))


def escaped(text: str) -> str:
    r"""The text with control and format characters escaped: \x1b, \u202e."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _UNPRINTABLE:
        return character
    return character.encode("unicode_escape").decode("ascii")


def describe(error: BaseException) -> str | None:
    """An error with a cause outside of the program as one line; None for an error of the program.

    Causes outside of the program: a CodewattError, the file system, the memory, packages that are
    not installed, and damaged files.
    """
    if isinstance(error, CodewattError):
        return str(error)
    if isinstance(error, OSError):
        return system_error(error)
    if isinstance(error, MemoryError):
        return "out of memory: the machine has too little for this input"
    if isinstance(error, RecursionError):
        return "an input file is nested too deeply"
    if isinstance(error, ImportError):
        return f"a package is missing or broken: {error}; set up the environment again"
    if isinstance(error, EOFError | zlib.error):
        return f"a compressed file is damaged: {error}"
    if _SYSTEM_CALL.search(str(error)):  # safetensors and torch wrap what the system says
        return f"{type(error).__name__}: {error}"
    return None


def system_error(error: OSError) -> str:
    """The file, if the error names one, and the reason of the operating system."""
    if not error.strerror:  # raised by a library, with a text of its own
        return str(error) or type(error).__name__
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return ": ".join([" and ".join(names), error.strerror] if names else [error.strerror])


class PrintableFormatter(logging.Formatter):
    """Log records without control characters; the lines of a traceback stay lines."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        lines = super().format(record).split("\n")
        return "\n".join(escaped(line.expandtabs()) for line in lines)
