"""Corpora: same settings give same documents, parts are disjoint, no task is contained."""

import gzip
import json
from pathlib import Path

import pytest

from codewatt.benchmarks.tasks import FunctionTask, write_tasks
from codewatt.corpora.contamination import (
    measure_contamination,
    require_disjoint,
    require_uncontaminated,
)
from codewatt.corpora.corpus import open_corpus_source, read_documents
from codewatt.corpora.prepare_corpus import check_contamination, prepare_corpus
from codewatt.corpora.token_sequences import PreparedCorpus, token_sequences
from codewatt.errors import CodewattError
from codewatt.nano.task_sampling import held_out_problems
from tests.support.models import save_tiny_tokenizer

NANO = {"source": "nano", "part": "calibration", "samples": 64, "tokens": 64, "seed": 0}
STDLIB = {"source": "stdlib", "part": "calibration", "samples": 4, "tokens": 128, "seed": 0}


@pytest.mark.parametrize("settings", [NANO, STDLIB], ids=lambda settings: settings["source"])
def test_the_same_settings_give_the_same_documents_and_parts_are_apart(settings):
    source = open_corpus_source(settings["source"])
    documents = source.documents(settings)
    assert documents == source.documents(settings)
    assert documents != source.documents({**settings, "seed": 1})
    held_out = source.documents({**settings, "part": "held_out"})
    assert not set(documents) & set(held_out)


def test_prepared_and_read_back(tmp_path):
    path = tmp_path / "documents.jsonl.gz"
    manifest = prepare_corpus(NANO, path)
    prepared = PreparedCorpus.read(path, NANO)
    assert prepared.documents == open_corpus_source("nano").documents(NANO)
    assert manifest["documents"] == len(prepared.documents) == 64
    assert manifest["sha256"] == prepared.describe()["sha256"]


def test_sequences_of_a_joined_text_are_equally_long_and_in_order(tmp_path):
    tokenizer = save_tiny_tokenizer(tmp_path)
    documents = open_corpus_source("stdlib").documents(STDLIB)
    found = token_sequences(documents, tokenizer, STDLIB)
    assert [len(ids) for ids in found] == [128] * 4
    first = tokenizer(documents[:1], add_special_tokens=False).input_ids[0]
    together = [token for ids in found for token in ids]
    assert together[: len(first)] == first[: len(together)]


def test_a_tokenizer_without_an_end_of_sequence_is_refused(tmp_path):
    tokenizer = save_tiny_tokenizer(tmp_path)
    tokenizer.eos_token = None
    with pytest.raises(CodewattError, match=r"has no end-of-sequence token.*needs an eos_token"):
        token_sequences(open_corpus_source("stdlib").documents(STDLIB), tokenizer, STDLIB)


def test_sequences_of_single_documents_keep_them_apart(tmp_path):
    tokenizer = save_tiny_tokenizer(tmp_path)
    documents = open_corpus_source("nano").documents(NANO)
    found = token_sequences(documents, tokenizer, {**NANO, "tokens": 16})
    each = tokenizer(documents, add_special_tokens=False).input_ids
    assert found == [ids[:16] for ids in each]


def test_nano_functions_are_judged_on_their_bodies(tmp_path):
    tokenizer = save_tiny_tokenizer(tmp_path)
    prepared = PreparedCorpus(
        open_corpus_source("nano").documents(NANO), {**NANO, "tokens": 512}, ""
    )
    for ids, first in zip(
        prepared.sequences(tokenizer), prepared.first_scored_tokens(tokenizer), strict=True
    ):
        assert tokenizer.decode(ids[:first]).endswith('"""')
        assert tokenizer.decode(ids[first:]).startswith("\n    ")
    joined = PreparedCorpus(["x = 1"], {**STDLIB, "samples": 3}, "")
    assert joined.first_scored_tokens(tokenizer) == [1, 1, 1]


def test_too_little_text_is_refused(tmp_path):
    with pytest.raises(CodewattError, match="has 0 sequences of 512 tokens, but samples is 4"):
        token_sequences(["x = 1"], save_tiny_tokenizer(tmp_path), {**STDLIB, "tokens": 512})


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("absent.txt", None, "no such file"),
        ("empty.txt", b" \n", "contains no text"),
        ("latin.txt", "ä".encode("latin-1"), "not readable as text"),
        ("rows.jsonl", b'{"code": "x"}\n', "rows.jsonl:1: expected a key 'text' with a string"),
        ("rows.jsonl", b"", "contains no documents"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, name, content, expected):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CodewattError, match=expected):
        open_corpus_source("file").documents({**STDLIB, "source": "file", "path": str(path)})


def test_files_of_both_forms(tmp_path):
    plain, rows = tmp_path / "a.py", tmp_path / "b.jsonl.gz"
    plain.write_text("x = 1\n")
    with gzip.open(rows, "wt") as stream:
        stream.writelines(json.dumps({"text": f"x = {n}"}) + "\n" for n in range(9))
    source = open_corpus_source("file")
    assert source.documents({**STDLIB, "path": str(plain)}) == ["x = 1\n"]
    assert sorted(source.documents({**STDLIB, "path": str(rows)})) == [f"x = {n}" for n in range(9)]


