"""All paths of results: the only module that builds them."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from codewatt.config.study import Study
from codewatt.errors import CodewattError
from codewatt.untrusted_files import display_path

#: Folder of the page on the published studies, beside the folders of the studies.
PUBLISHED_FOLDER = "published"


def in_checkout(path: str, checkout: str | Path) -> str:
    """The path of a project file: relative to the working directory, or else to the checkout.

    config/config.yaml names a study of the checkout by a relative path. In another working
    directory that path does not exist.
    """
    beside = os.path.join(checkout, path)
    return beside if not os.path.exists(path) and os.path.exists(beside) else path


def check_locations(python: str, checkout: str | Path) -> None:
    """Check that Snakemake can work with the locations of its Python and of the checkout.

    Snakemake starts jobs with its own Python and does not quote the path
    (https://github.com/snakemake/snakemake/issues/2645). It takes {name} in the path of a rule's
    script for a wildcard.

    Args:
        python: path of the interpreter that runs Snakemake.
        checkout: directory of the Snakefile.

    Raises:
        CodewattError: a path contains such characters.
    """
    if "{" in str(checkout) or "}" in str(checkout):
        raise CodewattError(
            f"{display_path(checkout)}: the path contains a brace, which Snakemake takes for a "
            "wildcard; allowed: a checkout under a path without braces"
        )
    if shlex.quote(python) != python:
        raise CodewattError(
            f"{display_path(python)}: Snakemake cannot start jobs with this Python, because its "
            "path contains spaces or other special characters of the shell; allowed: an "
            "environment under a path of letters, digits, '.', '_', '-' and '/'"
        )


@dataclass(frozen=True)
class Paths:
    """All paths of a study's results. Methods take an id; the default is Snakemake's wildcard."""

    root: Path

    @classmethod
    def of(cls, results: str | Path, study: Study) -> "Paths":
        """The paths of a study below a results directory."""
        return cls(Path(results) / study.study)

    def model(self, model: str = "{model}") -> str:
        """The manifest of a model."""
        return self._path("models", model, "manifest.json")

    def model_weights(self, model: str = "{model}") -> str:
        """Directory of a model's weights, if the study trains or generates them."""
        return self._path("models", model, "weights")

    def layer_scores(
        self, model: str = "{model}", method: str = "{method}", corpus: str = "{corpus}"
    ) -> str:
        """The scores of a model's layers by a prune method on a corpus."""
        return self._path("models", model, f"layers.{method}.{corpus}.json")

    def layer_scores_timeline(
        self, model: str = "{model}", method: str = "{method}", corpus: str = "{corpus}"
    ) -> str:
        """The raw telemetry of scoring a model's layers."""
        return self._path("models", model, f"layers.{method}.{corpus}.parquet")

    def benchmark(self, name: str, benchmark: str = "{benchmark}") -> str:
        """A benchmark's tasks.jsonl.gz, expected.json.gz or manifest.json."""
        return self._path("benchmarks", benchmark, name)

    def corpus(self, name: str, corpus: str = "{corpus}") -> str:
        """A corpus's documents.jsonl.gz or manifest.json."""
        return self._path("corpora", corpus, name)

    def contamination(self, corpus: str = "{corpus}", benchmark: str = "{benchmark}") -> str:
        """The contamination check of a corpus with the tasks of a benchmark."""
        return self._path("corpora", corpus, f"contamination.{benchmark}.json")

    def variant(self, name: str, variant: str = "{variant}") -> str:
        """One of a variant's files."""
        return self._path("variants", variant, name)

    def cell(self, name: str, cell: str = "{cell}") -> str:
        """One of a cell's files."""
        return self._path("cells", cell, name)

    def table(self, name: str) -> str:
        """A table, e.g. cell.parquet."""
        return self._path("tables", name)

    def figure(self, name: str) -> str:
        """A figure, e.g. frontier.pdf."""
        return self._path("figures", name)

    def summary(self) -> str:
        """The summary page (HTML)."""
        return self._path("summary.html")

    def explorer(self) -> str:
        """The explorer (HTML)."""
        return self._path("explorer.html")

    def published(self) -> str:
        """The page on the published studies, beside the studies' results (HTML)."""
        return (self.root.parent / PUBLISHED_FOLDER / "index.html").as_posix()

    def log(self, rule: str, instance: str = "study") -> str:
        """The log file of a rule; `instance` is the value of its wildcards."""
        return self._path("logs", rule, f"{instance}.log")

    def _path(self, *parts: str) -> str:
        return str(self.root.joinpath(*parts))
