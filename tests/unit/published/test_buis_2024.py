"""Tables of Buis 2024: which printed figures follow from others, and how the audit is shown."""

import csv
import shutil
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from codewatt.cli import main
from codewatt.errors import CodewattError
from codewatt.published.buis_2024.audited_study import STUDY
from codewatt.published.buis_2024.printed_tables import FIGURE_FILES, read_tables
from codewatt.published.buis_2024.statistics_checks import largest_kruskal_wallis
from codewatt.published.buis_2024.table_audit import CHECKS, TableAudit
from codewatt.published.finding import BOUNDED, CONTRADICTED, HOLDS, NOT_SHOWN
from codewatt.published.published_study import open_study

RUN_TABLES = ("5.24", "5.29", "5.34", "5.40")


@pytest.fixture(scope="module")
def audit() -> TableAudit:
    return STUDY.audit(STUDY.data)


def table(name: str, *tables: str) -> pd.DataFrame:
    """Printed numbers of some tables: a row for each label, a column for each quantity."""
    frame = pd.read_csv(STUDY.data / name, dtype=str, keep_default_na=False)
    found = frame[frame["table"].isin(tables)]
    return found.pivot(index=["table", "section", "row"], columns="column", values="printed")


def ends(text: str) -> tuple[Decimal, Decimal]:
    """The exact ends of the values that round to a decimal number."""
    value = Decimal(text)
    half = Decimal(1).scaleb(int(value.as_tuple().exponent)) / 2
    return value - half, value + half


def test_every_table_is_complete(audit: TableAudit) -> None:
    tables = {figure.table for figure in read_tables(STUDY.data).figures}
    assert {f"5.{number}" for number in range(1, 41)} | {"4.1"} <= tables
    rows = sum(len(pd.read_csv(STUDY.data / name)) for name in FIGURE_FILES)
    assert audit.printed == rows == 1511
    assert {figure.check for figure in audit.figures} == set(CHECKS)


def test_pass_per_kwh_follows_in_every_row(audit: TableAudit) -> None:
    figures = {(f.table, f.row): f for f in audit.figures if f.check == "pass_per_kwh"}
    frame = table("runs.csv", *RUN_TABLES)
    assert len(figures) == len(frame) == 40
    for (name, _, row), cells in frame.iterrows():
        accuracy, energy = ends(cells["Pass@1"]), ends(cells["Energy consumption"])
        derived = figures[name, row].derived
        assert Decimal(float(derived.low)) == pytest.approx(accuracy[0] / energy[1])
        assert Decimal(float(derived.high)) == pytest.approx(accuracy[1] / energy[0])
        printed = ends(cells["Pass@kWh"])
        follows = printed[0] <= accuracy[1] / energy[0] and printed[1] >= accuracy[0] / energy[1]
        assert figures[name, row].follows == follows is True


def test_repeated_rows_differ_in_latency_and_throughput_of_the_instruct_models(
    audit: TableAudit,
) -> None:
    frame = table("runs.csv", *RUN_TABLES)
    expected = set()
    for name in ("5.34", "5.40"):
        for size in ("0.5B", "1.5B", "3B", "7B", "14B"):
            row = f"{size}-Instruct"
            printed, right = frame.loc[(name, "", row)], frame.loc[("5.29", "", row)]
            expected |= {(name, row, c) for c in frame.columns if printed[c] != right[c]}
            base = frame.loc[("5.24", "", size)]
            assert list(printed[["Latency", "Throughput"]]) == list(base[["Latency", "Throughput"]])
    differing = {
        (f.table, f.row, f.column)
        for f in audit.figures
        if f.check == "repeated_row" and not f.follows
    }
    assert differing == expected
    assert len(differing) == 20


def test_other_figures_that_differ_are_those_that_the_findings_explain(audit: TableAudit) -> None:
    differing = [f for f in audit.figures if not f.follows and f.check != "repeated_row"]
    assert {f.row for f in differing if f.check == "saving_in_text"} == {
        *("abstract_gptq_int8", "abstract_gptq_int4", "conclusion_gptq_int4")
    }
    scaled = [f for f in differing if f.check == "estimate_scale"]
    assert {f.column for f in scaled} == {"TTFT", "TGT"}
    assert len(differing) == 3 + len(scaled) == 22


def test_estimates_of_quantised_models_are_halves_and_quarters_but_for_the_ttft(
    audit: TableAudit,
) -> None:
    frame = table("estimates.csv", "5.35")
    whole, quarter = (
        frame.loc[("5.35", "", f"14B-Instruct{suffix}")] for suffix in ("", "-GPTQ-Int4")
    )
    low, high = (end / 4 for end in ends(whole["TTFT"]))
    (figure,) = [
        f
        for f in audit.figures
        if (f.check, f.row, f.column) == ("estimate_scale", "14B-Instruct-GPTQ-Int4", "TTFT")
    ]
    assert (float(figure.derived.low), float(figure.derived.high)) == (float(low), float(high))
    assert ends(quarter["TTFT"])[1] < low
    assert Decimal(quarter["VRAM"]) * 4 == Decimal(whole["VRAM"])


