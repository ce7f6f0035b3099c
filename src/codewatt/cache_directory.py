"""The directory of downloads and expected outputs that are kept between runs."""

import os
from pathlib import Path

from codewatt.errors import CodewattError


def cache_directory() -> Path:
    """Directory of downloads and expected outputs that are kept between runs.

    It is $XDG_CACHE_HOME/codewatt, or else ~/.cache/codewatt.

    Raises:
        CodewattError: neither XDG_CACHE_HOME nor a home directory is known.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    if given and Path(given).is_absolute():  # the XDG specification ignores relative paths
        return Path(given) / "codewatt"
    try:
        return Path.home() / ".cache" / "codewatt"
    except RuntimeError:
        raise CodewattError(
            "cache directory: the home directory is unknown; set XDG_CACHE_HOME to a directory"
        ) from None
