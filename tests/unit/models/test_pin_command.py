"""`codewatt pin`: commits of a double of the hub, written without any other change."""

import difflib
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from codewatt.cli import main
from codewatt.config.yaml_file import read_yaml
from codewatt.errors import CodewattError
from codewatt.models.pin_command import pin

PINNED = "733247c55e3f73af49ce8e9c7949bf14af205928"
COMMITS = {
    ("a/branch", "main"): "1" * 39 + "a",
    ("a/tag", "step10000"): "2" * 39 + "b",
    ("a/missing", "main"): "3" * 39 + "c",
    ("a/flow", "main"): "4" * 39 + "d",
    ("a/empty", "main"): "5" * 39 + "e",
    ("a/gguf", "v1.0"): "6" * 39 + "f",
    ("a/digits", "main"): "7" * 40,
}
HISTORY = {"a/short": ["1234567" + "8" * 32 + "b", "abcdef0" + "9" * 33, "abcdef0" + "1" * 33]}

STUDY = f"""\
# A comment at the top: revision: main
models:
  - id: branch   # a comment
    repo: a/branch
    revision: main  # the branch of today
    layers: 30
  - {{id: flow, source: hub, repo: a/flow, layers: 2}} # no revision
  - id: pinned
    revision: {PINNED}
    repo: a/pinned
  - id: tag
    revision: 'step10000'
    repo: "a/tag"

  - id: missing
    repo: a/missing # nothing names its revision
    layers: 3
  - id: empty
    repo: a/empty
    revision: # to be filled in
  - id: digits
    repo: a/digits
    revision: main
  - id: short
    repo: a/short
    revision: 1234567
  - id: gguf
    source: gguf
    file: {{source: hub, repo: a/gguf, revision: v1.0, name: m.gguf}}
  - &nano {{id: nano, source: nano}}
  - *nano
prunes: [{{id: full, method: none}}]
"""


def answer(status, kind):
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    return kind("refused\nby the hub", response=response)


class HubDouble:
    """Answers of `HfApi` from COMMITS and HISTORY; `raises` replaces every answer."""

    def __init__(self, raises=None):
        self.raises, self.asked = raises, []

    def model_info(self, repo_id, *, revision, timeout):
        assert timeout > 0
        self.asked.append((repo_id, revision))
        if self.raises is not None:
            raise self.raises
        if (repo_id, revision) not in COMMITS:
            raise answer(404, RevisionNotFoundError)
        return SimpleNamespace(sha=COMMITS[repo_id, revision])

    def list_repo_commits(self, repo_id):
        return [SimpleNamespace(commit_id=commit) for commit in HISTORY.get(repo_id, [])]


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


def test_nothing_but_the_revisions_changes(study, capsys):
    hub = HubDouble()
    before = read_yaml(study)
    assert pin(study, hub, write=True) == 0
    short = HISTORY["a/short"][0]
    lines = difflib.ndiff(STUDY.splitlines(), study.read_text().splitlines())
    changed = [line for line in lines if line[0] in "+-"]
    assert changed == [
        "-     revision: main  # the branch of today",
        f"+     revision: {COMMITS['a/branch', 'main']}  # the branch of today",
        "-   - {id: flow, source: hub, repo: a/flow, layers: 2} # no revision",
        f"+   - {{id: flow, source: hub, repo: a/flow, revision: {COMMITS['a/flow', 'main']}, "
        "layers: 2} # no revision",
        "-     revision: 'step10000'",
        f"+     revision: {COMMITS['a/tag', 'step10000']}",
        f"+     revision: {COMMITS['a/missing', 'main']}",
        "-     revision: # to be filled in",
        f"+     revision: {COMMITS['a/empty', 'main']} # to be filled in",
        "-     revision: main",
        f'+     revision: "{COMMITS["a/digits", "main"]}"',
        "-     revision: 1234567",
        f"+     revision: {short}",
        "-     file: {source: hub, repo: a/gguf, revision: v1.0, name: m.gguf}",
        f"+     file: {{source: hub, repo: a/gguf, revision: {COMMITS['a/gguf', 'v1.0']}, "
        "name: m.gguf}",
    ]
    wanted = dict(before)
    for model in wanted["models"]:
        source = model.get("file", model)
        if (repo := source.get("repo")) not in (None, "a/pinned"):
            found = [commit for (name, _), commit in COMMITS.items() if name == repo]
            source["revision"] = (found or [short])[0]
    assert read_yaml(study) == wanted
    assert ("a/pinned", PINNED) not in hub.asked
    text = capsys.readouterr().out
    assert f"models[0]: a/branch@main is {COMMITS['a/branch', 'main']}\n" in text
    assert text.endswith("study.yaml: 9 models of the hub; commits written: 8\n")


def test_check_writes_nothing_and_a_pinned_study_asks_nobody(study, capsys):
    assert pin(study, HubDouble(), write=False) == 1
    assert study.read_text() == STUDY
    assert "commits to be written: 8" in capsys.readouterr().out
    pin(study, HubDouble(), write=True)
    pinned, nobody = study.read_text(), HubDouble(AssertionError("the hub was asked"))
    assert pin(study, nobody, write=False) == pin(study, nobody, write=True) == 0
    assert study.read_text() == pinned


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (
            answer(401, RepositoryNotFoundError),
            "hub a/branch@main: no such repository, or it is private; allowed: owner/name",
        ),
        (
            answer(403, GatedRepoError),
            "hub a/branch@main: access to this repository is restricted; accept its terms",
        ),
        (
            answer(404, RevisionNotFoundError),
            "hub a/branch@main: no such branch, tag or commit in this repository",
        ),
        (
            HTTPError("[Errno -2] Name or service not known"),
            "hub a/branch@main: the hub cannot be reached ([Errno -2] Name or service not known)",
        ),
        (
            OfflineModeIsEnabled("Cannot reach the hub: offline mode is enabled."),
            "hub a/branch@main: the hub cannot be reached (Cannot reach the hub: offline",
        ),
    ],
    ids=["unknown", "gated", "no revision", "no network", "offline"],
)
def test_an_error_is_one_line_and_nothing_is_written(study, monkeypatch, capsys, raised, message):
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: HubDouble(raised))
    assert main(["pin", str(study)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"codewatt: {message}")
    assert error.count("\n") == 1
    assert study.read_text() == STUDY


def test_a_short_commit_must_be_unique(study):
    study.write_text(STUDY.replace("1234567", "abcdef0"))
    with pytest.raises(CodewattError, match="a/short@abcdef0: 2 commits begin with these digits"):
        pin(study, HubDouble(), write=True)


def test_merged_keys_are_refused(study):
    study.write_text("models:\n  - &m {repo: a/branch, revision: main}\n  - {<<: *m, id: two}\n")
    with pytest.raises(CodewattError, match=r"models\[1\]: its keys are merged from another"):
        pin(study, HubDouble(), write=True)
