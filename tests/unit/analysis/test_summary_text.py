"""The page shows labels, titles and reasons as they are written, whatever they mean to HTML."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.summary import write_summary
from tests.support.records import generate_record

NASTY = [
    "<script>alert(1)</script>",
    '" onmouseover="x',
    "' autofocus onfocus='x",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp; &#x41;",
    "</table></body>",
    "<!-- ]]>",
    r"$\foo$ {x} %s _^",
    "😀 שלום",
    "two\nlines",
]


class _Page(HTMLParser):
    """What a page shows, and its elements with their attributes' names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.shown, self.elements = "", set[tuple[str, ...]]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add((tag, *(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.shown += data


def page(study: Any, out: Path, text: str) -> _Page:
    made = aggregate(study.cells, study.variants, {"precision": "fp32", "prune": "none"}, {})
    kinds = {"model": "nano", "precision": "fp32", "prune": "none", "benchmark": "b"}
    labels = {kind: {name: f"{kind} {text}"} for kind, name in kinds.items()}
    shown = (made["cell"], made["variant"], made["check"])
    record = generate_record()
    record["prompt"] |= {"first_prompt": f"prompt {text}", "first_task_id": f"task {text}"}
    options = {"prompts": [record], "title": f"Title {text}"}
    write_summary(*shown, labels, {}, {"made": {text: text}}, out, **options)
    return _Page(out.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", NASTY)
def test_text_is_shown_and_adds_no_element(study: Any, tmp_path: Path, text: str) -> None:
    study.variant("fp32")
    study.cell("fp32")
    study.infeasible("int8", f"no {text}")
    plain = page(study, tmp_path / "plain.html", "plain")
    made = page(study, tmp_path / "nasty.html", text)
    parts = ("Title", "model", "precision", "no", "prompt", "task")
    for written in (f"{part} {text}" for part in parts):
        assert written in made.shown
    assert made.elements == plain.elements