def _tasks() -> list[FunctionTask]:
    return [
        FunctionTask(f"Nano/{n}", p.prompt, p.entry_point, p.canonical_solution, [[1]], [])
        for n, p in enumerate(held_out_problems(40, 0))
    ]


def _contamination(tmp_path: Path, documents: list[str]) -> dict:
    rows, tasks = tmp_path / "documents.jsonl", tmp_path / "tasks.jsonl.gz"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    write_tasks(tasks, _tasks())
    return check_contamination("code", rows, "nano", tasks)


def test_the_projects_own_texts_hold_no_task(tmp_path):
    for settings in (NANO, STDLIB):
        source = open_corpus_source(settings["source"])
        for part in ("calibration", "held_out"):
            found = _contamination(tmp_path, source.documents({**settings, "part": part}))
            assert found["largest_share"] < 0.8
            assert found["tasks"] == 40


@pytest.mark.parametrize("changed", ["copied", "renamed", "commented", "other solution"])
def test_a_text_with_a_task_is_refused(tmp_path, changed):
    task = _tasks()[7]
    copy = task.prompt + task.canonical_solution
    if changed == "renamed":
        copy = copy.replace(f"def {task.entry_point}(", "def another(")
    elif changed == "commented":
        copy = copy.replace("\n", "  # so it is\n")
    elif changed == "other solution":
        copy = task.prompt + "    raise NotImplementedError\n"
    nano = open_corpus_source("nano").documents(NANO)
    documents = [*nano, f"import os\n\n\n{copy}\nprint(1)\n"]
    with pytest.raises(CodewattError, match=r"'code' contains .* of 'nano', for example .*Nano/7"):
        _contamination(tmp_path, documents)


def test_a_document_of_one_text_in_another_is_found():
    documents = open_corpus_source("nano").documents(NANO)
    found = measure_contamination(documents, {"one": documents[3], "none": "lambda: 0"})
    assert [(one.name, one.share) for one in found] == [("one", 1.0), ("none", 0.0)]
    with pytest.raises(CodewattError, match=r"contains 1 of 2 .* of 'other', for example one"):
        require_uncontaminated("code", "other", found)


@pytest.mark.parametrize("settings", [NANO, STDLIB], ids=lambda settings: settings["source"])
def test_parts_hold_no_document_of_each_other(settings):
    """As large as texts are in practice; the standard library's modules copy from each other."""
    source = open_corpus_source(settings["source"])
    large = {**settings, "samples": 256, "tokens": 512}
    calibration, held_out = (
        source.documents({**large, "part": part}) for part in ("calibration", "held_out")
    )
    assert min(len(calibration), len(held_out)) >= 256
    require_disjoint("calib", calibration, "held", held_out)


@pytest.mark.parametrize("whole", ["held", "calib"])
def test_texts_of_which_one_holds_a_document_of_the_other_are_refused(whole):
    documents = open_corpus_source("nano").documents(NANO)
    texts = {"held": documents[:20], "calib": documents[20:]}
    (part,) = set(texts) - {whole}
    texts[whole] = [*texts[whole], "x = 1\n" * 99 + "\n".join(texts[part][:2])]
    with pytest.raises(CodewattError, match=f"'{whole}' contains 2 of .* '{part}', .* document 1 "):
        require_disjoint("calib", texts["calib"], "held", texts["held"])


def test_plain_texts_that_share_a_half_are_refused():
    """A file of plain text is one document, however long."""
    code = open_corpus_source("stdlib").documents({**STDLIB, "samples": 64})
    shared, one, other = ("\n".join(code[at : at + 9]) for at in (0, 9, 18))
    require_disjoint("calib", [one], "held", [other])
    for first, second in ((one + shared, other + shared), (shared + one, other + shared)):
        with pytest.raises(CodewattError, match=r"'calib' contains .*document 1 \(part \d+ of"):
            require_disjoint("calib", [first], "held", [second])


@pytest.mark.parametrize("whole", ["calib", "held"])
def test_short_documents_are_found_together_in_longer_ones(whole):
    short = ["return a + b", "# a comment\n", "b = [a]", "import os"]
    texts = {"held": short, "calib": short}
    texts[whole] = ["import os\n\ndef add(a, b):\n    b = [a]\n    return a + b\n"]
    message = rf"'{whole}' contains 1 of [12] programs .* 3 short documents together \(100% of it\)"
    with pytest.raises(CodewattError, match=message):
        require_disjoint("calib", texts["calib"], "held", texts["held"])
    texts[whole] = ["import os\n\ndef add(a, b):\n    return a - b\n"]
    require_disjoint("calib", texts["calib"], "held", texts["held"])


def test_one_short_document_alone_says_nothing():
    require_disjoint("calib", ["import os\n", "x = 1\n" * 9], "held", ["import os", "y = 2\n" * 9])


def test_a_prepared_text_without_documents_is_refused(tmp_path):
    path = tmp_path / "documents.jsonl"
    path.write_text("")
    with pytest.raises(CodewattError, match="contains no documents"):
        read_documents(path)
