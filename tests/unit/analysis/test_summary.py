"""The summary's sentences say what the cells show, and no more; the page stands alone."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.headlines import energy_notice, sections
from codewatt.analysis.stats import paired_interval
from codewatt.analysis.summary import write_summary
from codewatt.analysis.tables import to_rows
from codewatt.analysis.words import joules, percent
from codewatt.errors import CodewattError

BASELINE = {"precision": "fp32", "prune": "none"}
LABELS = {"model": {"nano": "Nano <1>"}, "precision": {"fp32": "32-bit", "int8": "8-bit"}}
MINUS = "\N{MINUS SIGN}"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def headline(study: Any) -> Any:
    rows = to_rows(aggregate(study.cells, study.variants, BASELINE, {})["cell"])
    (section,) = sections(rows, LABELS)
    (found,) = section.headlines
    return found


def test_the_cheapest_variant_of_like_accuracy_is_named_with_its_intervals(study: Any) -> None:
    study.cell("fp32", joules_per_run=(100.0, 101.0, 102.0))
    study.cell("int8", joules_per_run=(50.0, 51.0, 52.0))
    said = headline(study)
    assert said.model == "Nano <1>"
    assert said.main.startswith("8-bit costs least of the variants whose pass@1 interval overlaps")
    assert "modelled 51.0 J [48.5 J, 53.5 J] per run against modelled 101 J" in said.main
    assert "\N{MINUS SIGN}49.5 %; the energy intervals do not overlap" in said.main
    assert "It solves the same tasks as the baseline." in said.more


def test_a_saving_within_the_interval_is_called_that(study: Any) -> None:
    study.cell("fp32", joules_per_run=(90.0, 100.0, 110.0))
    study.cell("int8", joules_per_run=(80.0, 98.0, 110.0))
    assert "the energy intervals overlap, so this is within the uncertainty" in headline(study).main


def test_single_runs_are_said_to_have_no_interval(study: Any) -> None:
    study.cell("fp32", joules_per_run=(100.0,))
    study.cell("int8", joules_per_run=(50.0,))
    assert "a single run each, so no interval" in headline(study).main


def test_a_variant_that_lost_its_accuracy_is_not_the_cheapest_of_like_accuracy(study: Any) -> None:
    everything = tuple(f"t{i}" for i in range(40))
    study.cell("fp32", solved=everything, tasks=40)
    study.cell("int8", solved=everything[:2], tasks=40, joules_per_run=(1.0, 1.1, 1.2))
    said = headline(study)
    assert said.main.startswith(
        "the baseline 32-bit is the only variant with a pass@1 like its own"
    )
    assert any("8-bit" in sentence and "frontier" in sentence for sentence in said.more)


def test_tasks_lost_beyond_chance_are_said(study: Any) -> None:
    everything = tuple(f"t{i}" for i in range(60))
    study.cell("fp32", solved=everything[:40], tasks=60)
    study.cell("int8", solved=everything[:33], tasks=60, joules_per_run=(1.0, 1.1, 1.2))
    assert any(
        "it loses 7 and gains 0 against the baseline: beyond chance" in sentence
        and f"in pass@1 {MINUS}0.117 [{MINUS}0." in sentence
        for sentence in headline(study).more
    )


def test_invalid_and_infeasible_cells_are_set_aside_by_name(study: Any) -> None:
    study.cell("fp32")
    study.cell(
        "int8",
        joules_per_run=(1.0, 1.0, 1.0),
        edit=lambda contents: contents["energy"].update(valid=False),
    )
    study.infeasible("nf4", "no kernel")
    said = headline(study)
    assert said.main.startswith("the baseline 32-bit")
    assert "Left out, as a validity expectation failed: 8-bit. Infeasible here: nf4." in said.more


def test_without_a_usable_baseline_nothing_is_compared(study: Any) -> None:
    study.infeasible("fp32", "does not fit")
    study.cell("int8")
    assert "the baseline is infeasible, so nothing is compared with it" in headline(study).main


def test_random_weights_give_a_sentence_on_energy_only(study: Any) -> None:
    study.variant("fp32", meaningful_accuracy=False)
    study.cell("fp32")
    said = headline(study).main
    assert "costs least" in said
    assert "random weights" in said
    assert "pass@1 0" not in said


def test_modelled_and_missing_energy_is_said_plainly(study: Any) -> None:
    study.cell("fp32")
    rows = to_rows(aggregate(study.cells, [], BASELINE, {})["cell"])
    said = energy_notice(rows)
    assert said is not None
    assert "Energy of CPU and DRAM is modelled, not measured" in said
    assert "Energy of GPU is unavailable" in said
    mixed = [rows[0], rows[0] | {"cpu_energy_status": "measured"}]
    assert "Energy of CPU (in some cells) and DRAM is modelled" in str(energy_notice(mixed))
    measured = [{f"{part}_energy_status": "measured" for part in ("gpu", "cpu", "dram")}]
    assert energy_notice(measured) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "12.3 mJ"), (5.0, "5.00 J"), (999.6, "1000 J"), (51234, "51.2 kJ"), (2e6, "2.00 MJ")],
)
def test_joules_are_written_readably(value: float, text: str) -> None:
    assert joules(value) == text


def test_a_change_has_its_sign() -> None:
    assert percent(0.125) == "+12.5 %"
    assert percent(-0.125) == "\N{MINUS SIGN}12.5 %"


def page(study: Any, tmp_path: Path, figures: dict[str, Path]) -> str:
    made = aggregate(study.cells, study.variants, BASELINE, {})
    out = tmp_path / "summary.html"
    provenance = {"versions": {"torch": "2.13.0"}, "gpu": None}
    shown = (made["cell"], made["variant"], made["expectation"])
    write_summary(*shown, LABELS, figures, provenance, out, title="A & B")
    return out.read_text()


def test_the_page_stands_alone_and_escapes_what_it_shows(study: Any, tmp_path: Path) -> None:
    study.variant("fp32")
    study.cell("fp32")
    study.infeasible("int8", "no <GPU>")
    figure = tmp_path / "frontier.png"
    figure.write_bytes(PNG)
    text = page(study, tmp_path, {"frontier": figure})
    assert not re.findall(r"(?:src|href)=\"(?!data:)|https?://|@import|<script", text)
    assert base64.b64encode(PNG).decode() in text
    assert "A &amp; B" in text
    assert "Nano &lt;1&gt;" in text
    assert "no &lt;GPU&gt;" in text
    assert '<span class="chip modelled" title="CodeCarbon; CodeCarbon">modelled: CPU, DRAM' in text
    assert "<dt>versions.torch</dt><dd>2.13.0</dd>" in text
    assert "<dt>gpu</dt><dd>not known</dd>" in text


def test_the_page_names_what_failed(study: Any, tmp_path: Path) -> None:
    def fail(contents: dict[str, Any]) -> None:
        contents["energy"]["valid"] = False
        contents["energy"]["expectations"][0] |= {"passed": False, "observed": 0.25}

    entry = study.cell("fp32", edit=fail)
    text = page(study, tmp_path, {})
    assert f"<b>{entry['cell']['id']}</b>: window_long_enough (repeat 0): 0.25 s, limit 1 s" in text
    assert '<span class="chip bad">invalid</span>' in text


def test_a_figure_must_be_an_image(study: Any, tmp_path: Path) -> None:
    with pytest.raises(CodewattError, match=r"frontier\.pdf: a figure of the summary is"):
        page(study, tmp_path, {"frontier": tmp_path / "frontier.pdf"})
    with pytest.raises(CodewattError, match=r"frontier\.png: no such file"):
        page(study, tmp_path, {"frontier": tmp_path / "frontier.png"})


def test_tokens_per_second_stand_beside_the_share_of_the_roofline(
    study: Any, tmp_path: Path
) -> None:
    demand = {
        "step_weight_bytes": 1000, "kv_bytes_per_token": 0, "operations_per_token": 0,
        "head_operations": 1, "attention_operations": 0, "layers": 1,
    }  # fmt: skip
    machine = {"bandwidth_bytes_per_s": 4e4, "matrix_operations_per_s": 1e9}
    roofline = {"machine": machine, "demand": demand}
    study.cell("fp32", edit=lambda contents: contents["generate"].update(roofline=roofline))
    study.cell("int8")
    text = page(study, tmp_path, {})
    # 36 steps of 1000 bytes at 40 kB/s take 0.9 s of the 3 s.
    assert text.count("30 % of roofline") == text.count("of roofline") == 1


def made(study: Any, monkeypatch: pytest.MonkeyPatch, joules: float) -> None:
    """Let int8 have been made with so many joules inside the node, and fp32 not."""
    cost = {"energy_j": {"node": joules}, "energy_status": {}, "energy_note": None}
    parts = ("gpu", "cpu", "dram", "job")
    for name, value in (("energy_j", None), ("energy_status", "modelled")):
        cost[name] |= dict.fromkeys(parts, value)  # type: ignore[operator]
    cost["energy_status"]["node"] = "modelled"  # type: ignore[index]
    monkeypatch.setattr("codewatt.analysis.records.cost_of", lambda manifest: cost)
    study.variant("fp32", windows=[])
    study.variant("int8", windows=[{"phase": "quantise"}])


def row_of(text: str, variant: str) -> str:
    """A variant's row of the page's first table, without its line breaks."""
    (found,) = re.findall(rf"<tr[^>]*>\s*<td>[^<]*</td><td>{variant}</td>.*?</tr>", text, re.S)[:1]
    return " ".join(found.split())


def test_the_page_says_when_making_a_variant_has_paid(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(study, monkeypatch, 12_345.0)
    study.cell("fp32", joules_per_run=(79.0, 80.0, 81.0))
    study.cell("int8", joules_per_run=(39.0, 40.0, 41.0))
    text = page(study, tmp_path, {})
    # 10 J a task are saved, give or take t(2; 0.975) / (4 √3) = 0.62 J on either side.
    assert "1,235 tasks" in row_of(text, "8-bit")
    assert "[1,099, 1,410]" in row_of(text, "8-bit")
    assert "tasks" not in row_of(text, "32-bit")


def test_the_page_says_when_making_a_variant_never_pays(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(study, monkeypatch, 100.0)
    study.cell("fp32", joules_per_run=(80.0, 90.0, 100.0))
    study.cell("int8", joules_per_run=(70.0, 80.0, 90.0))
    assert re.search(r"\[\d+, never\]", row_of(page(study, tmp_path, {}), "8-bit"))
    study.variant("nf4", windows=[{"phase": "quantise"}])
    study.cell("nf4", joules_per_run=(100.0, 110.0, 120.0))
    assert 'title="saves no energy per task">never' in row_of(page(study, tmp_path, {}), "nf4")


def test_the_page_has_the_difference_of_pass_at_1_with_its_interval(
    study: Any, tmp_path: Path
) -> None:
    everything = tuple(f"t{i}" for i in range(60))
    study.cell("fp32", solved=everything[:40], tasks=60)
    study.cell("int8", solved=everything[:33], tasks=60)
    found = re.search(
        r"(\S+) \[(\S+), (\S+)\]</span></td> <td class=\"n\" title=\"exact",
        row_of(page(study, tmp_path, {}), "8-bit"),
    )
    assert found is not None
    value, low, high = (
        float(text.rpartition(">")[2].replace(MINUS, "-")) for text in found.groups()
    )
    assert value == pytest.approx(-7 / 60, abs=5e-4)
    assert (low, high) == pytest.approx(paired_interval(33, 0, 7, 20), abs=5e-4)


def test_a_score_of_zero_has_an_interval(study: Any, tmp_path: Path) -> None:
    study.cell("fp32", solved=())
    assert re.search(
        r"0\.000 *<br><span class=\"interval\">\[0\.000, 0\.490\]",
        row_of(page(study, tmp_path, {}), "32-bit"),
    )
