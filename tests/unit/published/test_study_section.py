"""The summary page of a study that repeats a published one says which claims its cells bear on."""

import html
import re
from pathlib import Path
from typing import Any

import pytest

from codewatt.analysis.columns import CELL, CHECK, COMPARISON, VARIANT
from codewatt.analysis.published_section import PublishedSection
from codewatt.analysis.summary import write_summary
from codewatt.analysis.tables import to_rows, to_table
from codewatt.published.buis_2024.statements import STATEMENTS as THESIS
from codewatt.published.de_reus_2024.statements import STATEMENTS as PAPER
from codewatt.published.page.page_data import compute_page
from codewatt.published.page.write_page import render_page
from codewatt.published.statement import FINE_TUNED, PRUNED, QUANTISED
from codewatt.published.study_section import StudyTables, study_section
from tests.support.measured_tables import cell_row, study_cells

LARGE = "starcoder2-7b--full--{}--humaneval-plus--as_is--t256--b1--transformers"
SMALL = "starcoder2-3b--{}--fp32--humaneval-plus--as_is--t128--b1--transformers"
QWEN = "qwen-{}--full--{}--bigcodebench--chat--t1280--b1--vllm"
CODER = "{}--full--bf16--bigcodebench--chat--t1280--b{}--vllm"


def comparison(cell: str, reference: str, metric: str, estimate: float | None, p: float) -> Any:
    ids = {"cell_id": cell, "reference_cell_id": reference, "metric": metric}
    return {**ids, "estimate": estimate, "p_holm": p}


def tables(name: str, ran: dict[str, str], comparisons: list[Any], **more: Any) -> StudyTables:
    """ran: id of a cell -> its quantisation method, or "infeasible"."""
    cells = {cell.design_id: cell for cell in study_cells(name)}
    rows = []
    for cell_id, method in ran.items():
        status = "infeasible" if method == "infeasible" else "ok"
        rows.append(cell_row(name, cells[cell_id], status=status, **more))
    variants = [
        {**{key: row[key] for key in ("model", "prune", "precision")}, "method": method}
        for row, method in zip(rows, ran.values(), strict=True)
    ]
    made = (to_table(rows, CELL), to_table(comparisons, COMPARISON), to_table(variants, VARIANT))
    return StudyTables.of(*map(to_rows, made), [])


def quotes(section: PublishedSection | None) -> list[str]:
    assert section is not None
    return [claim.quote for claim in section.claims]


def de_reus() -> StudyTables:
    plain, eight, four = (LARGE.format(name) for name in ("fp32", "int8", "fp4"))
    return tables(
        "de-reus-2024",
        {plain: "none", eight: "bitsandbytes", four: "bitsandbytes"},
        [
            comparison(eight, plain, "energy_j", 0.75, 0.001),
            comparison(eight, plain, "pass_at_1_plus", 0.01, 0.9),
            comparison(eight, plain, "pass_at_1_base", 0.5, 0.001),
            comparison(four, plain, "energy_j", -0.18, 0.2),
            comparison(four, plain, "pass_at_1_plus", -0.025, 0.04),
        ],
    )


def test_quantised_cells_bear_on_the_claims_on_quantisation_only() -> None:
    section = study_section("de-reus-2024", de_reus(), "")
    expected = [one.quote for one in PAPER if one.about == (QUANTISED,)]
    assert quotes(section) == expected
    assert len(expected) == 8
    minus = "\N{MINUS SIGN}"
    assert section is not None
    assert {claim.cells for claim in section.claims} == {
        f"2 comparisons of quantised with unquantised cells: energy of a run {minus}18.0 % to "
        f"+75.0 % (adjusted p < 0.05 in 1 of 2); pass@1 {minus}2.5 percentage points to "
        "+1 percentage point (adjusted p < 0.05 in 1 of 2)."
    }


def test_pruned_cells_bear_on_the_claims_on_pruning_only() -> None:
    whole, pruned = SMALL.format("full"), SMALL.format("last2")
    found = tables(
        "de-reus-2024",
        {whole: "none", pruned: "none"},
        [comparison(pruned, whole, "energy_j", -0.05, 0.01)],
    )
    section = study_section("de-reus-2024", found, "")
    assert quotes(section) == [one.quote for one in PAPER if one.about == (PRUNED,)]
    assert section is not None
    assert section.claims[0].cells == (
        "1 comparison of pruned with unpruned cells: energy of a run \N{MINUS SIGN}5.0 % "
        "(adjusted p < 0.05 in 1 of 1)."
    )


def test_cells_that_did_not_run_bear_on_nothing() -> None:
    plain, eight = LARGE.format("fp32"), LARGE.format("int8")
    found = tables(
        "de-reus-2024",
        {plain: "none", eight: "infeasible"},
        [comparison(eight, plain, "energy_j", None, 1.0)],
    )
    assert quotes(study_section("de-reus-2024", found, "")) == []


