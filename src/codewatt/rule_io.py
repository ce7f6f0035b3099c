"""How scripts read their slice of the study and end with a manifest."""

import json
from typing import Any

from codewatt.files import write_json
from codewatt.provenance import provenance


def read_settings(snakemake: Any) -> dict[str, Any]:
    """The slice of the study that the rule's params hold as canonical JSON."""
    settings: dict[str, Any] = json.loads(snakemake.params.settings)
    return settings


def finish(snakemake: Any, path: str, manifest: dict[str, Any]) -> None:
    """Write a manifest last, with where and by which code it was made."""
    made = {"provenance": provenance(), "code": list(snakemake.params.code)}
    write_json(path, {**manifest, **made})


def infeasible(generate: dict[str, Any], *outputs: str) -> dict[str, Any]:
    """The typed record of a cell that could not run, for a stage after it.

    Args:
        generate: the cell's generate.json, with its status and reason.
        outputs: further files that the rule must leave; each holds the same record.
    """
    record = {key: generate[key] for key in ("schema", "cell", "status", "reason")}
    for path in outputs:
        write_json(path, record)
    return record
