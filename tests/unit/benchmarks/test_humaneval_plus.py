"""HumanEval+ comes from a file or from the pinned download, and from nothing else."""

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from codewatt.benchmarks import dataset_files, humaneval_plus_benchmark
from codewatt.benchmarks.dataset_files import unpacked_digests
from codewatt.benchmarks.humaneval_plus_benchmark import HumanEvalPlus
from codewatt.errors import CodewattError

ROW = {
    "task_id": "T/0",
    "prompt": "def f(x):\n",
    "entry_point": "f",
    "canonical_solution": "    return x\n",
    "base_input": [[1]],
    "plus_input": [],
}
CONTENT = (json.dumps(ROW) + "\n").encode()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "codewatt"


def test_a_local_file_is_read_and_checked_unless_told_not_to(tmp_path: Path) -> None:
    path = tmp_path / "he.jsonl.gz"
    path.write_bytes(gzip.compress(CONTENT))
    benchmark = HumanEvalPlus()
    assert benchmark.tasks({"path": str(path), "pinned": False})[0].task_id == "T/0"
    assert benchmark.tasks({"path": str(path), "pinned": False, "tasks": 0}) == []
    with pytest.raises(CodewattError, match="sha256 of the unpacked content is " + SHA256):
        benchmark.tasks({"path": str(path)})
    assert unpacked_digests(path)["sha256"] == SHA256


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(CodewattError, match="unknown setting 'file'; allowed: mini, path, pinned"):
        HumanEvalPlus().tasks({"file": "x"})


def test_a_download_is_kept_and_checked(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(url: str) -> bytes:
        asked.append(url)
        return CONTENT

    monkeypatch.setattr(dataset_files, "download", download)
    monkeypatch.setitem(humaneval_plus_benchmark._SHA256, "HumanEvalPlus", SHA256)
    for _ in range(2):
        assert len(HumanEvalPlus().tasks({})) == 1
    assert len(asked) == 1
    assert "200defce9e3429d28ca215b6dd061c0f7f31c18b/HumanEvalPlus.jsonl.gz" in asked[0]
    (kept,) = cache.iterdir()
    kept.write_bytes(CONTENT + b"\n")
    with pytest.raises(CodewattError, match=SHA256):
        HumanEvalPlus().tasks({})


def test_a_download_of_another_version_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_files, "download", lambda url: CONTENT)
    for _ in range(2):
        with pytest.raises(
            CodewattError, match=humaneval_plus_benchmark._SHA256["HumanEvalPlus-Mini"]
        ):
            HumanEvalPlus().tasks({"mini": True})


@pytest.mark.data
@pytest.mark.parametrize(("name", "plus"), [("", 122_683), ("-Mini", 1_107)])
def test_the_pinned_digests_are_those_of_the_data(test_data: Path, name: str, plus: int) -> None:
    path = test_data / "humaneval_plus" / f"HumanEvalPlus{name}-v0.1.10.jsonl.gz"
    tasks = HumanEvalPlus().tasks({"path": str(path), "mini": bool(name)})
    assert len(tasks) == 164
    assert sum(len(task.base_input) for task in tasks) == 1570
    assert sum(len(task.plus_input) for task in tasks) == plus
