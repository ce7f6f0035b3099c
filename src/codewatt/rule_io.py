"""Input and output of the rule scripts: settings from the rule's params, and the output record."""

import json
from collections.abc import Mapping
from typing import Any

from codewatt.provenance import provenance
from codewatt.record_files import RecordFormat


def read_settings(snakemake: Any) -> dict[str, Any]:
    """The study settings that the rule needs: its param `settings`, parsed from JSON."""
    settings: dict[str, Any] = json.loads(snakemake.params.settings)
    return settings


def write_record(
    snakemake: Any, path: str, record_format: RecordFormat[Any], record: Mapping[str, object]
) -> None:
    """Write a stage's record as JSON, with provenance and code digests added (`MadeRecord`).

    Args:
        snakemake: the object that Snakemake gives to a script; its param `code` is used.
        path: the JSON file to write.
        record_format: the format by which later stages read the record.
        record: the stage's own fields.

    Raises:
        CodewattError: the record is not one of this format.
    """
    made = {"provenance": provenance(), "code": list(snakemake.params.code)}
    record_format.write(path, {**record, **made})
