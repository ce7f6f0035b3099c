"""How scripts read their slice of the study, and how they end with a record."""

import json
from collections.abc import Mapping
from typing import Any

from codewatt.provenance import provenance
from codewatt.record_files import RecordFormat


def read_settings(snakemake: Any) -> dict[str, Any]:
    """The slice of the study that the rule's params hold as canonical JSON."""
    settings: dict[str, Any] = json.loads(snakemake.params.settings)
    return settings


def finish(
    snakemake: Any, path: str, record_format: RecordFormat[Any], record: Mapping[str, object]
) -> None:
    """Write a stage's record, with where and by which code it was made (`MadeRecord`).

    Raises:
        CodewattError: the record is not one of this format.
    """
    made = {"provenance": provenance(), "code": list(snakemake.params.code)}
    record_format.write(path, {**record, **made})
