"""The summary page shows what each model was asked, once for all its variants, verbatim."""

import html
import re
from pathlib import Path
from typing import Any

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.prompt_views import prompt_views
from codewatt.analysis.summary import write_summary
from codewatt.generate.generate_record import GENERATE
from tests.support.records import generate_record

LABELS = {"model": {"nano": "Nano & co"}, "benchmark": {"held": "Held <out>"}}
TEXT = '\n<|im_start|>user\n```\ndef add(a, b):\n    """<b>&amp;</b>"""\n```\n</pre><|im_end|>\n'
CHAT = {
    "asked": "chat template",
    "has_chat_template": True,
    "stop_strings": ["</s>", "\n```\n"],
    "first_task_id": "T/<0>",
    "first_prompt": TEXT,
}


def record(**changes: Any) -> Any:
    prompt = changes.pop("prompt_record", generate_record()["prompt"])
    made = generate_record(prompt=prompt)
    made["cell"] |= changes
    return made


def test_cells_that_share_a_prompt_are_counted_together() -> None:
    views = prompt_views(
        [
            record(),
            record(precision="int8", engine="graph"),
            record(prompt="chat", prompt_record=CHAT),
            record(model="other"),
        ],
        LABELS,
    )
    assert [(v["model"], v["style"], v["asked"], v["cells"]) for v in views] == [
        ("Nano & co", "stripped", "direct completion", 2),
        ("Nano & co", "chat", "chat template", 1),
        ("other", "stripped", "direct completion", 1),
    ]
    assert views[1]["stop_strings"] == ["'</s>'", "'\\n```\\n'"]


def test_the_page_has_the_prompt_verbatim_in_a_collapsed_block(study: Any, tmp_path: Path) -> None:
    def chat(contents: dict[str, Any]) -> None:
        contents["generate"]["prompt"] = CHAT

    study.variant("fp32")
    study.cell("fp32", edit=chat)
    made = aggregate(study.cells, study.variants, {"precision": "fp32", "prune": "none"}, {})
    assert made["cell"]["asked"].tolist() == ["chat template"]
    shown = (made["cell"], made["variant"], made["check"])
    out = tmp_path / "summary.html"
    write_summary(*shown, LABELS, {}, {}, out)
    assert "<h2>Prompts</h2>" not in out.read_text()
    records = [GENERATE.read(cell["generate"]) for cell in study.cells]
    write_summary(*shown, LABELS, {}, {}, out, prompts=records)
    [block] = re.findall(
        r"<details><summary>Nano &amp; co, Held &lt;out&gt;.*?</details>", out.read_text(), re.S
    )
    [text] = re.findall(r"<pre>\n(.*?)</pre>", block, re.S)  # HTML ignores the first line break
    assert html.unescape(text) == TEXT
    assert "a chat template" in block
    assert "Task T/&lt;0&gt;:" in block
    assert "<code>&#39;\\n```\\n&#39;</code>" in block
