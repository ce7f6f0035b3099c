"""A package holds everything that belongs to a finished study, and nothing else, bit for bit."""

import csv
import io
import json
import os
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow
import pytest
import scipy
import yaml

from codewatt.errors import CodewattError
from codewatt.replication.export_study import Export, export_study
from tests.support.replication import validate, write_finished_study

#: Checks of recommendations that a package of a study without a public repository does not pass.
NOT_MET = {
    # CITATION.cff of the checkout names no repository-code.
    "The Application SHOULD have a url",
    # The workflow is a file of the package; its rules have no page of their own.
    "The SoftwareApplication id SHOULD be an absolute URI",
    # CITATION.cff names organizations without their pages.
    "The organization SHOULD have a URL.",
    # Jobs that are not metered record no time.
    "The Action SHOULD have an endTime in ISO 8601 format",
}


@pytest.fixture
def own(tmp_path: Path, finished: Export) -> Export:
    """A copy of the finished study that a test may change."""
    root = Path(finished.results).parent
    shutil.copytree(root, tmp_path / "own")

    def moved(path: str | Path) -> str:
        return str(tmp_path / "own" / Path(path).relative_to(root))

    return replace(
        finished,
        results=moved(finished.results),
        files=[
            replace(file, path=moved(file.path), inputs=tuple(map(moved, file.inputs)))
            for file in finished.files
        ],
    )


def metadata(package: Path) -> dict[str, dict]:
    """Id -> entity of a package's metadata."""
    with zipfile.ZipFile(package) as archive:
        graph = json.loads(archive.read("ro-crate-metadata.json"))["@graph"]
    return {entity["@id"]: entity for entity in graph}


def text_of(package: Path, name: str) -> str:
    with zipfile.ZipFile(package) as archive:
        return archive.read(name).decode()


def test_the_validator_finds_every_requirement_met(package: Path, tmp_path: Path) -> None:
    issues = validate(package, tmp_path / "cache", "RECOMMENDED")
    assert {issue.split(": ", 1)[1] for issue in issues} <= NOT_MET
    assert validate(package, tmp_path / "cache") == []


def test_the_validator_sees_a_missing_requirement(package: Path, tmp_path: Path) -> None:
    """So that the test above can fail: without its run, a package is refused."""
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "broken")
    path = tmp_path / "broken" / "ro-crate-metadata.json"
    content = json.loads(path.read_text())
    content["@graph"] = [entity for entity in content["@graph"] if entity["@id"] != "#run"]
    path.write_text(json.dumps(content))
    assert validate(tmp_path / "broken", tmp_path / "cache") != []


def test_every_result_but_weights_is_in_the_package(finished: Export, package: Path) -> None:
    root = Path(finished.results).parent
    written = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in Path(finished.results).rglob("*")
        if path.is_file() and "weights" not in path.parts
    }
    with zipfile.ZipFile(package) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        packed = {name: archive.read(name) for name in names if name.startswith("results/")}
    assert packed == written
    readme = text_of(package, "README.md")
    for variant in ("one--full--fp32", "one--full--int8", "one--cut1--fp32"):
        assert f"`{variant}`" in readme


