"""Printed numbers of de Reus et al. 2024: what must hold between them, and which do not follow."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from codewatt.cli import main
from codewatt.errors import CodewattError
from codewatt.published.de_reus_2024.audited_study import STUDY
from codewatt.published.de_reus_2024.count_files import after_prompt, has_body
from codewatt.published.de_reus_2024.paper_audit import TABLES, PaperAudit
from codewatt.published.de_reus_2024.printed_tables import FOLDER, read_tables
from codewatt.published.de_reus_2024.table_checks import CHECKS

FILES = ("pass_at_1.csv", "runtimes.csv", "figure_energies.csv", "cache_misses.csv")
PRINTED = pd.concat([pd.read_csv(FOLDER / name, dtype=str) for name in FILES])
PRINTED["value"] = pd.to_numeric(PRINTED["printed"].str.rstrip("%"))
WHERE = ["section", "row", "column"]


@pytest.fixture(scope="module")
def audit() -> PaperAudit:
    found = STUDY.audit(STUDY.data)
    assert isinstance(found, PaperAudit)
    return found


def wide(*tables: str) -> pd.DataFrame:
    found = PRINTED[PRINTED["table"].isin(tables)]
    return found.pivot(index=["section", "row"], columns="column", values="value")


def test_every_cell_of_every_table_is_there_once() -> None:
    assert not PRINTED.duplicated(["table", *WHERE]).any()
    assert PRINTED.groupby("table").size().to_dict() == {
        "II": 8,
        "III": 32,
        "IV": 36,
        **{f"figure {number}": 24 for number in (3, 4, 5, 6)},
        "figure 7": 21,
        "figure 8": 21,
        "readme": 24,
        "thesis 9": 4,
    }
    for tables in ("II", "III", "IV", "figure 3", "figure 8", "readme"):
        assert not wide(tables).isna().any().any(), tables
    assert set(PRINTED["table"]) == set(TABLES) == set(pd.read_csv(FOLDER / "tables.csv")["table"])


def test_what_must_hold_between_columns() -> None:
    """Parts add up; HumanEval+ is a subset; a share of 164 tasks; the same run in two tables."""
    for number in (3, 4, 5, 6):
        cells = wide(f"figure {number}")
        rounding = 4 * 0.005
        assert (cells["DRAM"] + cells["GPU"] + cells["CPU"] - cells["Total"]).abs().max() < rounding
        assert (cells["Total"] > cells[["DRAM", "GPU", "CPU"]].max(axis=1)).all()
    scores = wide("II", "III")
    assert (scores["HumanEval"] >= scores["HumanEval+"]).all()
    shares = PRINTED[PRINTED["column"].isin(["HumanEval", "HumanEval+"]) & PRINTED["unit"].eq("%")][
        "value"
    ]
    assert ((shares * 164 / 100 - (shares * 164 / 100).round()).abs() <= 0.0501 * 1.64).all()
    original = wide("II")["HumanEval+"]
    first = wide("figure 7")["HumanEval+"].unstack()["0 layers removed"]
    assert first["StarCoder2-3B"] * 100 == original["StarCoder2-3B", "128 tokens"]
    assert first["StarCoder2-7B"] * 100 == pytest.approx(original["StarCoder2-7B", "128 tokens"])
    assert first["Phi-2"] == wide("thesis 9").loc[("Phi-2", "128 tokens"), "HumanEval+"]
    whole = wide("figure 8")["Total"].unstack()["0 layers removed"]
    for number, model in ((3, "StarCoder2-3B"), (5, "StarCoder2-7B")):
        assert (
            whole[model]
            == wide(f"figure {number}").loc[(f"{model}, 128 tokens", "Original"), "Total"]
        )
    times = wide("IV")
    assert (times["Avg. time"] > 50 * times["Std. deviation"]).all()


def test_exactly_these_printed_numbers_do_not_follow(audit: PaperAudit) -> None:
    assert {figure.check for figure in audit.figures} == set(CHECKS)
    assert len(audit.figures) == 275
    differing = {
        (figure.table, figure.row, figure.column) for figure in audit.figures if not figure.follows
    }
    four, eight = "StarCoder2-3B, 128 tokens, 4-bit", "StarCoder2-3B, 256 tokens, 8-bit"
    assert differing == {
        *(
            ("IV", row, column)
            for row in (four, eight)
            for column in ("Avg. time", "Std. deviation")
        ),
        ("figure 3", "StarCoder2-3B, 128 tokens, Original", "GPU, std. deviation"),
        *(("VI.A", f"share_{name}", "%") for name in ("3b_128_4bit", "3b_128_8bit", "7b_256_4bit")),
        *(("VI.A", f"increase_{bits}bit_{end}", "%") for bits in (4, 8) for end in ("low", "high")),
        ("VIII", "increase_at_least", "%"),
        ("README", "readme_l2_4bit", "%"),
    }


def test_means_and_deviations_are_those_of_the_runs(audit: PaperAudit) -> None:
    """Each interval against pandas on energy.csv, whatever the printed number is."""
    runs = pd.read_csv(STUDY.data)
    runs = runs[~runs["table"].str.contains("former_3b|pruning/results_")]
    columns = {"DRAM": "dram_wh", "GPU": "gpu_wh", "CPU": "cpu_wh", "Total": "total_wh"}
    columns |= {"Avg. time": "runtime_s", "Std. deviation": "runtime_s"}
    bits = {"Original": "none", "4-bit": "4bit", "8-bit": "8bit"}
    checked = 0
    for figure in audit.figures:
        if figure.check not in ("runtime", "figure_energy", "pruned_energy"):
            continue
        model, *rest = figure.row.split(", ")
        chosen = runs[runs["model"] == model.lower()]
        if figure.check == "pruned_energy":
            chosen = chosen[chosen["token_limit"].eq(128) & chosen["precision"].eq("none")]
            chosen = chosen[chosen["layers_pruned"] == int(rest[0].split()[0])]
        else:
            chosen = chosen[chosen["token_limit"] == int(rest[0].split()[0])]
            chosen = chosen[chosen["precision"].eq(bits[rest[1]]) & chosen["layers_pruned"].eq(0)]
        values = chosen[columns[figure.column.removesuffix(", std. deviation")]]
        expected = values.std() if "deviation" in figure.column else values.mean()
        assert float(figure.derived.middle) == pytest.approx(expected, rel=1e-9), figure
        assert float(figure.derived.high - figure.derived.low) < 0.12
        checked += 1
    assert checked == 24 + 96 + 21


def test_solved_tasks_are_the_printed_shares() -> None:
    """The nearest count to each printed share is the counted one."""
    counts = pd.read_csv(FOLDER / "sample_counts.csv", dtype={"samples": str})
    counts = counts.set_index(["model", "token_limit", "precision", "layers_pruned"])
    assert (counts["tasks"] == 164).all()
    assert (counts["base_solved"] >= counts["plus_solved"]).all()
    bits = {"4-bit": "4bit", "8-bit": "8bit"}
    for _, row in PRINTED[PRINTED["table"] == "III"].iterrows():
        if row["unit"] != "%":
            continue
        model, limit = row["section"].split(", ")
        key = (model.lower(), int(limit.split()[0]), bits[row["row"]], 0)
        column = "plus_solved" if "+" in row["column"] else "base_solved"
        assert counts.loc[key, column] == round(row["value"] * 1.64)
    original = counts.xs(("none", 0), level=("precision", "layers_pruned"))["plus_solved"]
    for (model, limit, *_), row in counts.iterrows():
        assert row["plus_solved"] == (
            original[model, limit] - row["plus_lost"] + row["plus_gained"]
        )


def test_the_checklist_of_the_documentation_is_that_of_the_audit(audit: PaperAudit) -> None:
    page = FOLDER.parents[3] / "docs" / "explanation" / "reproduced-studies.md"
    section = page.read_text(encoding="utf-8").partition("### Checklist")[2].partition("\n## ")[0]
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in section.splitlines()
        if line.startswith("| ") and ".csv" in line
    ]
    assert len(lines) == 10
    for label, file, printed, _, differ, largest in lines:
        table = label.partition(",")[0].removeprefix("table ").replace("README", "readme")
        in_file = pd.read_csv(FOLDER / file)
        assert int(printed) == (in_file["table"] == table).sum(), table
        found = [figure for figure in audit.figures if figure.table == table]
        assert int(differ) == sum(not figure.follows for figure in found), table
        gap = max(abs(float(one.printed.value - one.derived.middle)) for one in found)
        number, unit = largest.split()
        scale = 100 if table == "figure 7" and unit == "points" else 1
        places = len(number.partition(".")[2])
        assert float(number) == round(gap * scale, places), table


@pytest.mark.parametrize(
    ("written", "body"),
    [
        ("    return 1\n", True),
        ("\n\n# a comment\n    return 1\n", True),
        ("\ndef f():\n    return 1\n", False),
        ("#    return 1\n", False),
        ("", False),
    ],
)
def test_a_body_is_indented_code_after_the_prompt(written: str, body: bool) -> None:
    assert has_body(written) is body


def test_a_prompt_is_recognised_without_its_spaces() -> None:
    assert after_prompt("def f(a): \n\n    x\n", "def f( a ):\n") == "\n    x\n"
    with pytest.raises(ValueError, match="does not start with the prompt 'def g"):
        after_prompt("def f():\n", "def g():\n")


def test_runs_that_are_not_the_papers_are_checked_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = STUDY.data.read_text(encoding="utf-8").splitlines()
    path = tmp_path / "some.csv"
    path.write_text("\n".join(lines[:11]) + "\n", encoding="utf-8")
    assert main(["published", "check", "de_reus_2024", "--data", str(path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Printed numbers and statements of the paper are not checked" in text
    assert "7B, 256 tokens, 8-bit" in text
    assert "Numbers that differ" not in text


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("runtimes.csv", "printed", "value", "runtimes.csv: missing column: printed"),
        ("runtimes.csv", "458.3", "fast", "runtimes.csv:2: printed: expected a printed number"),
        ("claims.csv", ",31.7,", ",31.7.1,", "claims.csv:2: printed: expected a printed number"),
        ("sample_counts.csv", ",164,14,", ",164,x,", "sample_counts.csv:2: could not convert"),
        ("ear_counts.csv", "gcn37,5,941.7", "gcn37\n", "ear_counts.csv:2: steps: the line ends"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
    for path in FOLDER.glob("*.csv"):
        shutil.copy(path, tmp_path)
    path = tmp_path / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CodewattError, match=message):
        read_tables(tmp_path)
    path.unlink()
    with pytest.raises(CodewattError, match=f"{name}: no such file"):
        read_tables(tmp_path)
