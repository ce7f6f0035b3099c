"""The commit of a branch, a tag or a short commit of a repository of the Hugging Face hub."""

import re
from typing import Protocol

from codewatt.config.model_settings import is_commit
from codewatt.errors import CodewattError

#: The first digits of a commit; fewer than seven are not unique.
_SHORT = re.compile(r"[0-9a-f]{7,39}")


class ModelInfo(Protocol):
    """What is read of `huggingface_hub.ModelInfo`."""

    sha: str | None


class GitCommit(Protocol):
    """What is read of `huggingface_hub.GitCommitInfo`."""

    commit_id: str


class Hub(Protocol):
    """What is called of `huggingface_hub.HfApi`."""

    def model_info(self, repo_id: str, *, revision: str, timeout: float) -> ModelInfo:
        """The facts of a repository at a revision."""
        ...

    def list_repo_commits(self, repo_id: str) -> list[GitCommit]:
        """The commits of the branch main."""
        ...


def commit_of(hub: Hub, repo: str, revision: str, timeout_s: float = 30.0) -> str:
    """The commit that a revision of a repository names now.

    Args:
        hub: the hub.
        repo: owner/name.
        revision: a branch, a tag, or a commit's first seven to 39 hex digits.
        timeout_s: longest time to wait for an answer, in seconds.

    Returns:
        40 hex digits.

    Raises:
        CodewattError: the hub cannot be reached, or it has no such repository or revision.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"hub {repo}@{revision}"
    try:
        try:
            commit = hub.model_info(repo, revision=revision, timeout=timeout_s).sha
        except RevisionNotFoundError:
            commit = _from_history(hub, repo, revision)
    except GatedRepoError:
        raise CodewattError(
            f"{where}: access to this repository is restricted; accept its terms on its page, then "
            "log in: hf auth login"
        ) from None
    except RepositoryNotFoundError:
        raise CodewattError(
            f"{where}: no such repository, or it is private; allowed: owner/name of a model, or "
            "log in first: hf auth login"
        ) from None
    except (HfHubHTTPError, HFValidationError) as error:
        raise CodewattError(f"{where}: {_first_line(error)}") from None
    except (HTTPError, OSError) as error:  # of the HTTP client, and of the hub's offline mode
        raise CodewattError(
            f"{where}: the hub cannot be reached ({_first_line(error)}); run the command on a "
            "machine with a network"
        ) from None
    if commit is None or not is_commit(commit):
        raise CodewattError(f"{where}: no such branch, tag or commit in this repository")
    return commit


def _from_history(hub: Hub, repo: str, revision: str) -> str | None:
    """The one commit of the branch main that begins with a revision; None if it is no commit.

    Raises:
        CodewattError: several commits begin with it.
    """
    if not _SHORT.fullmatch(revision):
        return None
    found = [commit.commit_id for commit in hub.list_repo_commits(repo)]
    found = [commit for commit in found if commit.startswith(revision)]
    if len(found) > 1:
        raise CodewattError(f"hub {repo}@{revision}: {len(found)} commits begin with these digits")
    return found[0] if found else None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
