"""The texts of a replication package: README.md, the data dictionary and the settings."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict

from codewatt.analysis.column_reference import all_tables, describe_column
from codewatt.analysis.columns import BOOLEAN, INTEGER, REAL, STRING
from codewatt.config.site import Config
from codewatt.parquet import column_names
from codewatt.quantise.variant_record import VARIANT
from codewatt.record_files import RecordFormat
from codewatt.units import BYTES_PER_MB

#: (variant, number of files, bytes) of weights that a package leaves out.
LeftOut = tuple[str, int, int]
_TYPES = {STRING: "string", INTEGER: "integer", REAL: "real", BOOLEAN: "boolean"}


class EnvironmentRecord(TypedDict):
    """settings/environment.json: the code and packages that made the tables.

    versions: package -> version, None if it is not installed. code: a line "module digest" for each
    module that rule aggregate reaches. commit: of the checkout, None outside one.
    """

    schema: Literal[1]
    python: str
    versions: dict[str, str | None]
    commit: str | None
    code: list[str]


ENVIRONMENT_RECORD: RecordFormat[EnvironmentRecord] = RecordFormat(
    EnvironmentRecord, "none: codewatt export"
)


def data_dictionary(tables: Sequence[Path]) -> str:
    """CSV with type, unit and meaning of each column of each table.

    Args:
        tables: the Parquet files; the name of a file is that of its table.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["table", "column", "type", "unit", "meaning"])
    for path in tables:
        types = all_tables().get(path.stem, {})
        for column in column_names(path):
            found = describe_column(path.stem, column)
            kind = _TYPES[types[column]] if column in types else "real"
            writer.writerow([path.stem, column, kind, found.unit, found.meaning])
    return text.getvalue()


def site_settings(config: Config) -> str:
    """The site's settings as JSON, without account, paths and names of nodes."""
    hidden = {"account": True, "hardware": {"__all__": {"nodes"}}}
    machine = config.machine.model_dump(mode="json", exclude=hidden)  # type: ignore[arg-type]
    return json.dumps({"machine": machine}, indent=2, sort_keys=True) + "\n"


def left_out_weights(manifests: Mapping[str, Path]) -> list[LeftOut]:
    """The weights of variants, which a package leaves out.

    Args:
        manifests: variant id -> its manifest.
    """
    found = []
    for name, path in manifests.items():
        files = VARIANT.read(path)["weights"]["files"]
        found.append((name, len(files), sum(file["bytes"] for file in files.values())))
    return found


def readme(
    title: str,
    study: str,
    license_id: str,
    weights: Sequence[LeftOut],
    environment: Mapping[str, Any],
) -> str:
    """README.md of the package.

    Args:
        title: of the package.
        study: the study's name.
        weights: of `left_out_weights`.
        environment: an EnvironmentRecord.
    """
    rows = [f"| `{name}` | {files} | {size / BYTES_PER_MB:.1f} |" for name, files, size in weights]
    commit = environment["commit"] or "unknown"
    return "\n".join([_README.format(title=title, study=study, license=license_id, commit=commit),
                      *rows, ""])  # fmt: skip


_README = """\
# {title}

Replication package of the study `{study}`, made by `codewatt export` (commit {commit}). It is an
RO-Crate: `ro-crate-metadata.json` says what each file is and which job made it from what.

## Contents

| path | what it is |
| --- | --- |
| `results/{study}` | records and raw telemetry of every job, tables, figures, summary page |
| `data-dictionary.csv` | type, unit and meaning of each column of the tables |
| `software/docs/reference` | files, tables, validity checks and the study file, in full |
| `settings/study.yaml` | the study |
| `settings/site.json` | what jobs requested, without account, paths and names of nodes |
| `settings/environment.json` | versions and code that made the tables |
| `software` | the workflow, its library and the lock files of its environments |
| `manifest-sha256.txt` | sha256 of every other file |
| `CITATION.cff`, `.zenodo.json` | how to cite it, and the metadata for Zenodo |

## Check it

    sha256sum --check manifest-sha256.txt

## Make the tables again

In a checkout of codewatt at the commit above, set up with `make setup`:

    codewatt import PACKAGE

The command checks every digest, puts the results into `results/{study}` and makes the tables again
from the records. It ends with an error if any byte of a table differs.

## Licence

The data are under {license}. The folder `software` has its own licence (`software/LICENSE`). Tasks
of published benchmarks keep the licence of their authors.

## What is left out

Weights are not part of the package. The manifests of models and variants have the size and sha256
of each file. Snakemake makes the weights again from `settings/study.yaml`: it trains, downloads,
prunes and quantises as for the first run. Logs, which hold paths of the machine, are left out too.

| variant | files of weights | MB |
| --- | --- | --- |"""