def test_p_values_of_the_tests_follow(audit: TableAudit) -> None:
    """Against scipy.stats, from the printed statistics."""
    figures = {
        (f.table, f.row): f for f in audit.figures if f.check in ("levene_p", "kruskal_wallis_p")
    }
    assert stats.f.sf(4.37, 1, 2278) == pytest.approx(
        float(figures["5.27", "7B"].derived.middle), rel=1e-3
    )
    assert stats.f.sf(591.13, 4, 5695) == pytest.approx(
        float(figures["5.21", "0.5B, 1.5B, 3B, 7B, 14B"].derived.middle), abs=1e-12
    )
    assert stats.chi2.sf(6.95, 1) == pytest.approx(
        float(figures["5.28", "3B"].derived.middle), rel=1e-3
    )
    assert stats.chi2.sf(2.52, 2) == pytest.approx(
        float(figures["5.16", "DeepSeekCoder-V2-Lite-16B"].derived.middle), rel=1e-3
    )
    assert all(figure.follows for figure in figures.values())


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_the_largest_kruskal_wallis_statistic_is_that_of_separate_groups(groups: int) -> None:
    samples = [range(7 * group, 7 * group + 7) for group in range(groups)]
    assert largest_kruskal_wallis(groups, 7) == pytest.approx(stats.kruskal(*samples).statistic)


def test_statistics_of_a_regression_follow(audit: TableAudit) -> None:
    """Table 5.6 by hand, from its printed log-likelihood, skewness and kurtosis."""
    figures = {f.row: f for f in audit.figures if (f.check, f.table) == ("model_statistic", "5.6")}
    assert figures["AIC"].derived.contains(2 * 8 - 2 * 1383.0)
    assert figures["BIC"].derived.contains(8 * 7.038784 - 2 * 1383.0)
    assert figures["Jarque-Bera (JB)"].derived.contains(
        1140 / 6 * (0.138**2 + (4.774 - 3) ** 2 / 4)
    )
    assert figures["Adj. R-squared (uncentered)"].derived.contains(1 - 0.018 * 1140 / 1132)
    assert all(figure.follows for figure in figures.values())


def test_the_command_prints_checks_and_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["published", "check", "buis_2024"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[1].split() == ["pass_per_kwh", "pass@1", "/", "energy", "40", "40", "0"]
    assert any(
        line.split()[:5] == ["5.40", "14B-Instruct", "Latency", "369.58", "290.87"]
        for line in lines
    )
    assert "wrong_reference_of_latency (contradicted)" in lines
    assert "14B AWQ -61.8 % becomes -51.4 %" in " ".join(text.split())
    assert "J/token" not in text


def test_the_command_prints_a_line_a_run_and_writes_a_csv(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.csv"
    assert main(["published", "check", "buis_2024", "--runs", "--csv", str(target)]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    (row,) = [line for line in lines if line[0] == "14B-Instruct-AWQ"]
    assert [cell.strip() for cell in row if cell] == [
        *("14B-Instruct-AWQ", "5.34", "0.66", "141.25", "49.66", "0.27"),
        *("369.2", "280", "5.65", "0.40 to 0.42"),
    ]
    with open(target, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    (wrong,) = [
        r for r in rows if (r["check"], r["row"]) == ("saving_in_text", "abstract_gptq_int4")
    ]
    assert (wrong["printed"], wrong["follows"]) == ("67%", "false")
    assert float(wrong["derived_high"]) == pytest.approx(100 * (1 - 0.455 / 1.355))


def test_each_finding_has_a_name_and_a_known_verdict(audit: TableAudit) -> None:
    names = [finding.name for finding in audit.findings]
    assert len(set(names)) == len(names)
    assert {f.verdict for f in audit.findings} == {HOLDS, BOUNDED, NOT_SHOWN, CONTRADICTED}
    for finding in audit.findings:
        assert all((finding.says, finding.shows, finding.consequence, finding.values))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("runs.csv", "174.67", "much", "runs.csv:3: printed: expected a printed number, found 'm"),
        ("runs.csv", "printed", "value", "runs.csv: missing column: printed"),
        ("runs.csv", ",0.32\n", "\n", "runs.csv:5: printed: the line ends before this column"),
        ("claims.csv", ",19%,", ",none,", "claims.csv:3: printed: expected a printed number"),
        ("bigcodebench_domains.csv", ",720,", ",x,", ":2: tasks: expected a whole number, found"),
    ],
)
def test_bad_files_are_named_in_one_line(
    tmp_path: Path, name: str, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(STUDY.data, tmp_path / "data")
    path = tmp_path / "data" / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert main(["published", "check", "buis_2024", "--data", str(tmp_path / "data")]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_missing_data_are_named(tmp_path: Path) -> None:
    study = open_study("buis_2024")
    with pytest.raises(CodewattError, match=r"absent: no such folder"):
        study.audit(tmp_path / "absent")
    with pytest.raises(CodewattError, match=r"model_characteristics\.csv: no such file"):
        study.audit(tmp_path)
    tables = read_tables(STUDY.data)
    with pytest.raises(CodewattError, match=r"table 5\.24: no number 'Latency' of '72B'"):
        tables.number("5.24", "72B", "Latency")
    with pytest.raises(CodewattError, match="no claim 'none'"):
        tables.claim("none")
