"""Names of files inside a replication package, with their media types and descriptions."""

import mimetypes
from pathlib import PurePosixPath

METADATA = "ro-crate-metadata.json"
PREVIEW = "ro-crate-preview.html"
README = "README.md"
CITATION = "CITATION.cff"
ZENODO = ".zenodo.json"
DICTIONARY = "data-dictionary.csv"
CHECKSUMS = "manifest-sha256.txt"
STUDY = "settings/study.yaml"
SITE = "settings/site.json"
ENVIRONMENT = "settings/environment.json"
SOFTWARE = "software"
SNAKEFILE = f"{SOFTWARE}/Snakefile"
RESULTS = "results"

_MEDIA_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".gz": "application/gzip",
    ".json": "application/json",
    ".csv": "text/csv",
    ".yaml": "application/yaml",
    ".cff": "application/yaml",
    ".md": "text/markdown",
    ".html": "text/html",
    ".smk": "text/x-python",
    ".py": "text/x-python",
    ".txt": "text/plain",
    "": "text/plain",
}

#: Pattern of a path below results/STUDY -> what the file is; the first that matches counts.
_DESCRIPTIONS = (
    ("models/*/manifest.json", "Model: source, size and sha256 of its weights"),
    ("models/*/layers.*.json", "Scores of the model's layers"),
    ("models/*/layers.*.parquet", "Telemetry of scoring the model's layers"),
    ("benchmarks/*/tasks.jsonl.gz", "Tasks of the benchmark"),
    ("benchmarks/*/expected.json.gz", "Outputs of the reference solutions"),
    ("benchmarks/*/manifest.json", "Benchmark: settings, digest and prompt format"),
    ("corpora/*/documents.jsonl.gz", "Documents of the corpus"),
    ("corpora/*/contamination.*.json", "Contamination check of the corpus with a benchmark"),
    ("corpora/*/manifest.json", "Corpus: source, size and digest"),
    ("variants/*/manifest.json", "Variant: what was made, from what, and sha256 of its weights"),
    ("variants/*/timeline.parquet", "Telemetry of making the variant"),
    ("variants/*/making_energy.json", "Energy of making the variant"),
    ("variants/*/fidelity.json", "Fidelity of the variant to its baseline"),
    ("cells/*/completions.jsonl.gz", "Completions of the cell"),
    ("cells/*/tasks.parquet", "Tokens and times of each completion"),
    ("cells/*/timeline.parquet", "Telemetry of generating"),
    ("cells/*/generate.json", "Record of generating: windows, meters, versions, machine"),
    ("cells/*/eval_results.json.gz", "Verdicts in the format of the benchmark's evaluator"),
    ("cells/*/evaluate.json", "Record of judging: verdicts, their reasons and pass@k"),
    ("cells/*/evaluate_timeline.parquet", "Telemetry of judging"),
    ("cells/*/energy.json", "Energy of the cell's phases, and validity checks"),
    ("cells/*/task_energy.parquet", "Energy of each task"),
    ("cells/*/depth.json", "Whether the cell solved any task"),
    ("tables/*", "Table of the study; its columns are in data-dictionary.csv"),
    ("figures/*", "Figure of the study"),
    ("summary.html", "Summary page of the study"),
    ("explorer.html", "Page with all tables, to sort, filter and draw"),
)


def media_type(path: str) -> str:
    """The media type of a file, by its suffix."""
    suffix = PurePosixPath(path).suffix
    guessed = _MEDIA_TYPES.get(suffix) or mimetypes.types_map.get(suffix)
    return guessed or "application/octet-stream"


def describe_result(path: str) -> str | None:
    """What a file below results/STUDY is; None for one that this module does not know."""
    for pattern, text in _DESCRIPTIONS:
        if PurePosixPath(path).match(pattern):
            return text
    return None
