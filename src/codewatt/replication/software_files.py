"""The files of the checkout that a replication package holds: the workflow and its environments."""

import os
from collections.abc import Iterator
from pathlib import Path

#: Files and directories of the checkout. config/config.yaml and site files stay out: they hold
#: paths and accounts of a machine.
_INCLUDED = (
    "Snakefile",
    "workflow",
    "src/codewatt",
    "requirements",
    "envs",
    "profiles/default",
    "docs/reference",
    "tools",
    "LICENSE",
    "CITATION.cff",
    "README.md",
    "Makefile",
    "pyproject.toml",
)
#: What interpreters and installers leave behind.
_LEFT_OUT = ("__pycache__", ".egg-info", ".pyc")


def software_files(checkout: Path) -> dict[str, Path]:
    """Path in the checkout -> file, sorted; links, hidden files and caches are left out."""
    found = {}
    for name in _INCLUDED:
        root = checkout / name
        for path in sorted(_files(root)) if root.is_dir() else [root]:
            if path.is_file() and not path.is_symlink():
                found[path.relative_to(checkout).as_posix()] = path
    return dict(sorted(found.items()))


def _files(directory: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if _wanted(name)]
        yield from (Path(folder, name) for name in names if _wanted(name))


def _wanted(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(_LEFT_OUT)
