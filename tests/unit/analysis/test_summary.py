"""The summary's sentences say what the cells show, and no more; the page stands alone."""

import base64
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, sem, t, ttest_ind

from codewatt.analysis.aggregate import aggregate
from codewatt.analysis.descriptions import format_joules, format_percent
from codewatt.analysis.headlines import energy_notice, setting_sections
from codewatt.analysis.proportions import PairedCounts, tango_interval
from codewatt.analysis.summary import write_summary
from codewatt.analysis.tables import to_rows
from codewatt.errors import CodewattError
from tests.support.records import METER, PLACEMENT, PROVENANCE, window

BASELINE = {"precision": "fp32", "prune": "none"}
LABELS = {"model": {"nano": "Nano <1>"}, "precision": {"fp32": "32-bit", "int8": "8-bit"}}
MINUS = "\N{MINUS SIGN}"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def headline(study: Any) -> Any:
    made = aggregate(study.cells, study.variants, BASELINE, {})
    sections = setting_sections(to_rows(made["cell"]), LABELS, to_rows(made["session"]))
    (section,) = sections
    (found,) = section.headlines
    return found


def test_a_saving_of_an_accurate_variant_is_claimed_with_its_interval(study: Any) -> None:
    study.cell("fp32", tasks=300, joules_per_run=(100.0, 101.0, 102.0))
    study.cell("int8", tasks=300, joules_per_run=(50.0, 51.0, 52.0))
    said = headline(study)
    assert said.model == "Nano <1>"
    assert said.main.startswith(
        "1 of 1 variant is shown to be non-inferior to the baseline in pass@1 (margin: 2 "
        f"percentage points). 8-bit: {MINUS}49.5 % against the baseline (simultaneous 95 % "
        f"confidence interval [{MINUS}"
    )
    welch = ttest_ind(np.log([50, 51, 52]), np.log([100, 101, 102]), equal_var=False)
    low, high = 100 * np.expm1(welch.confidence_interval(0.95))
    interval = f"[{low:+.1f} %, {high:+.1f} %]".replace("-", MINUS)
    assert f"{interval}; Holm-adjusted p < 0.001)" in said.main
    assert "This energy saving is statistically significant." in said.main
    centre, half = np.log([50, 51, 52]).mean(), t.ppf(0.975, 2) * sem(np.log([50, 51, 52]))
    ends = ", ".join(format_joules(value) for value in np.exp([centre - half, centre + half]))
    assert f"8-bit: 51.0 J [{ends}] per run (modelled), pass@1" in said.main
    assert "Baseline 32-bit: 101 J" in said.main
    assert any("both solve the same tasks" in more for more in said.more)


def test_a_change_that_is_not_significant_is_no_saving(study: Any) -> None:
    study.cell("fp32", tasks=300, joules_per_run=(90.0, 100.0, 110.0))
    study.cell("int8", tasks=300, joules_per_run=(80.0, 98.0, 110.0))
    assert "An energy saving is not shown for this variant." in headline(study).main


def test_a_saving_of_another_variant_than_the_cheapest_is_named(study: Any) -> None:
    """The cheapest estimate varies so much that only the second one is shown to save energy."""
    study.cell("fp32", tasks=300, joules_per_run=(100.0, 100.5, 101.0))
    study.cell("int8", tasks=300, joules_per_run=(20.0, 60.0, 150.0))
    study.cell("nf4", tasks=300, joules_per_run=(79.5, 80.0, 80.5))
    said = headline(study).main
    assert "Lowest energy estimate among these: 8-bit:" in said
    assert f"This energy saving is not shown; one is shown for: nf4 ({MINUS}20.4 % against" in said


def test_single_runs_are_said_to_have_no_interval(study: Any) -> None:
    study.cell("fp32", tasks=300, joules_per_run=(100.0,))
    study.cell("int8", tasks=300, joules_per_run=(50.0,))
    said = headline(study).main
    assert "An energy saving is not shown for this variant." in said
    assert "(no confidence interval: fewer than two repeats or sessions)" in said


def test_the_best_of_many_equal_variants_is_no_saving(study: Any) -> None:
    """18 variants of the same energy: the lowest mean is noise, however far below it lies."""
    generator = np.random.default_rng(3)
    study.cell("fp32", tasks=520, joules_per_run=tuple(100 + generator.normal(0, 3, 3)))
    for number in range(18):
        repeats = tuple(100 + generator.normal(0, 3, 3))
        study.cell(f"v{number}", tasks=520, joules_per_run=repeats)
    said = headline(study).main
    assert said.startswith("18 of 18 variants are shown to be non-inferior")
    assert "An energy saving is not shown for any of these variants." in said
    assert "18 comparisons" in said


