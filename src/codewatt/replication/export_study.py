"""Export of a finished study as a replication package (RO-Crate)."""

import hashlib
import importlib.metadata
import json
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codewatt.code_digests import stage_code
from codewatt.config.load_study import load_config
from codewatt.config.yaml_file import read_yaml
from codewatt.errors import CodewattError
from codewatt.files import FileRecord, check_files, sha256_file
from codewatt.generate.generate_record import GENERATE
from codewatt.grid import Grid
from codewatt.paths import Paths
from codewatt.provenance import provenance
from codewatt.replication import package_layout as layout
from codewatt.replication.archive_writer import check_output, write_package
from codewatt.replication.citation import (
    Citation,
    dataset_citation,
    read_citation,
    zenodo_metadata,
)
from codewatt.replication.crate_metadata import (
    CrateDescription,
    build_crate,
    metadata_text,
    preview_text,
)
from codewatt.replication.job_runs import JobRun, job_runs
from codewatt.replication.package_texts import (
    EnvironmentRecord,
    LeftOut,
    data_dictionary,
    left_out_weights,
    readme,
    site_settings,
)
from codewatt.replication.remade_tables import different_files, make_tables, table_files
from codewatt.replication.software_files import software_files
from codewatt.replication.workflow_files import WorkflowFile, checkout
from codewatt.untrusted_files import display_path, read_text

#: Path in the package -> the file, or its content.
Sources = dict[str, Path | bytes]
#: Packages whose versions can change a byte of a table.
_TABLE_PACKAGES = ("codewatt", "numpy", "pandas", "pyarrow", "scipy", "statsmodels", "snakemake")


@dataclass(frozen=True)
class Export:
    """What is exported, and how.

    Attributes:
        grid: the study's grid.
        study_file: its file.
        results: the results directory, as the paths of the workflow's files begin.
        files: the workflow's output files, all up to date.
        site: file with the settings of the machine or cluster.
        citation: CITATION.cff that names the authors of the study.
        license_id: SPDX identifier of the licence of the data.
    """

    grid: Grid
    study_file: Path
    results: str
    files: Sequence[WorkflowFile]
    site: Path
    citation: Path
    license_id: str

    @property
    def paths(self) -> Paths:
        """The paths of the study's results."""
        return Paths.of(self.results, self.grid.study)

    @property
    def title(self) -> str:
        """The title of the package."""
        return f"Replication package: {self.grid.study.title or self.grid.study.study}"

    def below(self, path: str) -> str:
        """An output file's path below the study's folder."""
        return Path(path).relative_to(self.paths.root).as_posix()

    def in_package(self, path: str) -> str:
        """The path of a file in the package; a path outside of the results stays as it is."""
        if not Path(path).is_relative_to(self.paths.root):
            return path
        return f"{layout.RESULTS}/{self.grid.study.study}/{self.below(path)}"


@dataclass(frozen=True)
class Exported:
    """What an export wrote. files: number of files. weights: that are left out."""

    files: int
    weights: list[LeftOut]


def export_study(export: Export, out: Path) -> Exported:
    """Write the replication package of a finished study.

    Args:
        out: a new path: an archive if it ends in .zip, else a directory.

    Raises:
        CodewattError: a file is missing or differs from its record; the tables are not those that
            the records give; a setting is not usable; the package cannot be written.
    """
    check_output(out)
    check_results(export)
    root = checkout()
    sources: Sources = {export.in_package(file.path): Path(file.path) for file in export.files}
    sources |= {f"{layout.SOFTWARE}/{name}": path for name, path in software_files(root).items()}
    software, authors = read_citation(root / layout.CITATION), read_citation(export.citation)
    jobs = [_renamed(job, export) for job in job_runs(export.files)]
    end = max((job.end for job in jobs if job.end is not None), default=None)
    if end is None:
        raise CodewattError(f"{display_path(export.paths.root)}: no record says when it was made")
    date = end.date().isoformat()
    environment = read_environment(root)
    weights = left_out_weights(_manifests(export))
    texts = _texts(export, date, software, authors, environment, weights)
    sources |= {name: text.encode() for name, text in texts.items()}
    outcomes = [export.in_package(file.path) for file in export.files if _is_outcome(export, file)]
    described = CrateDescription(
        title=export.title,
        description=_description(export, date),
        date=date,
        license_id=export.license_id,
        authors=authors.authors,
        software_url=software.url,
        software_version=software.version or str(environment["versions"]["codewatt"]),
        snakemake_version=environment["versions"]["snakemake"],
        files={name: _describe(sources[name]) for name in sorted(sources)},
        descriptions=_descriptions(export),
        jobs=jobs,
        outputs=sorted(outcomes),
    )
    _seal(sources, described)
    write_package(out, sources)
    return Exported(len(sources), weights)


