"""CITATION.cff and .zenodo.json: what is read, what is written, and what is refused."""

from pathlib import Path

import pytest
import yaml

from codewatt.errors import CodewattError
from codewatt.replication.citation import (
    Author,
    dataset_citation,
    read_citation,
    zenodo_metadata,
)

#: Zenodo's documented fields of a deposit (developers.zenodo.org, deposit metadata) that are used
#: here, and the values that it allows.
ZENODO_FIELDS = {
    "upload_type", "title", "description", "creators", "access_right", "license", "language",
    "keywords", "related_identifiers",
}  # fmt: skip
SCHEMES = {"doi", "handle", "url", "arxiv"}
RESOURCE_TYPES = {
    "publication-article", "publication-thesis", "publication-report", "software", "dataset",
    "publication-conferencepaper",
}  # fmt: skip
#: Types of references and required keys of Citation File Format 1.2.0 (its schema.json).
CFF_TYPES = {"article", "thesis", "software", "data", "report", "conference-paper"}
CFF_REQUIRED = {"cff-version", "message", "title", "authors"}


def test_the_projects_own_citation_refers_to_both_studies(repository: Path) -> None:
    citation = read_citation(repository / "CITATION.cff")
    reus, buis = citation.references
    assert [author["family-names"] for author in reus["authors"]] == [
        "de Reus", "Oprescu", "Zuidema",
    ]  # fmt: skip
    assert reus["doi"] == "10.48550/arXiv.2411.12758"
    assert [author["family-names"] for author in buis["authors"]] == ["Buis"]
    assert buis["url"] == "https://hdl.handle.net/20.500.12932/48350"
    content = yaml.safe_load((repository / "CITATION.cff").read_text())
    assert content.keys() >= CFF_REQUIRED
    for reference in citation.references:
        assert reference.keys() >= {"type", "title", "authors"}
        assert reference["type"] in CFF_TYPES


def test_the_written_citation_is_read_again(repository: Path, tmp_path: Path) -> None:
    software = read_citation(repository / "CITATION.cff")
    authors = (
        Author("Doe, Jane", "Doe", "Jane", "0000-0002-1825-0097", "Example University"),
        Author("A Consortium"),
    )
    text = dataset_citation("Data: a study", "2026-01-31", "CC0-1.0", authors, software)
    (tmp_path / "CITATION.cff").write_text(text)
    again = read_citation(tmp_path / "CITATION.cff")
    assert (again.title, again.authors) == ("Data: a study", authors)
    assert again.references[0]["title"] == software.title
    assert again.references[1:] == software.references
    content = yaml.safe_load(text)
    assert content.keys() >= CFF_REQUIRED
    assert content["date-released"] == "2026-01-31"


def test_zenodo_knows_every_field_and_value(repository: Path) -> None:
    references = read_citation(repository / "CITATION.cff").references
    unnamed = {"type": "book", "title": "No identifier", "authors": [{"name": "x"}]}
    authors = (Author("A Consortium"),)
    found = zenodo_metadata("A title", "<p>text</p>", "CC-BY-4.0", authors, (*references, unnamed))
    assert found.keys() <= ZENODO_FIELDS
    assert found["upload_type"] == "dataset"
    assert found["license"] == "cc-by-4.0"
    assert found["creators"] == [{"name": "A Consortium"}]
    assert len(found["related_identifiers"]) == 2
    for related in found["related_identifiers"]:
        assert related["scheme"] in SCHEMES
        assert related["resource_type"] in RESOURCE_TYPES
        assert related["relation"] == "references"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "expected a mapping"),
        ("authors: [{name: x}]", "title: required"),
        ("title: x", "authors: required"),
        ("title: x\nauthors: []", "authors: required"),
        ("title: x\nauthors: [{affiliation: y}]", r"authors\[0\]: name: required"),
        ("title: x\nauthors: [y]", r"authors\[0\]: allowed: a mapping"),
        ("title: x\nauthors: [{name: y, orcid: '1'}]", r"authors\[0\]: orcid: '1' is not allowed"),
        ("title: x\nauthors: [{name: y}]\nreferences: [z]", "references: allowed"),
    ],
)
def test_a_citation_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.cff"
    path.write_text(text)
    with pytest.raises(CodewattError, match=f"mine.cff: {message}"):
        read_citation(path)
