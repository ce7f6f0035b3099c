"""Preparing a text, and checking that it holds nothing that it is judged on."""

from pathlib import Path
from typing import Any

from codewatt.benchmarks.benchmark import read_tasks
from codewatt.corpora.contamination import LIMIT_SHARE, RUN, overlaps, refuse_overlap
from codewatt.corpora.corpus import open_source, read_documents
from codewatt.errors import CodewattError
from codewatt.files import sha256_file, write_jsonl


def prepare_corpus(settings: dict[str, Any], documents_path: Path) -> dict[str, Any]:
    """Write a text's documents and describe them.

    Args:
        settings: a study's text without id and label.
        documents_path: where they are written (JSON lines, gzip by suffix).

    Returns:
        The text's manifest: settings, documents, bytes, digest.

    Raises:
        CodewattError: there is no such text.
    """
    documents = open_source(settings["source"]).documents(settings)
    if not documents:
        raise CodewattError(f"text of source {settings['source']!r}: there is no document in it")
    write_jsonl(documents_path, ({"text": text} for text in documents))
    return {
        "schema": 1,
        "settings": settings,
        "documents": len(documents),
        "bytes": sum(len(text.encode()) for text in documents),
        "sha256": sha256_file(documents_path),
    }


def check_contamination(
    corpus: str, documents_path: Path, benchmark: str, tasks_path: Path
) -> dict[str, Any]:
    """See that a text holds none of a benchmark's tasks.

    Args:
        corpus, benchmark: their ids.

    Returns:
        How much was found: the greatest share of a task, and which; the limit.

    Raises:
        CodewattError: the text holds a task.
    """
    tasks = read_tasks(tasks_path)
    programs = {task.task_id: task.prompt + task.canonical_solution for task in tasks}
    # A prompt with another solution is the task all the same.
    programs |= {f"the prompt of {task.task_id}": task.prompt for task in tasks}
    found = overlaps(read_documents(documents_path), programs)
    refuse_overlap(corpus, benchmark, found)
    return {
        "schema": 1,
        "corpus": corpus,
        "benchmark": benchmark,
        "run_length": RUN,
        "limit_share": LIMIT_SHARE,
        "greatest_share": found[0].share,
        "greatest_of": found[0].name,
        "tasks": len(tasks),
    }