def check_results(export: Export) -> None:
    """Check that no raw file was changed, and that the tables are those of the records.

    Raises:
        CodewattError: names the file that differs.
    """
    for file in export.files:
        path = Path(file.path)
        if not path.is_file():
            raise CodewattError(f"{display_path(path)}: file is missing; run the study again")
        if path.name == "generate.json":
            check_files(path.parent, GENERATE.read(path)["files"])
    tables = Path(export.paths.table("cell.parquet")).parent
    with tempfile.TemporaryDirectory() as folder:
        make_tables(export.grid, export.paths, Path(folder))
        different = different_files(table_files(), tables, Path(folder))
    if different:
        raise CodewattError(
            f"{display_path(tables)}: differs from what the records give: "
            f"{', '.join(different)}; run Snakemake again (rule aggregate)"
        )


def read_environment(root: Path) -> EnvironmentRecord:
    """The code and packages that make tables here.

    Args:
        root: the checkout.
    """
    return {
        "schema": 1,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _TABLE_PACKAGES},
        "commit": provenance()["commit"],
        "code": stage_code(root / "workflow" / "scripts" / "aggregate.py"),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _texts(
    export: Export,
    date: str,
    software: Citation,
    authors: Citation,
    environment: EnvironmentRecord,
    weights: Sequence[LeftOut],
) -> dict[str, str]:
    """The files of the package that are written for it."""
    tables = [Path(export.paths.table(n)) for n in table_files() if n.endswith(".parquet")]
    html = f"<p>{_description(export, date)}</p>"
    zenodo = zenodo_metadata(
        export.title, html, export.license_id, authors.authors, software.references
    )
    study = export.grid.study.study
    return {
        layout.STUDY: read_text(export.study_file),
        layout.SITE: site_settings(load_config(read_yaml(export.site), str(export.site))),
        layout.ENVIRONMENT: _json_text(environment),
        layout.DICTIONARY: data_dictionary(tables),
        layout.README: readme(export.title, study, export.license_id, weights, environment),
        layout.CITATION: dataset_citation(
            export.title, date, export.license_id, authors.authors, software
        ),
        layout.ZENODO: _json_text(zenodo),
    }


def _seal(sources: Sources, described: CrateDescription) -> None:
    """Add the metadata, the preview and the checksums of all files."""
    crate = build_crate(described)
    sources[layout.METADATA] = metadata_text(crate).encode()
    sources[layout.PREVIEW] = preview_text(crate).encode()
    digests = {name: record["sha256"] for name, record in described.files.items()}
    for name in (layout.METADATA, layout.PREVIEW):
        digests[name] = _describe(sources[name])["sha256"]
    lines = [f"{digests[name]}  {name}\n" for name in sorted(digests)]
    sources[layout.CHECKSUMS] = "".join(lines).encode()


def _describe(source: Path | bytes) -> FileRecord:
    if isinstance(source, bytes):
        return {"bytes": len(source), "sha256": hashlib.sha256(source).hexdigest()}
    return {"bytes": source.stat().st_size, "sha256": sha256_file(source)}


def _manifests(export: Export) -> dict[str, Path]:
    """Variant id -> manifest, of the variants that were made."""
    made = {file.path for file in export.files}
    named = {v.id: export.paths.variant("manifest.json", v.id) for v in export.grid.variants}
    return {variant: Path(path) for variant, path in named.items() if path in made}


def _renamed(job: JobRun, export: Export) -> JobRun:
    """The job with the paths that its files have in the package."""
    return replace(
        job,
        inputs=tuple(map(export.in_package, job.inputs)),
        outputs=tuple(map(export.in_package, job.outputs)),
    )


def _is_outcome(export: Export, file: WorkflowFile) -> bool:
    """Whether a file is a result of the whole workflow: a table, a figure or a page."""
    path = export.below(file.path)
    return path.startswith(("tables/", "figures/")) or "/" not in path


def _descriptions(export: Export) -> dict[str, str]:
    found = {
        layout.README: "What the package holds and how to make the tables again",
        layout.STUDY: "The study file: models, variants, benchmarks and settings",
        layout.SITE: "What jobs requested, without account, paths and names of nodes",
        layout.ENVIRONMENT: "Versions and code that made the tables",
        layout.DICTIONARY: "Type, unit and meaning of each column of the tables",
        layout.CITATION: "How to cite the data",
        layout.ZENODO: "Metadata for a deposit at Zenodo",
    }
    for file in export.files:
        text = layout.describe_result(export.below(file.path))
        if text is not None:
            found[export.in_package(file.path)] = text
    return found


def _description(export: Export, date: str) -> str:
    study, title = export.grid.study.study, export.grid.study.title
    return (
        f"Results, raw telemetry, settings, environments and provenance of the codewatt study "
        f"{study}{f' ({title})' if title else ''}: {len(export.grid.cells)} cells of "
        f"{len(export.grid.variants)} model variants. Last measurement on {date}."
    )


def _json_text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
