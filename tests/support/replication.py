"""A finished study that never ran, as codewatt export sees it, and the validator of RO-Crates."""

import io
import json
from pathlib import Path
from typing import Any

import requests
import urllib3
import yaml
from rocrate import vocabs

from codewatt.config.load_study import load_study
from codewatt.grid import Grid
from codewatt.replication.export_study import Export
from codewatt.replication.workflow_files import WorkflowFile
from tests.support.raw_study import STUDY, RawStudy

#: File name -> the rule that makes such a file.
_RULES = {
    "completions.jsonl.gz": "generate",
    "tasks.parquet": "generate",
    "timeline.parquet": "generate",
    "generate.json": "generate",
    "eval_results.json.gz": "evaluate",
    "evaluate.json": "evaluate",
    "evaluate_timeline.parquet": "evaluate",
    "energy.json": "measure_energy",
    "task_energy.parquet": "measure_energy",
    "manifest.json": "quantise",
    "quantise.parquet": "quantise",
    "making_energy.json": "measure_making_energy",
    "fidelity.json": "measure_fidelity",
    "layers.json": "score_layers",
    "score_layers.parquet": "score_layers",
}
#: What a job of a rule reads beside it, by the name of the folder's files.
_INPUTS = {
    "evaluate": ("generate.json", "completions.jsonl.gz"),
    "measure_energy": ("generate.json", "timeline.parquet", "evaluate.json", "tasks.parquet"),
    "measure_making_energy": ("manifest.json",),
}
_CONTEXT_URL = "https://w3id.org/ro/crate/1.1/context"
SETTINGS: dict[str, Any] = {
    "title": "Drawn results",
    "models": [{"id": "one", "source": "nano", "architecture": "starcoder2"}],
    "precisions": [
        {"id": "fp32", "method": "none", "dtype": "float32"},
        {
            "id": "int8", "method": "bitsandbytes", "quant_type": "int8",
            "compute_dtype": "float32",
        },
    ],
    "corpora": [
        {"id": "corpus", "source": "stdlib", "tokens": 128},
        {"id": "held-out", "source": "nano"},
    ],
    "exclude": [{"prune": "cut1", "precision": "int8"}],
    "device": "cuda",
}  # fmt: skip
AUTHORS = """\
cff-version: 1.2.0
message: Please cite it.
title: A drawn study
authors:
  - family-names: Doe
    given-names: Jane
    orcid: https://orcid.org/0000-0002-1825-0097
    affiliation: Example University
"""


def write_finished_study(root: Path, **changes: Any) -> Export:
    """Write raw files, records and tables of a study below a folder; what an export needs.

    Args:
        changes: of `RawStudy`.
    """
    RawStudy(root, **changes).write()
    study_file = root / "study.yaml"
    study_file.write_text(yaml.safe_dump({**STUDY, **SETTINGS}, sort_keys=False))
    (root / "authors.cff").write_text(AUTHORS)
    (root / "site.yaml").write_text(
        yaml.safe_dump(
            {
                "bigcodebench_python": "/home/secret/python",
                "machine": {
                    "account": "secret-account",
                    "hardware": {"h100": {"partition": "gpu", "nodes": ["secret-node"]}},
                },
            }
        )
    )
    return Export(
        grid=Grid(load_study(study_file), str(study_file)),
        study_file=study_file,
        results=str(root / "results"),
        files=workflow_files(root / "results" / "drawn"),
        site=root / "site.yaml",
        citation=root / "authors.cff",
        license_id="CC-BY-4.0",
    )


def workflow_files(results: Path) -> list[WorkflowFile]:
    """The files of a study's folder but the weights, with the rules that make them."""
    found = []
    for path in sorted(p for p in results.rglob("*") if p.is_file() and "weights" not in p.parts):
        folder = path.relative_to(results).parts[0]
        rule = "aggregate" if folder == "tables" else _RULES[path.name]
        if folder == "models" and path.name == "manifest.json":
            rule = "train_nano"
        inputs = tuple(str(path.with_name(name)) for name in _INPUTS.get(rule, ()))
        found.append(WorkflowFile(str(path), rule, inputs))
    return found


def context() -> dict[str, Any]:
    """The JSON-LD context of RO-Crate 1.1, made of the one of 1.3 that package rocrate holds.

    Both define the terms of schema.org alike. 1.1 spells the terms of Bioschemas otherwise
    (https://www.researchobject.org/ro-crate/1.1/workflows.html).
    """
    base = "https://bioschemas.org/ComputationalWorkflow"
    changed = {
        "ComputationalWorkflow": base,
        "input": f"{base}#input",
        "output": f"{base}#output",
        "FormalParameter": "https://bioschemas.org/FormalParameter",
    }
    terms = {k: v for k, v in vocabs.RO_CRATE["@context"].items() if k != "sha256"}
    return {"@context": {**terms, **changed}}


class _Context(requests.adapters.HTTPAdapter):
    """Answers every request with `context`."""

    def send(self, request: Any, *arguments: Any, **options: Any) -> requests.Response:
        """The context, as the web server would send it."""
        body = io.BytesIO(json.dumps(context()).encode())
        headers = {"Content-Type": "application/ld+json"}
        answer = urllib3.HTTPResponse(body, headers, 200, preload_content=False)
        return self.build_response(request, answer)


def validate(package: Path, cache: Path, severity: str = "REQUIRED") -> list[str]:
    """The issues that the RO-Crate validator finds, without a network.

    The validator ships its profiles. It asks the network for one file only, the JSON-LD context of
    RO-Crate; here its cache of web pages holds that file.

    Args:
        package: a directory or a zip archive.
        cache: path of the cache, which is created.
        severity: "REQUIRED", or "RECOMMENDED" for those too.
    """
    from requests_cache import CachedSession
    from rocrate_validator import services

    with CachedSession(cache_name=str(cache), backend="sqlite") as session:
        session.mount(_CONTEXT_URL, _Context())
        assert session.get(_CONTEXT_URL).status_code == 200
    settings = services.ValidationSettings(
        rocrate_uri=str(package),
        profile_identifier="provenance-run-crate",
        requirement_severity=severity,
        offline=True,
        cache_path=str(cache),
    )
    result = services.validate(settings)
    return [f"{issue.check.identifier}: {issue.message}" for issue in result.get_issues()]
