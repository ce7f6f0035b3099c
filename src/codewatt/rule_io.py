"""Input and output of the rule scripts: settings from the rule's params, and the output record."""

import json
from collections.abc import Mapping
from typing import Any

from codewatt.files import write_json
from codewatt.provenance import provenance


def read_settings(snakemake: Any) -> dict[str, Any]:
    """The study settings that the rule needs: its param `settings`, parsed from JSON."""
    settings: dict[str, Any] = json.loads(snakemake.params.settings)
    return settings


def write_record(snakemake: Any, path: str, record: Mapping[str, object]) -> None:
    """Write a stage's record as JSON, with provenance and code digests added (`MadeRecord`).

    Args:
        snakemake: the object that Snakemake gives to a script; its param `code` is used.
        path: the JSON file to write.
        record: the stage's own fields.
    """
    made = {"provenance": provenance(), "code": list(snakemake.params.code)}
    write_json(path, {**record, **made})
