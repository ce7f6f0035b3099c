"""Prepares a corpus, and checks it for contamination with a benchmark."""

from pathlib import Path

from codewatt.benchmarks.tasks import read_tasks
from codewatt.corpora.contamination import (
    MAX_SHARE,
    NGRAM_LENGTH,
    measure_contamination,
    require_uncontaminated,
)
from codewatt.corpora.corpus import open_corpus_source, read_documents
from codewatt.corpora.corpus_record import ContaminationRecord, CorpusSettings, PreparedCorpusRecord
from codewatt.errors import CodewattError
from codewatt.files import sha256_file, write_jsonl


def prepare_corpus(settings: CorpusSettings, documents_path: Path) -> PreparedCorpusRecord:
    """Write the documents of a corpus.

    Args:
        settings: a study's corpus without id and label.
        documents_path: file to write (JSON lines, gzip by suffix).

    Returns:
        The manifest of the corpus: settings, number of documents, bytes and digest.

    Raises:
        CodewattError: the corpus has no documents, or they cannot be read.
    """
    documents = open_corpus_source(settings["source"]).documents(settings)
    if not documents:
        raise CodewattError(f"corpus of source {settings['source']!r}: contains no documents")
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
) -> ContaminationRecord:
    """Check that a corpus contains no task of a benchmark.

    Args:
        corpus: id of the corpus.
        documents_path: its documents.
        benchmark: id of the benchmark.
        tasks_path: its tasks.

    Returns:
        The largest share of a task that the corpus contains, the name of that task, and the limit.

    Raises:
        CodewattError: the corpus contains a task.
    """
    tasks = read_tasks(tasks_path)
    programs = {task.task_id: task.reference_program for task in tasks}
    # A prompt with another solution is contamination as well.
    programs |= {f"the prompt of {task.task_id}": task.prompt for task in tasks}
    found = measure_contamination(read_documents(documents_path), programs)
    require_uncontaminated(corpus, benchmark, found)
    return {
        "schema": 1,
        "corpus": corpus,
        "benchmark": benchmark,
        "ngram_length": NGRAM_LENGTH,
        "max_share": MAX_SHARE,
        "largest_share": found[0].share,
        "largest_share_of": found[0].name,
        "tasks": len(tasks),
    }
