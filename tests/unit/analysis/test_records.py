"""A record that cannot be trusted is an error of one line that names the file."""

from pathlib import Path
from typing import Any

import pytest

from codewatt.analysis.cell_results import CellResults, VariantResults
from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json


def change(path: Path, **parts: Any) -> None:
    write_json(path, read_json(path) | parts)


def refused(entry: dict[str, Any], pattern: str) -> None:
    with pytest.raises(CodewattError, match=pattern) as error:
        CellResults.read(entry)
    assert "\n" not in str(error.value)


def test_a_sound_cell_is_read(study: Any) -> None:
    record = CellResults.read(study.cell())
    assert record.reason is None
    assert record.measured.repeats == [0, 1, 2]
    assert record.measured.verdicts()[2, 0, "t3"]["plus"] == "fail"
    assert record.measured.completions_identical is True


def test_completions_need_not_be_given(study: Any) -> None:
    entry = study.cell()
    del entry["completions"]
    assert CellResults.read(entry).measured.completions_identical is None


def test_a_cell_needs_all_its_ids(study: Any) -> None:
    entry = study.cell()
    entry["cell"] = {k: v for k, v in entry["cell"].items() if k != "engine"}
    refused(entry, "missing ids: engine")


def test_another_cells_file_is_refused(study: Any) -> None:
    entry = study.cell()
    change(entry["energy"], cell=entry["cell"] | {"token_limit": 128})
    refused(entry, r"energy\.json: belongs to another cell: token_limit is 128; expected: 64")


def test_another_schema_is_refused(study: Any) -> None:
    entry = study.cell()
    change(entry["evaluate"], schema=1)
    refused(entry, r"evaluate\.json: schema: record version 1, this version of codewatt reads 5")


def test_a_missing_part_is_refused(study: Any) -> None:
    entry = study.cell(edit=lambda contents: contents["energy"].pop("valid"))
    refused(entry, r"energy\.json: valid: field is missing")


def test_a_file_that_changed_after_generate_is_refused(study: Any) -> None:
    entry = study.cell()
    with open(entry["tasks"], "ab") as stream:
        stream.write(b"x")
    refused(entry, r"tasks\.parquet: .* the manifest has")


def test_an_unreadable_table_is_refused(study: Any) -> None:
    entry = study.cell(edit=lambda contents: contents["generate"].update(files={}))
    entry["tasks"].write_bytes(b"not parquet")
    refused(entry, r"tasks\.parquet: not readable as parquet")


def test_a_completion_without_a_verdict_is_refused(study: Any) -> None:
    entry = study.cell(edit=lambda contents: contents["evaluate"]["verdicts"].pop())
    refused(entry, "0 verdicts without a completion and 1 completions without a verdict")


def test_energy_of_too_few_runs_is_refused(study: Any) -> None:
    entry = study.cell(edit=lambda contents: contents["energy"]["runs"].pop())
    refused(entry, r"energy\.json: has runs \[0, 1\], but the cell has repeats \[0, 1, 2\]")


def test_repeats_that_are_missing_are_refused(study: Any) -> None:
    entry = study.cell(edit=lambda contents: contents["generate"].update(repeats=4))
    refused(entry, r"tasks\.parquet: has repeats \[0, 1, 2\], but .* has 4 repeats")


def test_an_infeasible_cell_needs_no_other_file(study: Any) -> None:
    study.infeasible("int8", "does not fit")
    record = CellResults.read(study.cells[0])
    assert record.reason == "does not fit"
    assert record.tasks == ()


def test_another_variants_manifest_is_refused(study: Any) -> None:
    study.variant("int8", variant={"model": "nano", "prune": "none", "precision": "nf4"})
    with pytest.raises(CodewattError, match="another variant: precision is nf4; expected: int8"):
        VariantResults.read(study.variants[0])
