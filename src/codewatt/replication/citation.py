"""Who made a study and how to cite it: CITATION.cff and .zenodo.json of a replication package.

Formats: Citation File Format 1.2.0 (https://citation-file-format.github.io) and the deposit
metadata of Zenodo (https://developers.zenodo.org/#deposit-metadata).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from codewatt.config.yaml_file import read_yaml
from codewatt.errors import CodewattError
from codewatt.untrusted_files import display_path

_ORCID = re.compile(r"https://orcid\.org/(\d{4}-\d{4}-\d{4}-\d{3}[\dX])")
#: Zenodo's kind of resource for each type of a reference in CITATION.cff.
_RESOURCE_TYPES = {
    "article": "publication-article",
    "thesis": "publication-thesis",
    "report": "publication-report",
    "conference-paper": "publication-conferencepaper",
    "software": "software",
    "data": "dataset",
}


@dataclass(frozen=True)
class Author:
    """An author of the study: a person with family and given names, or an entity with a name."""

    name: str
    family_names: str | None = None
    given_names: str | None = None
    orcid: str | None = None
    affiliation: str | None = None

    @property
    def zenodo(self) -> dict[str, str]:
        """As Zenodo's creator."""
        found = {"name": self.name, "affiliation": self.affiliation, "orcid": self.orcid}
        return {key: value for key, value in found.items() if value}

    @property
    def cff(self) -> dict[str, str]:
        """As an author in CITATION.cff."""
        if self.family_names is None:
            return {"name": self.name}
        found = {
            "family-names": self.family_names,
            "given-names": self.given_names,
            "orcid": f"https://orcid.org/{self.orcid}" if self.orcid else None,
            "affiliation": self.affiliation,
        }
        return {key: value for key, value in found.items() if value}


@dataclass(frozen=True)
class Citation:
    """What a CITATION.cff says.

    Attributes:
        title: of the work.
        authors: at least one.
        references: the works that it refers to, as in the file.
        url: page of the work or of its source code; None if the file names none.
        version: None if the file names none.
    """

    title: str
    authors: tuple[Author, ...]
    references: tuple[dict[str, Any], ...] = ()
    url: str | None = None
    version: str | None = None


def read_citation(path: Path) -> Citation:
    """Read a CITATION.cff.

    Raises:
        CodewattError: the file is not a CITATION.cff, or names no title or no author.
    """
    content = read_yaml(path)
    where = display_path(path)
    if not isinstance(content, dict):
        raise CodewattError(f"{where}: expected a mapping of keys, as CITATION.cff has")
    title, authors = content.get("title"), content.get("authors")
    if not isinstance(title, str) or not title.strip():
        raise CodewattError(f"{where}: title: required, but absent; allowed: a text")
    if not isinstance(authors, list) or not authors:
        raise CodewattError(f"{where}: authors: required, but absent; allowed: at least one author")
    references = content.get("references") or []
    if not isinstance(references, list) or not all(isinstance(one, dict) for one in references):
        raise CodewattError(f"{where}: references: allowed: a list of references")
    url = content.get("repository-code") or content.get("url")
    version = content.get("version")
    return Citation(
        title=title.strip(),
        authors=tuple(_author(one, f"{where}: authors[{n}]") for n, one in enumerate(authors)),
        references=tuple(references),
        url=str(url) if url else None,
        version=str(version) if version else None,
    )


def _author(value: Any, where: str) -> Author:
    if not isinstance(value, dict):
        raise CodewattError(f"{where}: allowed: a mapping with name, or family-names")
    texts = {key: str(text).strip() for key, text in value.items() if str(text).strip()}
    family, given = texts.get("family-names"), texts.get("given-names")
    if family:
        name = f"{family}, {given}" if given else family
    elif not (name := texts.get("name", "")):
        raise CodewattError(f"{where}: name: required, but absent; allowed: name or family-names")
    return Author(name, family, given, _orcid(texts.get("orcid"), where), texts.get("affiliation"))


def _orcid(url: str | None, where: str) -> str | None:
    """The identifier in an ORCID's URL."""
    if url is None:
        return None
    if (match := _ORCID.fullmatch(url)) is None:
        raise CodewattError(
            f"{where}: orcid: {url!r} is not allowed; allowed: https://orcid.org/0000-0000-0000-0000"
        )
    return match[1]


def dataset_citation(
    title: str, date: str, license_id: str, authors: tuple[Author, ...], software: Citation
) -> str:
    """CITATION.cff of the package: the data set, referring to the software and what it refers to.

    Args:
        date: of the last measurement, YYYY-MM-DD.
        license_id: SPDX identifier.
        software: the citation of codewatt itself.
    """
    code: dict[str, Any] = {
        "type": "software",
        "title": software.title,
        "authors": [author.cff for author in software.authors],
    }
    code |= {"version": software.version} if software.version else {}
    code |= {"url": software.url} if software.url else {}
    content = {
        "cff-version": "1.2.0",
        "message": "If you use these data, please cite them, and the works in the references.",
        "type": "dataset",
        "title": title,
        "authors": [author.cff for author in authors],
        "date-released": date,
        "license": license_id,
        "references": [code, *software.references],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def zenodo_metadata(
    title: str,
    description: str,
    license_id: str,
    authors: tuple[Author, ...],
    references: tuple[dict[str, Any], ...],
) -> dict[str, Any]:
    """.zenodo.json of the package.

    Args:
        description: HTML.
        license_id: SPDX identifier.
        references: of CITATION.cff; those with a DOI or another identifier become related works.
    """
    related = [found for one in references if (found := _related(one)) is not None]
    content: dict[str, Any] = {
        "upload_type": "dataset",
        "title": title,
        "description": description,
        "creators": [author.zenodo for author in authors],
        "access_right": "open",
        "license": license_id.lower(),
        "language": "eng",
        "keywords": [
            "energy consumption",
            "code generation",
            "large language models",
            "quantisation",
            "pruning",
            "replication package",
        ],
    }
    return content | ({"related_identifiers": related} if related else {})


def _related(reference: dict[str, Any]) -> dict[str, str] | None:
    """A reference as Zenodo's related work; None for one without an identifier."""
    if doi := reference.get("doi"):
        identifier, scheme = str(doi), "doi"
    elif url := reference.get("url"):
        identifier, scheme = str(url), "url"
        if handle := re.fullmatch(r"https?://hdl\.handle\.net/(.+)", identifier):
            identifier, scheme = handle[1], "handle"
    else:
        return None
    found = {"identifier": identifier, "relation": "references", "scheme": scheme}
    kind = _RESOURCE_TYPES.get(str(reference.get("type")))
    return found | ({"resource_type": kind} if kind else {})
