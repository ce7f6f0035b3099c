"""The schema and the reference page are those of the code; the project's studies are good."""

import re
from pathlib import Path

import pytest
import yaml

from codewatt.config.load_study import load_study
from codewatt.config.schema import reference, study_schema
from codewatt.grid import Grid
from tests.support.good_study import GOOD


def test_every_study_of_the_project_is_good(repository):
    studies = sorted((repository / "config" / "studies").glob("*.yaml"))
    assert studies
    for path in studies:
        assert Grid(load_study(path)).cells, path
        assert path.stem == load_study(path).study, "a study's file has its name"


def test_schema_and_reference_are_those_of_the_code(repository):
    """On failure: make reference."""
    assert (repository / "config" / "study.schema.json").read_text() == study_schema()
    assert (repository / "docs" / "reference" / "study-file.md").read_text() == reference()


def test_the_schema_accepts_the_studies(repository):
    import json

    import jsonschema

    schema = json.loads(study_schema())
    for path in sorted(Path(repository, "config", "studies").glob("*.yaml")):
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**GOOD, "colour": 1}, schema)


def test_the_reference_page_has_every_class_of_settings():
    """Each class that a type names is linked, so it has a table of its own."""
    page = reference()
    headings = {line.strip("# ").lower() for line in page.splitlines() if line.startswith("#")}
    assert set(re.findall(r"\]\(#([\w./-]+)\)", page)) <= headings
    for row in (line for line in page.splitlines() if line.startswith("| `")):
        kind = re.sub(r"\[\w+\]\(#[\w./-]+\)", "", row.replace("\\|", "/").split("|")[2])
        assert not re.search(r"\b[A-Z][a-z]+[A-Z]?\w*", kind.replace("Any", "")), row


def test_every_key_of_the_reference_page_has_a_description():
    bare = [row for row in reference().splitlines() if row.startswith("| `") and "|  |" in row]
    assert bare == []
