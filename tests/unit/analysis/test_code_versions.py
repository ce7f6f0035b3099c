"""Results of different versions of the code are refused, with the names of the cells."""

import os
from pathlib import Path
from typing import Any

import pytest

from codewatt.errors import CodewattError
from codewatt.files import read_json, write_json
from tests.unit.analysis.conftest import tables


def change(path: Path, **parts: Any) -> None:
    write_json(path, read_json(path) | parts)


def test_results_of_different_library_versions_are_refused_by_name(study: Any) -> None:
    old, new = study.cell("fp32"), study.cell("int8")
    change(old["evaluate"], code=["stage.py aaaa", "codewatt.files old"])
    os.utime(old["evaluate"], (1, 1))
    with pytest.raises(CodewattError) as error:
        tables(study)
    assert str(error.value).startswith("evaluate: results of different versions of the code")
    assert "codewatt.files changed" in str(error.value)
    assert old["cell"]["id"] in str(error.value)
    assert new["cell"]["id"] not in str(error.value)
    assert "\n" not in str(error.value)


def test_making_energies_of_different_library_versions_are_refused_by_name(study: Any) -> None:
    for precision in ("fp32", "int8"):
        study.variant(precision)
    old, new = study.variants
    change(old["making_energy"], code=["stage.py aaaa", "codewatt.energy.job_meter old"])
    change(new["making_energy"], code=["stage.py aaaa", "codewatt.energy.job_meter new"])
    os.utime(old["making_energy"], (1, 1))
    with pytest.raises(CodewattError) as error:
        tables(study)
    assert str(error.value).startswith("measure_making_energy: results of different versions")
    assert "codewatt.energy.job_meter changed" in str(error.value)
    assert old["variant"]["id"] in str(error.value)
    assert new["variant"]["id"] not in str(error.value)


def test_a_making_energy_without_its_code_is_refused(study: Any) -> None:
    study.variant("fp32")
    change(study.variants[0]["making_energy"], code=[])
    with pytest.raises(CodewattError, match=r"making_energy\.json: no 'code'"):
        tables(study)


def test_methods_that_use_different_modules_are_not_different_versions(study: Any) -> None:
    study.variant("fp32", code=["stage.py aaaa", "codewatt.quantise.none 1"])
    study.variant("int8", code=["stage.py aaaa", "codewatt.quantise.bitsandbytes 2"])
    study.cell("fp32")
    assert len(tables(study)["variant"]) == 2


def test_a_result_without_its_code_is_refused(study: Any) -> None:
    entry = study.cell("fp32")
    for code, reason in ((None, "code: input should be a valid list"), ([], "no 'code'")):
        change(entry["energy"], code=code)
        with pytest.raises(CodewattError, match=rf"energy\.json: {reason}"):
            tables(study)
