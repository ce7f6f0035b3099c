"""The RO-Crate metadata of a replication package: what each file is, and which job made it.

Profiles: Provenance Run Crate 0.5 (https://w3id.org/ro/wfrun/provenance/0.5), which includes
Workflow Run Crate 0.5, Process Run Crate 0.5 and Workflow RO-Crate 1.0, on RO-Crate 1.1. Terms of
the profiles that RO-Crate's own context lacks are defined inside the file.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from codewatt.files import FileRecord
from codewatt.replication.citation import Author
from codewatt.replication.job_runs import JobRun
from codewatt.replication.package_layout import (
    METADATA,
    README,
    SITE,
    SNAKEFILE,
    SOFTWARE,
    STUDY,
    media_type,
)

_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
_WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
_COMPLETED = "http://schema.org/CompletedActionStatus"
_SNAKEMAKE = "https://snakemake.github.io/"
_ZENODO = "https://zenodo.org/"
_RUN = "#run"
_WORKFLOW_TYPES = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]


@dataclass(frozen=True)
class CrateDescription:
    """What the metadata say, beside the files.

    Attributes:
        title, description: of the package.
        date: of the last measurement, YYYY-MM-DD.
        license_id: SPDX identifier.
        authors: of the study.
        software_url: page of codewatt's source; None if unknown.
        software_version, snakemake_version: versions.
        files: path in the package -> size and digest.
        descriptions: path in the package -> what the file is.
        jobs: that made the results; their paths are those in the package.
        outputs: paths of the workflow's results: tables, figures and the summary.
    """

    title: str
    description: str
    date: str
    license_id: str
    authors: tuple[Author, ...]
    software_url: str | None
    software_version: str
    snakemake_version: str | None
    files: Mapping[str, FileRecord]
    descriptions: Mapping[str, str]
    jobs: Sequence[JobRun]
    outputs: Sequence[str] = field(default=())


def build_crate(package: CrateDescription) -> Any:
    """The `rocrate.rocrate.ROCrate` of a package; nothing is written."""
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms = _TERMS
    _describe_root(crate, package)
    _add_files(crate, package)
    _add_workflow(crate, package)
    _add_jobs(crate, package)
    return crate


def metadata_text(crate: Any) -> str:
    """The content of ro-crate-metadata.json; equal crates give equal text."""
    return json.dumps(crate.metadata.generate(), indent=1, ensure_ascii=False) + "\n"


def preview_text(crate: Any) -> str:
    """The content of ro-crate-preview.html."""
    from rocrate.model.preview import Preview

    return str(Preview(crate).generate_html())


def _add(crate: Any, entity: str, kind: str | list[str], /, **properties: Any) -> dict[str, str]:
    """Add a contextual entity without its absent properties; the reference to it."""
    from rocrate.model.contextentity import ContextEntity

    known = {name: value for name, value in properties.items() if value not in (None, [], "")}
    crate.add(ContextEntity(crate, entity, properties={"@type": kind, **known}))
    return {"@id": entity}


def _references(identifiers: Sequence[str]) -> Any:
    """References to entities: one alone, as RO-Crate 1.1 recommends, or a list; None for none."""
    found = [{"@id": identifier} for identifier in dict.fromkeys(identifiers)]
    return found[0] if len(found) == 1 else found or None


def _describe_root(crate: Any, package: CrateDescription) -> None:
    version = "https://w3id.org/ro/crate/1.1"
    crate.metadata["conformsTo"] = [{"@id": version}, {"@id": _WORKFLOW_CRATE}]
    root = crate.root_dataset
    for identifier, name in _PROFILES.items():
        number = identifier.rsplit("/", 1)[1]
        _add(crate, identifier, "CreativeWork", name=name, version=number)
    license_url = f"https://spdx.org/licenses/{package.license_id}"
    _add(
        crate,
        license_url,
        "CreativeWork",
        name=package.license_id,
        description=f"Licence of the data: {package.license_id} (SPDX identifier)",
        identifier=package.license_id,
    )
    _add(crate, _ZENODO, "Organization", name="Zenodo", url=_ZENODO)
    root["name"] = package.title
    root["description"] = package.description
    root["datePublished"] = package.date
    root["license"] = {"@id": license_url}
    root["publisher"] = {"@id": _ZENODO}
    root["conformsTo"] = [{"@id": identifier} for identifier in _PROFILES]
    root["author"] = _references([_add_author(crate, author) for author in package.authors])


def _add_author(crate: Any, author: Author) -> str:
    affiliation = None
    if author.affiliation:
        organization = f"#organization-{quote(author.affiliation)}"
        affiliation = _add(crate, organization, "Organization", name=author.affiliation)
    orcid = f"https://orcid.org/{author.orcid}" if author.orcid else None
    identifier = orcid or f"#author-{quote(author.name)}"
    person = author.family_names is not None
    _add(
        crate,
        identifier,
        "Person" if person else "Organization",
        name=author.name,
        familyName=author.family_names,
        givenName=author.given_names,
        affiliation=affiliation,
    )
    return identifier


def _add_files(crate: Any, package: CrateDescription) -> None:
    """Every file of the package except the software, which is one directory, and its Snakefile."""
    for path, record in package.files.items():
        if path.startswith(f"{SOFTWARE}/") or path == METADATA:
            continue
        properties: dict[str, Any] = {
            "name": path.rsplit("/", 1)[-1],
            "contentSize": str(record["bytes"]),
            "encodingFormat": media_type(path),
            "sha256": record["sha256"],
        }
        if path in package.descriptions:
            properties["description"] = package.descriptions[path]
        if path == README:
            properties["about"] = {"@id": "./"}
        crate.add_file(dest_path=path, properties=properties)
    crate.add_dataset(
        dest_path=f"{SOFTWARE}/",
        properties={
            "name": "codewatt",
            "description": "The workflow, its library and the lock files of its environments",
        },
    )


def _add_workflow(crate: Any, package: CrateDescription) -> None:
    """The Snakefile with its inputs, outputs, rules as tools, and steps."""
    language = {
        "name": "Snakemake",
        "identifier": {"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
        "url": {"@id": "https://snakemake.readthedocs.io"},
    }
    language_id = f"{_WORKFLOW_CRATE}#snakemake"
    rules = list(dict.fromkeys(job.rule for job in package.jobs))
    crate.add_file(
        dest_path=SNAKEFILE,
        properties={
            "@type": _WORKFLOW_TYPES,
            "name": "codewatt",
            "description": "Snakemake workflow that measures what compressing a code LLM costs and "
            "saves in energy, time and accuracy",
            "version": package.software_version,
            "contentSize": str(package.files[SNAKEFILE]["bytes"]),
            "encodingFormat": media_type(SNAKEFILE),
            "sha256": package.files[SNAKEFILE]["sha256"],
            "conformsTo": {
                "@id": "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
            },
            "programmingLanguage": {"@id": language_id},
            "input": [_parameter(crate, path, "input") for path in (STUDY, SITE)],
            "output": [_parameter(crate, path, "output") for path in package.outputs],
            "hasPart": _references([f"#rule-{rule}" for rule in rules]),
            "step": _references([f"#step-{rule}" for rule in rules]),
            **({"url": package.software_url} if package.software_url else {}),
        },
    )
    crate.root_dataset["mainEntity"] = {"@id": SNAKEFILE}
    _add(crate, language_id, "ComputerLanguage", **language)
    for position, rule in enumerate(rules, start=1):
        _add(
            crate,
            f"#rule-{rule}",
            "SoftwareApplication",
            name=rule,
            description=f"Rule {rule} of the workflow",
            softwareVersion=package.software_version,
            url=package.software_url,
        )
        _add(
            crate,
            f"#step-{rule}",
            "HowToStep",
            name=rule,
            position=str(position),
            workExample={"@id": f"#rule-{rule}"},
        )


def _parameter(crate: Any, path: str, direction: str) -> dict[str, str]:
    """Add a formal parameter of the workflow for a file, linked both ways."""
    identifier = f"#{direction}-{path}"
    crate.get(path)["exampleOfWork"] = {"@id": identifier}
    return _add(
        crate,
        identifier,
        "FormalParameter",
        additionalType="File",
        name=path.rsplit("/", 1)[-1],
        workExample={"@id": path},
        conformsTo={"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"},
    )


def _add_jobs(crate: Any, package: CrateDescription) -> None:
    """An action for each job, one for the whole run, and what the engine did to run them."""
    agent = _references([entity.id for entity in _as_list(crate.root_dataset["author"])])
    actions, controls = [], []
    for number, job in enumerate(package.jobs, start=1):
        action = f"#job-{number}"
        _add(crate, action, "CreateAction", **_job_properties(job, package, agent))
        control = _add(
            crate,
            f"#control-{number}",
            "ControlAction",
            name=f"Start {job.rule} of {job.instance}",
            instrument={"@id": f"#step-{job.rule}"},
            object={"@id": action},
            actionStatus=_COMPLETED,
        )
        actions.append(action)
        controls.append(control["@id"])
    starts = [job.start for job in package.jobs if job.start]
    ends = [job.end for job in package.jobs if job.end]
    _add(
        crate,
        _RUN,
        "CreateAction",
        name=f"Run of {package.title}",
        description="The jobs of the study; they may have run at several times",
        instrument={"@id": SNAKEFILE},
        object=_references([STUDY, SITE]),
        result=_references(package.outputs),
        startTime=_iso(min(starts, default=None)),
        endTime=_iso(max(ends, default=None)),
        agent=agent,
        actionStatus=_COMPLETED,
    )
    _add(
        crate,
        _SNAKEMAKE,
        "SoftwareApplication",
        name="Snakemake",
        softwareVersion=package.snakemake_version,
        url=_SNAKEMAKE,
    )
    _add(
        crate,
        "#engine",
        "OrganizeAction",
        name="Snakemake runs the jobs",
        instrument={"@id": _SNAKEMAKE},
        object=_references(controls),
        result={"@id": _RUN},
        actionStatus=_COMPLETED,
    )
    crate.root_dataset["mentions"] = [{"@id": _RUN}, *({"@id": action} for action in actions)]


def _job_properties(job: JobRun, package: CrateDescription, agent: Any) -> dict[str, Any]:
    where = f" on {job.host}" if job.host else ""
    code = f", codewatt at commit {job.commit}" if job.commit else ""
    return {
        "name": f"{job.rule} of {job.instance}",
        "description": f"Job of rule {job.rule} for {job.instance}{where}{code}",
        "instrument": {"@id": f"#rule-{job.rule}"},
        "object": _references([path for path in job.inputs if path in package.files]),
        "result": _references(job.outputs),
        "startTime": _iso(job.start),
        "endTime": _iso(job.end),
        "agent": agent,
        "actionStatus": _COMPLETED,
    }


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _iso(time: datetime.datetime | None) -> str | None:
    """ISO 8601 with milliseconds and offset, as the profiles ask for."""
    return None if time is None else time.isoformat(timespec="milliseconds")