def test_claims_of_the_thesis() -> None:
    base, instruct, gptq = (
        QWEN.format(name, precision)
        for name, precision in (("7b", "bf16"), ("7b-it", "bf16"), ("7b-gptq8", "gptq8"))
    )
    one_size = {base: "none", instruct: "none", gptq: "gptq"}
    pairs = [
        comparison(instruct, base, "energy_j", -0.06, 0.01),
        comparison(gptq, instruct, "energy_j", -0.4, 0.01),
        comparison(gptq, instruct, "pass_at_1_base", 0.0, 1.0),
    ]
    section = study_section("buis-2024", tables("buis-2024", one_size, pairs), "")
    subjects = {FINE_TUNED, QUANTISED}
    expected = [one.quote for one in THESIS if one.about and subjects.issuperset(one.about)]
    assert len(expected) == 11
    assert quotes(section) == expected
    assert section is not None
    minus = "\N{MINUS SIGN}"
    assert section.claims[0].cells == (
        f"1 comparison of fine-tuned with base cells: energy of a run {minus}6.0 % (adjusted "
        "p < 0.05 in 1 of 1). 1 comparison of quantised with unquantised cells: energy of a run "
        f"{minus}40.0 % (adjusted p < 0.05 in 1 of 1); pass@1 0 percentage points (adjusted "
        "p < 0.05 in 0 of 1)."
    )


def test_claims_of_the_thesis_on_other_axes() -> None:
    models = [CODER.format("llama-8b", 1), CODER.format("deepseek-lite", 1)]
    found = tables("buis-2024", dict.fromkeys(models, "none"), [])
    findings = {one.anchor: one.cells for one in study_section("buis-2024", found, "").claims}  # type: ignore[union-attr]
    assert findings == {
        "llama_over_deepseek": "2 cells of the two models.",
        "llama_below_deepseek": "2 cells of the two models.",
        "energy_and_size": "2 unquantised cells of models with 8.03 to 15.7 billion parameters.",
    }
    sizes = [CODER.format("llama-8b", size) for size in (1, 4, 8)]
    found = tables("buis-2024", dict.fromkeys(sizes, "none"), [])
    section = study_section("buis-2024", found, "")
    assert section is not None
    assert {one.anchor: one.cells for one in section.claims} == {
        "inert_batch_axis": "3 cells at batch sizes 1, 4, 8."
    }


@pytest.mark.parametrize("name", ["nano", "my-study", "starcoder2-3b-quantised"])
def test_other_studies_have_no_section(name: str, tmp_path: Path) -> None:
    section = study_section(name, de_reus(), "../published/index.html")
    assert section is None
    assert "published" not in summary(tmp_path / name, section)


def summary(folder: Path, section: PublishedSection | None) -> str:
    folder.mkdir(parents=True)
    empty = [to_table([], columns) for columns in (CELL, VARIANT, CHECK)]
    write_summary(*empty, {}, {}, {}, folder / "summary.html", published=section)
    return (folder / "summary.html").read_text(encoding="utf-8")


def test_the_links_lead_to_the_findings_on_the_page(tmp_path: Path) -> None:
    page = tmp_path / "published" / "index.html"
    page.parent.mkdir()
    page.write_text(render_page(compute_page(tmp_path), dict.fromkeys(IMAGES, "")), "utf-8")
    section = study_section("de-reus-2024", de_reus(), "../published/index.html")
    text = summary(tmp_path / "de-reus-2024", section)
    assert '<h2 id="published">Beside the published study</h2>' in text
    links = re.findall(r'href="(\.\.[^"#]*)(?:#([^"]*))?"', text)
    assert len(links) == 1 + 8
    for path, anchor in links:
        target = (tmp_path / "de-reus-2024" / path).resolve()
        assert target == page.resolve()
        assert not anchor or f'id="{anchor}"' in target.read_text(encoding="utf-8")


IMAGES = (
    *("energy_changes", "de_reus_figures_3_to_6", "de_reus_figures_7_and_8", "predictions"),
    *("figures_4_1_to_4_5", "buis_figure_4_7", "buis_figure_4_12"),
)


def test_without_the_page_there_is_no_link(tmp_path: Path) -> None:
    text = summary(tmp_path / "s", study_section("de-reus-2024", de_reus(), ""))
    assert "../published" not in text
    assert "<code>snakemake published</code> writes the page" in text
    assert html.unescape(text).count("increased by at least 19% for all configurations") == 1


def test_a_smoke_study_is_said_to_be_one(tmp_path: Path) -> None:
    cells = [cell.design_id for cell in study_cells("buis-2024-smoke")]
    found = tables("buis-2024-smoke", dict.fromkeys(cells, "none"), [])
    section = study_section("buis-2024-smoke", found, "")
    assert section is not None
    assert (section.published, section.tiny) == ("Buis 2024", True)
    said = "Its values say nothing about these claims"
    assert said in summary(tmp_path / "smoke", section)
    assert said not in summary(tmp_path / "real", study_section("de-reus-2024", de_reus(), ""))
