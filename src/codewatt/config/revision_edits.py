"""The revisions of hub models in the text of a study file, and the text with other revisions.

Positions are those of the YAML parser's nodes, so that comments and layout stay as they are.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from codewatt.config.model_settings import is_commit
from codewatt.config.yaml_file import read_yaml
from codewatt.errors import CodewattError
from codewatt.files import atomic_path
from codewatt.untrusted_files import display_path, read_text


@dataclass(frozen=True)
class HubRevision:
    """The revision of one model of the hub, and where it stands in the text.

    Attributes:
        key: the model's key in the file, such as models[0] or models[0].file.
        repo: owner/name on the hub.
        revision: as written; "main" if the file names none.
        start: index of the first character that is replaced.
        end: index after the last; equal to start if the file names no revision.
        before: text to write before the commit, such as a line end and the key.
    """

    key: str
    repo: str
    revision: str
    start: int
    end: int
    before: str

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit already."""
        return is_commit(self.revision)


def read_revisions(path: str | Path) -> list[HubRevision]:
    """The revisions of a study file's hub models, in the order of the file.

    Raises:
        CodewattError: the file cannot be read, is not YAML, or merges (`<<`) a hub model's keys.
    """
    read_yaml(path)  # refuses what is not plain YAML, of limited size
    text, name = read_text(path), display_path(path)
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    models = _value(root, "models")
    if not isinstance(models, yaml.SequenceNode):
        return []
    found: dict[int, HubRevision] = {}  # by position: an alias repeats an entry
    for index, entry in enumerate(models.value):
        key = f"models[{index}]"
        for place, node in ((key, entry), (f"{key}.file", _value(entry, "file"))):
            for revision in _revisions(text, place, node, name):
                found.setdefault(revision.start, revision)
    return sorted(found.values(), key=lambda revision: revision.start)


def write_revisions(path: str | Path, commits: Mapping[HubRevision, str]) -> None:
    """Write commits into a study file, in place of its revisions; nothing else changes.

    Args:
        path: the study file, as `read_revisions` read it.
        commits: revision -> commit.

    Raises:
        CodewattError: the file cannot be written.
    """
    text = read_text(path)
    for revision in sorted(commits, key=lambda one: one.start, reverse=True):
        commit = commits[revision]
        commit = f'"{commit}"' if commit.isdigit() else commit  # else a number of YAML
        text = f"{text[: revision.start]}{revision.before}{commit}{text[revision.end :]}"
    with atomic_path(os.path.realpath(path)) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """The value of a key of a mapping; None if the node is no mapping or has no such key."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _revisions(text: str, place: str, node: yaml.Node | None, file: str) -> Iterator[HubRevision]:
    """The revision of a mapping that names a hub's repository; none for other nodes."""
    if not isinstance(node, yaml.MappingNode):
        return
    repo, revision = _value(node, "repo"), _value(node, "revision")
    if _value(node, "<<") is not None and (repo is None or revision is None):
        raise CodewattError(
            f"{file}: {place}: its keys are merged from another entry (<<); allowed: repo and "
            "revision in the entry itself"
        )
    if not isinstance(repo, yaml.ScalarNode):
        return
    if isinstance(revision, yaml.ScalarNode) and revision.value:
        # The characters of the file: 1234567 stays a text, though it is a number of YAML.
        start, end = revision.start_mark.index, revision.end_mark.index
        yield HubRevision(place, repo.value, revision.value, start, end, "")
        return
    if isinstance(revision, yaml.ScalarNode):  # "revision:" and nothing behind it
        at = revision.start_mark.index
        yield HubRevision(place, repo.value, "main", at, at, "" if text[at - 1] == " " else " ")
        return
    key = next(name for name, value in node.value if value is repo)
    if node.flow_style:
        at, before = repo.end_mark.index, ", revision: "
    else:
        at = text.find("\n", repo.end_mark.index)
        at = len(text) if at < 0 else at
        before = f"\n{' ' * key.start_mark.column}revision: "
    yield HubRevision(place, repo.value, "main", at, at, before)
