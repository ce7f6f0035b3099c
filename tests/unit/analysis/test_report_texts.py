"""The report's captions are sound reStructuredText."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "workflow" / "report"
NAMES = sorted(path.stem for path in FOLDER.glob("*.rst"))


@pytest.mark.parametrize("name", NAMES)
def test_a_caption_renders_without_complaint(name: str) -> None:
    from docutils.core import publish_string
    from jinja2 import Environment, StrictUndefined

    source = (FOLDER / f"{name}.rst").read_text()
    template = Environment(undefined=StrictUndefined).from_string(source)
    text = template.render(snakemake={"config": {"study": "nano"}})
    settings = {"report_level": 1, "halt_level": 1}
    assert b"<p>" in publish_string(text, writer="html5", settings_overrides=settings)


@pytest.mark.parametrize("name", NAMES)
def test_a_caption_that_names_one_job_also_names_sessions(name: str) -> None:
    text = (FOLDER / f"{name}.rst").read_text()
    assert "one job" not in " ".join(text.split()) or "session" in text
