"""The page on the published studies: its numbers, its checklist and its links."""

import csv
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from codewatt.plots import figure_style
from codewatt.published.page import write_page as page_module
from codewatt.published.page.changes_figure import NAME as CHANGES
from codewatt.published.page.energy_changes import OWN, EnergyChange
from codewatt.published.page.headline import contrasts, headline
from codewatt.published.page.own_measurements import read_changes, read_energies
from codewatt.published.page.page_data import PageData
from codewatt.published.page.redrawn_figures import FIGURES_3_TO_6, FIGURES_7_AND_8
from codewatt.published.page.redrawn_tables import shown_correction, text_like
from codewatt.published.page.sign_text import reasons
from codewatt.published.study_files import BUIS, DE_REUS

REPOSITORY = Path(__file__).parents[3]
PUBLISHED = REPOSITORY / "src" / "codewatt" / "published"


class Page:
    """The page of one build, with what its figures draw; no figure is rendered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.figures: dict[str, Any] = {}
        data: list[PageData] = []
        patch = pytest.MonkeyPatch()
        compute = page_module.compute_page
        patch.setattr(
            page_module, "compute_page", lambda results: data.append(compute(results)) or data[0]
        )
        patch.setattr(figure_style, "save", self._keep)
        page_module.write_page(folder, folder / "no results")
        patch.undo()
        self.data = data[0]
        self.html = (folder / page_module.PAGE).read_text(encoding="utf-8")

    def _keep(self, figure: Any, stem: Path) -> list[Path]:
        self.figures[stem.name] = figure
        stem.with_name(f"{stem.name}.png").write_bytes(b"not drawn")
        return [stem.with_name(f"{stem.name}{suffix}") for suffix in (".png", ".pdf")]

    def rows(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader((self.folder / f"{name}.csv").open(encoding="utf-8")))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(tmp_path_factory.mktemp("published"))


def archive_tables(name: str) -> list[list[dict[str, str]]]:
    """The Markdown tables of a page of the archive."""
    text = (REPOSITORY / "docs" / "archive" / f"{name}.md").read_text(encoding="utf-8")
    tables = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()]
        tables.append([dict(zip(lines[0], cells, strict=True)) for cells in lines[2:]])
    return tables


def numbers(text: str) -> list[float]:
    plain = text.replace(",", "").replace("\N{MINUS SIGN}", "-")
    return [float(found) for found in re.findall(r"-?[\d.]+", plain)]


def test_own_energies_are_those_of_the_archive_and_none_is_missing() -> None:
    printed = []
    for name in ("h200-engines", "gptq-awq-fp8", "h100-metering"):
        place = 0
        for rows in archive_tables(name):
            column = next((head for head in rows[0] if head.startswith("J/token")), None)
            label = next((head for head in ("precision", "variant") if head in rows[0]), None)
            if column is None or label is None:
                continue
            place += 1
            for row in rows:
                if not row[column]:  # infeasible
                    continue
                mean, interval = row[column].split(" ", 1)
                low, high = interval.strip("[]").split(", ")
                task = numbers(row["J/task"])[0] if "J/task" in row else None
                where = (name, place, row[label], row.get("engine", "transformers"))
                batch = int(row.get("batch", "1"))
                printed.append((*where, batch, float(mean), float(low), float(high), task))
    typed = [
        (
            *(one.setting.page, one.table, one.label, one.setting.engine, one.setting.batch_size),
            *(one.j_per_token, one.low, one.high, one.j_per_task),
        )
        for one in read_energies()
    ]
    assert typed == printed
    assert len(typed) == 62


def test_own_changes_are_those_of_the_archive() -> None:
    sessions = next(
        numbers(row["change of energy"].replace("%", ""))
        for rows in archive_tables("h200-sessions")
        for row in rows
        if (row.get("comparison"), row.get("sessions")) == ("int8-wo", "1 to 4")
    )
    (small,) = (
        row
        for rows in archive_tables("h200-smollm2")
        for row in rows
        if row[""] == "change of J/token"
    )
    weights = [numbers(small[name].replace("%", "")) for name in list(small)[2:]]
    typed = [[one.change_percent, one.low, one.high] for one in read_changes()]
    assert typed == [sessions, *weights]


def find(page: Page, **wanted: Any) -> list[EnergyChange]:
    return [
        one
        for one in page.data.changes
        if all(getattr(one, name) == value for name, value in wanted.items())
    ]


def test_changes_of_the_paper_are_those_of_its_runs(page: Page) -> None:
    rows = list(csv.DictReader((PUBLISHED / "de_reus_2024" / "energy.csv").open()))

    def mean(precision: str) -> float:
        table = f"results_7b_256{'' if precision == 'none' else '_' + precision}.csv"
        found = [row for row in rows if row["table"].endswith(f"energy_data/{table}")]
        assert len(found) == 5
        return fmean(float(row["gpu_wh"]) for row in found)

    (change,) = find(page, study=DE_REUS, source="figure 6", method="LLM.int8()", boundary="GPU")
    assert change.change_percent == pytest.approx(100 * (mean("8bit") / mean("none") - 1))
    assert change.low < change.change_percent < change.high
    assert len(find(page, study=DE_REUS)) == 16
    saving = find(page, study=DE_REUS, model="StarCoder2-7B", boundary="GPU")[:2]
    assert [round(one.change_percent) for one in saving] == [-18, -18]


def test_changes_of_the_thesis_are_per_token_and_against_the_right_model(page: Page) -> None:
    (change,) = find(page, study=BUIS, model="Qwen2.5-7B", method="AWQ int4")
    # Tables 5.29 and 5.34: kWh, minutes, tokens/s.
    quantised, whole = 0.27 / (68.87 * 94.99), 0.82 / (180.82 * 38.95)
    assert change.change_percent == pytest.approx(100 * (quantised / whole - 1), abs=1e-9)
    widest = (0.275 / (68.865 * 94.985)) / (0.815 / (180.825 * 38.955)) - 1
    assert change.high == pytest.approx(100 * widest, abs=1e-6)
    assert len(find(page, study=BUIS)) == 15


def test_own_changes_have_limits_and_a_sign_only_where_these_exclude_zero(page: Page) -> None:
    wanted = {"study": OWN, "method": "int8 weights", "reference": "bfloat16", "batch_size": 1}
    slow, fast, _, stated = find(page, **wanted)
    assert slow.change_percent == pytest.approx(100 * (6.06 / 4.21 - 1))
    assert math.isinf(slow.high)
    assert not slow.sign_shown
    assert fast.change_percent == pytest.approx(100 * (0.81 / 0.999 - 1))
    assert fast.low == pytest.approx(100 * (0.798 / 1.04 - 1))
    assert fast.high == pytest.approx(100 * (0.822 / 0.961 - 1))
    assert fast.sign_shown
    assert (stated.change_percent, stated.low, stated.high) == (-19.04, -21.83, -16.15)


def test_a_reference_on_another_board_widens_the_limits(page: Page) -> None:
    (change,) = find(page, gpu="H100", engine="transformers", method="GPTQ int4")
    text = (REPOSITORY / "docs" / "archive" / "h200-sessions.md").read_text(encoding="utf-8")
    assert "(4,159 and 4,649 J)" in text
    ratio = 4649 / 4159
    assert change.low == pytest.approx(100 * (3.13 / 3.73 / ratio - 1))
    assert change.high == pytest.approx(100 * (3.47 / 3.51 * ratio - 1))
    assert not change.sign_shown


def test_the_figure_draws_every_change_once(page: Page) -> None:
    axes = page.figures[CHANGES].axes[0]
    drawn = [line for line in axes.lines if line.get_linestyle() == "None"]
    expected = [
        one
        for one in page.data.changes
        if (one.study, one.reference) != (OWN, "float32") or one.batch_size == 1
    ]
    ratios = sorted(1 + one.change_percent / 100 for one in expected)
    assert sorted(line.get_xdata()[0] for line in drawn) == pytest.approx(ratios)
    filled = sum(line.get_markerfacecolor() != "white" for line in drawn)
    assert filled == sum(one.sign_shown for one in expected)
    low, high = axes.get_xlim()
    assert low < ratios[0] < ratios[-1] < high


def test_redrawn_bars_add_up_to_the_corrected_totals(page: Page) -> None:
    totals = [386, 748, 255, 500]  # docs/explanation/reproduced-studies.md
    for axes, total in zip(page.figures[FIGURES_3_TO_6].axes, totals, strict=True):
        tops = [bar.get_y() + bar.get_height() for bar in axes.patches]
        assert max(tops) == pytest.approx(total, abs=0.6)
    passes = page.figures[FIGURES_7_AND_8].axes[0].lines[0].get_ydata()
    # Figure 7 of the paper prints these shares for Phi-2.
    printed = [
        one for one in page.data.values if one.table == "figure 7" and one.section == "Phi-2"
    ]
    assert list(passes) == pytest.approx([100 * one.value for one in printed], abs=0.06)


def test_corrected_values_of_tables(page: Page) -> None:
    values = {(one.table, one.row, one.column): one for one in page.data.values}
    latency = values["5.34", "7B-Instruct", "Latency"]
    assert (latency.printed, latency.corrected, latency.follows) == ("191.68", 180.82, False)
    assert values["5.1", "General", "Usage"].corrected == pytest.approx(100 * 504 / 1140)
    assert values["4.1", "Qwen2,5-Coder", "n_params"].corrected == 7_615_616_512
    assert values["5.30", "14B-Instruct-AWQ", "TTFT"].corrected == pytest.approx(0.0488, abs=1e-4)
    assert values["5.24", "7B", "Latency"].corrected is None


def test_the_spread_of_corrected_totals_is_corrected_too(page: Page) -> None:
    rows = list(csv.DictReader((PUBLISHED / "de_reus_2024" / "energy.csv").open()))
    runs = [r for r in rows if r["table"] == "EvalPlus/energy_data/results_3b_256_8bit.csv"]
    wrap_wh = 262_143.328850 / 3600
    totals = []
    for run in runs:
        seconds, published = float(run["runtime_s"]), float(run["cpu_wh"])
        missed = round((float(run["ear_packages_w"]) * seconds / 3600 - published) / wrap_wh)
        totals.append(float(run["total_wh"]) + missed * wrap_wh)
    (value,) = (
        one
        for one in page.data.values
        if (one.table, one.row, one.column) == ("figure 4", "8-bit", "Total, std. deviation")
    )
    assert (value.printed, value.corrected) == ("24.25", pytest.approx(stdev(totals)))
    assert shown_correction(value) == "47.22"


def test_table_iv_counts_as_corrected_what_it_shows(page: Page) -> None:
    (item,) = (one for one in page.data.items if (one.kind, one.number) == ("table", "IV"))
    assert (item.differing, item.corrected) == (4, 4)


@pytest.mark.parametrize(
    ("printed", "number", "text"),
    [
        *(("6766.2", 6777.66, "6777.7"), ("10.8", 2.695, "2.7"), ("36.00", 16.377, "16.38")),
        *(("0.04", 0.02404, "0.024"), ("0.66", 0.4914, "0.49"), ("0.001", 0.00136, "0.0014")),
        *(("7B", 7_615_616_512, "7.62B"), ("3.58e12", 3.355e12, "3.36e12")),
        *(("64.8%", 63.158, "63.2%"), ("100%", 44.21, "44%"), ("0.33", 0.3859, "0.39")),
    ],
)
def test_corrected_numbers_have_the_form_of_the_printed_ones(
    printed: str, number: float, text: str
) -> None:
    assert text_like(printed, number) == text


def test_every_printed_number_is_on_the_page(page: Page) -> None:
    count = 0
    for study, names in (("de_reus_2024", 4), ("buis_2024", 7)):
        files = {row["file"] for row in csv.DictReader((PUBLISHED / study / "tables.csv").open())}
        assert len(files) == names
        count += sum(len(list(csv.DictReader((PUBLISHED / study / name).open()))) for name in files)
    assert len(page.rows("printed_values")) == len(page.data.values) == count


def test_checklist(page: Page) -> None:
    items = page.data.items
    keys = [(one.study, one.kind, one.number) for one in items]
    assert len(set(keys)) == len(keys)
    formulas = [one.number for one in items if one.kind == "formula"]
    assert formulas == [f"3.{number}" for number in range(1, 38)]
    assert all(one.made or one.note for one in items)
    assert sum(one.printed for one in items) == len(page.data.values)
    assert [row["number"] for row in page.rows("checklist")] == [one.number for one in items]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if tag == "a" else []
        self.sources += [found["src"] or ""] if "src" in found else []
        assert tag not in ("script", "link")


def test_links_lead_to_places_of_the_page_and_nothing_is_loaded(page: Page) -> None:
    links = _Links()
    links.feed(page.html)
    assert len(set(links.ids)) == len(links.ids)
    assert links.links
    assert {link.removeprefix("#") for link in links.links} <= set(links.ids)
    assert len(links.sources) == len(page.figures) == 7
    assert all(source.startswith("data:image/png;base64,") for source in links.sources)


def test_every_finding_has_a_verdict_on_the_page(page: Page) -> None:
    rows = page.rows("verdicts")
    found = [one for findings in page.data.findings.values() for one in findings]
    assert [row["finding"] for row in rows] == [one.name for one in found]
    assert all(f'<details id="{one.name}">' in page.html for one in found)
    statements = page.rows("statements")
    assert {row["finding"] for row in statements} <= {one.name for one in found}
    assert len(statements) == 12 + 24


def test_reasons_name_measured_signs(page: Page) -> None:
    texts = {one.topic: one.text for one in reasons(page.data.changes, page.data.energies)}
    # 6.06 / 3.78 and 0.810 / 1.74 J per token, docs/archive/h200-engines.md.
    assert "+60 %" in texts["engine"]
    assert "\N{MINUS SIGN}53 %" in texts["engine"]
    # 25.2 J and 20.1 J per task.
    assert "+25 % per task" in texts["prefill"]


def test_the_first_screen_answers_the_question(page: Page) -> None:
    first = page.html.split("<h1>")[1].split("<figure")[0]
    assert first.startswith("Does quantisation save or cost energy?")
    rows = {one.topic: one for one in contrasts(page.data.changes, page.data.findings)}
    assert all(one.topic in first for one in rows.values())
    times = rows["run time of quantised models"]
    # Figures 3 to 6: run times of energy.csv; tables 5.29, 5.34 and 5.40: minutes.
    energy = list(csv.DictReader((PUBLISHED / "de_reus_2024" / "energy.csv").open()))

    def seconds(table: str) -> float:
        name = f"EvalPlus/energy_data/results_{table}.csv"
        return fmean(float(row["runtime_s"]) for row in energy if row["table"] == name)

    ratios = [
        seconds(f"{model}_{bits}") / seconds(model)
        for model in ("3b_128", "3b_256", "7b_128", "7b_256")
        for bits in ("4bit", "8bit")
    ]
    assert times.de_reus.startswith(f"{min(ratios):.1f} to {max(ratios):.1f} times")
    assert times.buis.startswith(f"{102.23 / 290.87:.2f} to {44.58 / 57.72:.2f} times")
    assert times.buis.endswith(f"{28.72 / 27.97:.2f} to {35.50 / 27.97:.2f} times for 0.5B")
    changes = rows["change of energy per token, GPU only"]
    minus = "\N{MINUS SIGN}"
    assert (changes.de_reus, changes.buis) == (f"{minus}18 to +240 %", f"{minus}65 to +3 %")
    # 6.06 / 3.78 and 0.810 / 1.74 J per token, docs/archive/h200-engines.md.
    (text,) = (one for one in headline(page.data.changes) if "H200" in one or "engine" in one)
    assert "+60 %" in text
    assert f"{minus}53 %" in text


def test_the_documentation_states_the_same_signs(page: Page) -> None:
    text = (REPOSITORY / "docs" / "explanation" / "reproduced-studies.md").read_text("utf-8")
    section = text.split("## Does quantisation save or cost energy?")[1].split("\n## ")[0]
    changes = re.findall(r"[+\N{MINUS SIGN}]\d+(?: to \+\d+)? %(?:\s\[[^]]*\])?", section)
    shown = " ".join(one.text for one in reasons(page.data.changes, page.data.energies))
    assert len(changes) >= 15
    for change in changes:
        assert re.sub(r"\s", " ", change).rstrip("]") in shown, change