def test_lock_files_and_workflow_are_in_the_package(package: Path, repository: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        names = set(archive.namelist())
        for name in ("requirements/lock.txt", "envs/codewatt.yaml", "Snakefile", "LICENSE"):
            assert archive.read(f"software/{name}") == (repository / name).read_bytes()
    library = {f"software/{path.relative_to(repository)}" for path in
               (repository / "src" / "codewatt").rglob("*.py")}  # fmt: skip
    assert library <= names
    assert not [name for name in names if "__pycache__" in name or "/." in name]
    assert "software/config/config.yaml" not in names


def test_the_environment_names_what_made_the_tables(package: Path) -> None:
    environment = json.loads(text_of(package, "settings/environment.json"))
    assert environment["versions"]["pyarrow"] == pyarrow.__version__
    assert environment["versions"]["scipy"] == scipy.__version__
    assert any(line.startswith("codewatt.analysis.aggregate ") for line in environment["code"])


def test_the_same_results_give_the_same_bytes(own: Export, package: Path, tmp_path: Path) -> None:
    for index, file in enumerate(own.files):
        os.utime(file.path, (1_000_000 + index, 2_000_000 + index))
    shuffled = replace(own, files=list(reversed(own.files)))
    export_study(shuffled, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == package.read_bytes()


def test_a_directory_holds_the_same_files(own: Export, package: Path, tmp_path: Path) -> None:
    export_study(own, tmp_path / "folder")
    written = {
        path.relative_to(tmp_path / "folder").as_posix(): path.read_bytes()
        for path in (tmp_path / "folder").rglob("*")
        if path.is_file()
    }
    with zipfile.ZipFile(package) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        assert written == {name: archive.read(name) for name in names}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_sha256sum_accepts_the_checksums(package: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path)
        count = len([name for name in archive.namelist() if not name.endswith("/")])
    done = subprocess.run(
        ["sha256sum", "--strict", "--check", "manifest-sha256.txt"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.count(": OK") == count - 1


def test_accounts_paths_and_nodes_of_the_site_stay_out(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        for name in archive.namelist():
            if not name.startswith("software/"):
                assert b"secret" not in archive.read(name), name
    assert json.loads(text_of(package, "settings/site.json"))["machine"]["hardware"]["h100"][
        "partition"
    ] == "gpu"  # fmt: skip


def test_every_column_of_every_table_is_in_the_dictionary(finished: Export, package: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(text_of(package, "data-dictionary.csv"))))
    described = {(row["table"], row["column"]) for row in rows if row["unit"] and row["meaning"]}
    columns = {
        (path.stem, column)
        for path in (Path(finished.results) / "drawn" / "tables").glob("*.csv")
        for column in pd.read_csv(path, nrows=0).columns
    }
    assert described == columns


def test_each_job_names_its_inputs_outputs_times_and_machine(package: Path) -> None:
    entities = metadata(package)
    cell = "one--full--int8--nano--stripped--t24--b4--graph"
    folder = f"results/drawn/cells/{cell}"
    with zipfile.ZipFile(package) as archive:
        record = json.loads(archive.read(f"{folder}/generate.json"))
    (job,) = [e for e in entities.values() if e.get("name") == f"generate of {cell}"]
    assert {one["@id"] for one in job["result"]} == {
        f"{folder}/{name}"
        for name in ("completions.jsonl.gz", "tasks.parquet", "timeline.parquet", "generate.json")
    }
    begun = record["epoch_offset_s"] + min(w["start_s"] for w in record["windows"])
    ended = record["epoch_offset_s"] + max(w["end_s"] for w in record["windows"])
    assert pd.Timestamp(job["startTime"]).timestamp() == pytest.approx(begun, abs=1e-3)
    assert pd.Timestamp(job["endTime"]).timestamp() == pytest.approx(ended, abs=1e-3)
    assert record["provenance"]["host"] in job["description"]
    (energy,) = [e for e in entities.values() if e.get("name") == f"measure_energy of {cell}"]
    assert {"@id": f"{folder}/timeline.parquet"} in energy["object"]
    assert entities[f"{folder}/timeline.parquet"]["description"] == "Telemetry of generating"


def test_the_workflow_is_a_snakemake_workflow(package: Path) -> None:
    entities = metadata(package)
    workflow = entities[entities["./"]["mainEntity"]["@id"]]
    assert workflow["@id"] == "software/Snakefile"
    assert entities[workflow["programmingLanguage"]["@id"]]["name"] == "Snakemake"
    profiles = {one["@id"] for one in entities["./"]["conformsTo"]}
    assert "https://w3id.org/ro/wfrun/provenance/0.5" in profiles
    assert entities["./"]["author"] == {"@id": "https://orcid.org/0000-0002-1825-0097"}


def test_citation_and_zenodo_name_authors_licence_and_both_studies(package: Path) -> None:
    citation = yaml.safe_load(text_of(package, "CITATION.cff"))
    assert citation["type"] == "dataset"
    assert citation["license"] == "CC-BY-4.0"
    assert citation["authors"][0]["family-names"] == "Doe"
    titles = [reference["title"] for reference in citation["references"]]
    assert titles[1].startswith("An exploration of the effect of quantisation")
    assert titles[2].startswith("Walking the Tightrope")
    zenodo = json.loads(text_of(package, ".zenodo.json"))
    assert zenodo["creators"] == [
        {"name": "Doe, Jane", "affiliation": "Example University", "orcid": "0000-0002-1825-0097"}
    ]
    related = {one["identifier"]: one["scheme"] for one in zenodo["related_identifiers"]}
    assert related == {"10.48550/arXiv.2411.12758": "doi", "20.500.12932/48350": "handle"}


def test_a_changed_raw_file_is_named(own: Export, tmp_path: Path) -> None:
    changed = next(f.path for f in own.files if f.path.endswith("completions.jsonl.gz"))
    content = bytearray(Path(changed).read_bytes())
    content[-1] ^= 1
    Path(changed).write_bytes(content)
    with pytest.raises(CodewattError, match=r"completions.jsonl.gz: sha256 differs"):
        export_study(own, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_a_changed_table_is_named(own: Export, tmp_path: Path) -> None:
    table = Path(own.results) / "drawn" / "tables" / "cell.csv"
    table.write_text(table.read_text().replace("ok", "OK", 1))
    with pytest.raises(CodewattError, match=r"differs from what the records give: cell.csv; run"):
        export_study(own, tmp_path / "out.zip")


def test_a_missing_file_is_named(own: Export, tmp_path: Path) -> None:
    missing = next(f.path for f in own.files if f.path.endswith("evaluate_timeline.parquet"))
    Path(missing).unlink()
    with pytest.raises(CodewattError, match=r"evaluate_timeline.parquet: file is missing"):
        export_study(own, tmp_path / "out.zip")


def test_an_infeasible_cell_is_exported(tmp_path: Path) -> None:
    cell = "one--full--int8--nano--stripped--t24--b4--graph"
    study = write_finished_study(tmp_path / "study", infeasible=(cell,))
    export_study(study, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert f"results/drawn/cells/{cell}/generate.json" in archive.namelist()
    assert validate(tmp_path / "out.zip", tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("name", "message"),
    [("there.zip", "exists already"), ("package.tar", "suffix '.tar' is not allowed")],
)
def test_an_output_that_cannot_be_is_refused(
    finished: Export, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "there.zip").write_text("a deposited package")
    with pytest.raises(CodewattError, match=message):
        export_study(finished, tmp_path / name)
    assert (tmp_path / "there.zip").read_text() == "a deposited package"