def test_a_variant_that_is_not_shown_to_keep_its_accuracy_is_not_the_cheapest(study: Any) -> None:
    everything = tuple(f"t{i}" for i in range(40))
    study.cell("fp32", solved=everything, tasks=40)
    study.cell("int8", solved=everything[:2], tasks=40, joules_per_run=(1.0, 1.1, 1.2))
    study.cell("nf4", solved=everything[:39], tasks=40, joules_per_run=(2.0, 2.1, 2.2))
    said = headline(study)
    assert said.main.startswith(
        "0 of 2 variants are shown to be non-inferior to the baseline in pass@1 (margin: 2 "
        "percentage points). Baseline 32-bit:"
    )
    (cheaper,) = [more for more in said.more if more.startswith("Lower energy estimate")]
    assert "8-bit (energy" in cheaper
    assert ": a loss of more than 2 percentage points is shown); nf4" in cheaper
    assert "a loss of more than 2 percentage points is neither shown nor excluded)" in cheaper
    assert any("8-bit" in sentence and "frontier" in sentence for sentence in said.more)
    # Tango's interval of no differing verdict ends at -z^2 / (n + z^2), z for 1 - 0.05/2.
    z = norm.ppf(1 - 0.05 / 4)
    needed = math.ceil(z**2 * (1 / 0.02 - 1))
    assert any(
        sentence.startswith("40 tasks are too few")
        and f"{needed} tasks are needed for 2" in sentence
        for sentence in said.more
    )


def test_a_lower_estimate_is_no_saving_unless_it_is_shown(study: Any) -> None:
    study.cell("fp32", joules_per_run=(99.0, 100.0, 101.0))
    study.cell("int8", joules_per_run=(98.9, 99.9, 100.9))
    study.cell("nf4", joules_per_run=(50.0, 50.5, 51.0))
    (lower,) = [more for more in headline(study).more if more.startswith("Lower energy estimate")]
    assert f"8-bit (energy {MINUS}0.1 %, saving not shown; paired difference of pass@1" in lower
    assert f"nf4 (energy {MINUS}49.5 %; paired difference of pass@1" in lower


def test_a_significantly_worse_variant_is_never_called_accurate(study: Any) -> None:
    everything = tuple(f"t{i}" for i in range(500))
    study.cell("fp32", solved=everything[:250], tasks=500)
    study.cell("int8", solved=everything[:210], tasks=500, joules_per_run=(1.0, 1.1, 1.2))
    assert headline(study).main.startswith("0 of 1 variant is shown to be non-inferior")


def test_tasks_lost_are_said_with_their_adjusted_p(study: Any) -> None:
    everything = tuple(f"t{i}" for i in range(600))
    study.cell("fp32", solved=everything[:400], tasks=600)
    study.cell("int8", solved=everything[:397], tasks=600, joules_per_run=(1.0, 1.1, 1.2))
    study.cell("nf4", solved=everything[:400], tasks=600, joules_per_run=(2.0, 2.1, 2.2))
    low, high = tango_interval(PairedCounts(397, 0, 3, 200))
    interval = f"[{low:+.3f}, {high:+.3f}]".replace("-", MINUS)
    # The exact p of 3 against 0 is 2 / 2^3; Holm doubles it for the two comparisons.
    assert any(
        f"8-bit - baseline: {MINUS}0.005 {interval}; tasks lost: 3, tasks gained: 0 (exact McNemar "
        "test, Holm-adjusted p = 0.500, 2 comparisons)." in sentence
        for sentence in headline(study).more
    )


def test_variants_of_like_energy_are_told_by_their_difference(study: Any) -> None:
    """Their intervals overlap, yet the difference is significant: both are not level."""
    study.cell("fp32", tasks=300, joules_per_run=(200.0, 201.0, 202.0))
    study.cell("int8", tasks=300, joules_per_run=(100.0, 101.0, 102.0))
    study.cell("nf4", tasks=300, joules_per_run=(104.0, 105.0, 106.0))
    study.cell("fp4", tasks=300, joules_per_run=(100.5, 101.5, 102.0))
    (level,) = [
        more for more in headline(study).more if more.startswith("The energy of 8-bit is not")
    ]
    assert level == "The energy of 8-bit is not shown to be lower than that of: fp4."


