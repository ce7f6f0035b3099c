"""`codewatt pin`: replace branches, tags and short commits of a study file by commits."""

import argparse
from pathlib import Path

from codewatt.config.revision_edits import read_revisions, write_revisions
from codewatt.error_messages import show
from codewatt.models.hub_commits import Hub, commit_of
from codewatt.untrusted_files import display_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("study", type=Path, help="the study file")
    parser.add_argument(
        "--check",
        action="store_true",
        help="show the commits, but do not write them; exit code 1 if a revision is not a commit",
    )


def run(options: argparse.Namespace) -> int:
    """Pin the models of a study file.

    Returns:
        1 with --check if a revision is not pinned; else 0.
    """
    from huggingface_hub import HfApi

    return pin(options.study, HfApi(), write=not options.check)


def pin(study: Path, hub: Hub, *, write: bool) -> int:
    """Print the commit of each revision that is not one; write all of them, or none after an error.

    Args:
        study: the study file.
        hub: asked only for revisions that are no commits.
        write: whether the commits are written into the file.

    Returns:
        The exit code: 1 if a revision is not a commit and nothing is written; else 0.

    Raises:
        CodewattError: the file cannot be read, the hub cannot be reached or has no such revision.
    """
    found = read_revisions(study)
    open_ = [revision for revision in found if not revision.is_pinned]
    where = display_path(study)
    commits = {one: commit_of(hub, one.repo, one.revision) for one in open_}
    for one, commit in commits.items():
        show(f"{where}: {one.key}: {one.repo}@{one.revision} is {commit}")
    if write and commits:
        write_revisions(study, commits)
    done = "written" if write else "to be written"
    show(f"{where}: {len(found)} models of the hub; commits {done}: {len(commits)}")
    return 0 if write or not commits else 1
