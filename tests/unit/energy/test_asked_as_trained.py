"""A cell whose model was asked in another way than it was trained has a warning."""

from pathlib import Path
from typing import Any

import pytest

from codewatt.energy.cell_energy import measure_cell
from codewatt.energy.validity.prompt import check_prompt
from tests.support.records import generate_record

CHAT, DIRECT = "chat template", "direct completion"


def checked(asked: str, style: str, instruct: bool | None, template: bool) -> Any:
    prompt = {**generate_record()["prompt"], "asked": asked, "has_chat_template": template}
    return check_prompt(prompt, style, instruct)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "style", "instruct", "template", "said"),
    [
        (DIRECT, "stripped", True, True, "instruct model with a chat template was asked as a base"),
        (DIRECT, "as_is", True, True, "instruct model with a chat template was asked as a base"),
        (DIRECT, "chat", True, False, "tokenizer has no chat template"),
        (DIRECT, "chat", None, False, "tokenizer has no chat template"),
        (DIRECT, "chat", False, False, "tokenizer has no chat template"),
        (CHAT, "chat", False, True, "a base model was asked by the chat template"),
    ],
)
def test_the_wrong_way_is_a_warning(
    asked: str, style: str, instruct: bool | None, template: bool, said: str
) -> None:
    result = checked(asked, style, instruct, template)
    assert (result["name"], result["severity"]) == ("asked_as_trained", "warning")
    assert result["passed"] is False
    assert said in result["detail"]
    assert (result["observed"], result["limit"]) == (asked, CHAT if asked == DIRECT else DIRECT)


@pytest.mark.parametrize(
    ("asked", "style", "instruct", "template"),
    [
        (CHAT, "chat", True, True),
        (CHAT, "chat", None, True),
        (DIRECT, "stripped", False, True),  # a base model whose tokenizer has a template
        (DIRECT, "stripped", None, True),
        (DIRECT, "stripped", None, False),
        (DIRECT, "stripped", True, False),  # there is no other way to ask it
    ],
)
def test_the_right_way_passes_and_so_does_what_is_not_known(
    asked: str, style: str, instruct: bool | None, template: bool
) -> None:
    assert checked(asked, style, instruct, template)["passed"] is True


def test_energy_json_has_the_check_and_the_cell_stays_valid(bench: Any, tmp_path: Path) -> None:
    path = bench.write(tmp_path / "timeline.parquet")
    manifest = bench.manifest
    manifest["prompt"]["has_chat_template"] = True
    made = measure_cell(manifest, path, None, None, {}, instruct=True).record
    [found] = [check for check in made["checks"] if check["name"] == "asked_as_trained"]
    assert found["passed"] is False
    assert (
        made["valid"]
        == measure_cell(manifest, path, None, None, {}, instruct=False).record["valid"]
    )
