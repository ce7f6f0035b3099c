"""How scripts read their slice of the study, and how they end with a record."""

import json
from collections.abc import Mapping
from typing import Any

from codewatt.files import write_json
from codewatt.provenance import provenance


def read_settings(snakemake: Any) -> dict[str, Any]:
    """The slice of the study that the rule's params hold as canonical JSON."""
    settings: dict[str, Any] = json.loads(snakemake.params.settings)
    return settings


def write_record(snakemake: Any, path: str, record: Mapping[str, object]) -> None:
    """Write a stage's record, with where and by which code it was made (`MadeRecord`)."""
    made = {"provenance": provenance(), "code": list(snakemake.params.code)}
    write_json(path, {**record, **made})