def test_unequal_boards_are_said(study: Any) -> None:
    def on(uuid: str) -> Any:
        meter = {**METER, "devices": [{"name": "H100", "device": uuid}]}
        gpus = [{"index": 0, "uuid": uuid, "name": "H100"}]
        found = {"meters": [meter], "placement": {**PLACEMENT, "gpus": gpus}}
        return lambda contents: contents["generate"].update(found)

    study.cell("fp32", tasks=300, edit=on("GPU-a"))
    study.cell("int8", tasks=300, edit=on("GPU-b"), joules_per_run=(10.0, 10.1, 10.2))
    assert (
        "; not known to be the baseline's host and GPUs, so 12 % difference is allowed for"
        in headline(study).main
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
    assert said.main.startswith("No variant can be compared with the baseline. Baseline 32-bit")
    assert (
        "Excluded because a validity check failed: 8-bit. Infeasible on this machine: nf4."
        in said.more
    )


def test_without_a_usable_baseline_nothing_is_compared(study: Any) -> None:
    study.infeasible("fp32", "does not fit")
    study.cell("int8")
    assert (
        "No variant is compared with the baseline: the baseline is infeasible."
        in headline(study).main
    )


def test_random_weights_give_a_sentence_on_energy_only(study: Any) -> None:
    study.variant("fp32", meaningful_accuracy=False)
    study.cell("fp32")
    said = headline(study).main
    assert "Lowest energy estimate of 1 variant" in said
    assert "Random weights" in said
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
    assert format_joules(value) == text


def test_a_change_has_its_sign() -> None:
    assert format_percent(0.125) == "+12.5 %"
    assert format_percent(-0.125) == "\N{MINUS SIGN}12.5 %"
    assert format_percent(9999.0) == "+999900.0 %"
    assert format_percent(2.17e207) == "+2.2e+209 %"
    assert format_percent(1.5e307) == "+1.5e+309 %", "no float is that large"


def page(study: Any, tmp_path: Path, figures: dict[str, Path]) -> str:
    made = aggregate(study.cells, study.variants, BASELINE, {})
    out = tmp_path / "summary.html"
    provenance = {"versions": {"torch": "2.13.0"}, "gpu": None}
    shown = (made["cell"], made["variant"], made["check"])
    write_summary(*shown, LABELS, figures, provenance, out, title="A & B")
    return out.read_text()


def test_the_page_stands_alone_and_escapes_what_it_shows(study: Any, tmp_path: Path) -> None:
    study.variant("fp32")
    study.cell("fp32")
    study.infeasible("int8", "no <GPU>")
    figure = tmp_path / "frontier.png"
    figure.write_bytes(PNG)
    text = page(study, tmp_path, {"frontier": figure})
    link = '<a href="explorer.html">'  # the only file beside the page that it names
    assert text.count(link) == 1
    rest = text.replace(link, "")
    assert not re.findall(r"(?:src|href)=\"(?!data:)|https?://|@import|<script", rest)
    assert base64.b64encode(PNG).decode() in text
    assert "A &amp; B" in text
    assert "Nano &lt;1&gt;" in text
    assert "no &lt;GPU&gt;" in text
    assert '<span class="chip modelled" title="CodeCarbon; CodeCarbon">modelled: CPU, DRAM' in text
    assert "<dt>versions.torch</dt><dd>2.13.0</dd>" in text
    assert "<dt>gpu</dt><dd>unknown</dd>" in text


def test_the_page_says_where_its_intervals_come_from(study: Any, tmp_path: Path) -> None:
    def on(host: str) -> Any:
        made = {**PROVENANCE, "host": host}
        return lambda contents: contents["generate"].update(provenance=made)

    study.cell("fp32", edit=on("n1"))
    study.cell("int8", edit=on("n1"))
    text = page(study, tmp_path, {})
    assert "3 runs per cell within one job" in text
    assert "different hosts or GPUs" not in text
    study.cell("nf4", edit=on("n2"))
    text = page(study, tmp_path, {})
    assert (
        "The cells ran on 2 different hosts or GPUs. Two boards of one GPU model can differ in "
        "energy by more than ten per cent." in text
    )
    note = "baseline&#39;s host and GPUs: the interval allows for a difference of 12 % between GPUs"
    assert note in row_of(text, "nf4")
    assert note not in row_of(text, "8-bit")


def test_the_page_names_what_failed(study: Any, tmp_path: Path) -> None:
    def fail(contents: dict[str, Any]) -> None:
        contents["energy"]["valid"] = False
        contents["energy"]["checks"][0] |= {"passed": False, "observed": 0.25}

    entry = study.cell("fp32", edit=fail)
    text = page(study, tmp_path, {})
    assert f"<b>{entry['cell']['id']}</b>: window_long_enough (repeat 0): 0.25 s, limit 1 s" in text
    assert '<span class="chip bad">invalid</span>' in text


def test_a_figure_must_be_an_image(study: Any, tmp_path: Path) -> None:
    with pytest.raises(CodewattError, match=r"frontier\.pdf: a figure of the summary must be"):
        page(study, tmp_path, {"frontier": tmp_path / "frontier.pdf"})
    with pytest.raises(CodewattError, match=r"frontier\.png: no such file"):
        page(study, tmp_path, {"frontier": tmp_path / "frontier.png"})


def test_tokens_per_second_stand_beside_the_share_of_the_roofline(
    study: Any, tmp_path: Path
) -> None:
    demand = {
        "step_weight_bytes": 1000, "kv_bytes_per_token": 0, "flops_per_token": 0,
        "head_flops": 1, "attention_flops": 0, "layers": 1,
        "windowed_layers": 0, "window": None,
    }  # fmt: skip
    machine = {
        "bandwidth_bytes_per_s": 4e4, "matmul_flops_per_s": 1e9, "matrix_dtype": "float32",
        "copied_bytes": 1 << 27, "matrix_edge": 1024,
    }  # fmt: skip
    roofline = {"machine": machine, "demand": demand, "reason": None}
    study.cell("fp32", edit=lambda contents: contents["generate"].update(roofline=roofline))
    study.cell("int8")
    text = page(study, tmp_path, {})
    # 36 steps of 1000 bytes at 40 kB/s take 0.9 s of the 3 s.
    assert text.count("30 % of the roofline") == text.count("% of the roofline") == 1


def made(study: Any, joules: float) -> None:
    """Let int8 have been made with so many joules inside the node, and fp32 not."""
    parts = ("gpu", "cpu", "dram", "job", "node")
    energies = {**dict.fromkeys(parts), "node": joules}
    status = dict.fromkeys(parts, "modelled")
    study.making = {"energy_j": energies, "energy_status": status, "energy_note": None}
    study.variant("fp32", windows=[])
    study.variant("int8", windows=[window("quantise", 0.0, 1.0)])


def row_of(text: str, variant: str) -> str:
    """A variant's row of the page's first table, without its line breaks."""
    (found,) = re.findall(rf"<tr[^>]*>\s*<td>[^<]*</td><td>{variant}</td>.*?</tr>", text, re.S)[:1]
    return " ".join(found.split())


def test_the_page_says_when_making_a_variant_has_paid(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(study, 12_345.0)
    study.cell("fp32", joules_per_run=(79.0, 80.0, 81.0))
    study.cell("int8", joules_per_run=(39.0, 40.0, 41.0))
    text = page(study, tmp_path, {})
    saved = ttest_ind(
        [79 / 4, 80 / 4, 81 / 4], [39 / 4, 40 / 4, 41 / 4], equal_var=False
    ).confidence_interval(0.95)
    low, high = (math.ceil(12_345 / joules) for joules in (saved.high, saved.low))
    assert "1,235 tasks" in row_of(text, "8-bit")
    assert f"[{low:,d}, {high:,d}]" in row_of(text, "8-bit")
    assert "tasks" not in row_of(text, "32-bit")


def test_the_page_says_when_making_a_variant_never_pays(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(study, 100.0)
    study.cell("fp32", joules_per_run=(80.0, 90.0, 100.0))
    study.cell("int8", joules_per_run=(70.0, 80.0, 90.0))
    assert re.search(r"\[\d+, never\]", row_of(page(study, tmp_path, {}), "8-bit"))
    study.variant("nf4", windows=[window("quantise", 0.0, 1.0)])
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
    assert (low, high) == pytest.approx(tango_interval(PairedCounts(33, 0, 7, 20)), abs=5e-4)


def test_a_score_of_zero_has_an_interval(study: Any, tmp_path: Path) -> None:
    study.cell("fp32", solved=())
    assert re.search(
        r"0\.000 *<br><span class=\"interval\">\[0\.000, 0\.490\]",
        row_of(page(study, tmp_path, {}), "32-bit"),
    )
