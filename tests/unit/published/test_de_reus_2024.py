"""The published runs of de Reus et al. 2024: flagged where they are wrong, corrected, told."""

import csv
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

import codewatt.published
from codewatt.cli import main
from codewatt.energy.meters.rapl import unwrapped_uj
from codewatt.energy.validity.plausibility import power_varies
from codewatt.errors import CodewattError
from codewatt.published.checked_run import CheckedRun, Configuration, group_by_table
from codewatt.published.counter_wraps import Wraps
from codewatt.published.de_reus_2024.audited_study import STUDY
from codewatt.published.de_reus_2024.published_run_checks import COUNTERS, check_runs
from codewatt.published.de_reus_2024.run_data import GROUP_MEAN, OWN_STEP, Run, read_runs
from codewatt.units import J_PER_WH

NAME = "de_reus_2024"
REPOSITORY = Path(__file__).parents[3]
RANGE_UJ = 262_143_328_850
#: The processors' rated power; nothing is drawn above it for a quarter of an hour.
PACKAGE_TDP_W = 250.0
SURE = {
    "results_3b_256_8bit": [6, 6, 7, 6, 7],
    "results_7b_128_8bit": [2] * 5,
    "results_7b_256_8bit": [4] * 5,
}


@pytest.fixture(scope="module")
def checked() -> list[CheckedRun[Run]]:
    return check_runs(read_runs(STUDY.data))


@pytest.fixture(scope="module")
def groups(checked: list[CheckedRun[Run]]) -> dict[str, Configuration[Run]]:
    return {g.name: g for g in group_by_table(checked)}


@pytest.fixture
def run() -> Run:
    """A sound run of 1000 s at 300 W in both packages."""
    return replace(
        read_runs(STUDY.data)[0],
        cpu_wh=300 * 1000 / J_PER_WH,
        runtime_s=1000.0,
        ear_packages_w=300.0,
        ear_match=OWN_STEP,
    )


def wraps_of(g: Configuration[Run]) -> list[Wraps]:
    return [c.wraps for c in g.runs if c.wraps]


@pytest.mark.parametrize(
    ("name", "published_wh", "both_wh", "all_wh"),
    [
        ("results_3b_128_8bit", 226, 372, 386),
        ("results_3b_256_8bit", 282, 718, 748),
        ("results_7b_128_8bit", 110, 255, 255),
        ("results_7b_256_8bit", 209, 500, 500),
    ],
)
def test_the_8_bit_configurations_are_corrected(
    groups: dict[str, Configuration[Run]],
    name: str,
    published_wh: float,
    both_wh: float,
    all_wh: float,
) -> None:
    runs = groups[name].runs
    assert fmean(c.run.total_wh for c in runs) == pytest.approx(published_wh, rel=0.01)
    assert fmean(c.corrected_both_wh for c in runs) == pytest.approx(both_wh, rel=0.01)
    assert fmean(c.corrected_wh for c in runs) == pytest.approx(all_wh, rel=0.01)


@pytest.mark.parametrize("name", ["no_wrap_unseen", "cpu_power_plausible"])
def test_exactly_the_8_bit_runs_are_flagged(checked: list[CheckedRun[Run]], name: str) -> None:
    flagged = [c.run for c in checked if name in c.errors]
    assert flagged == [c.run for c in checked if c.run.precision == "8bit"]
    assert len(flagged) == 25


def test_nothing_else_is_corrected(checked: list[CheckedRun[Run]]) -> None:
    for c in checked:
        if c.run.precision != "8bit":
            assert c.corrected_wh == c.corrected_both_wh == c.run.total_wh


def test_whole_wraps_explain_every_wrapped_run_with_a_log_of_its_own(
    groups: dict[str, Configuration[Run]],
) -> None:
    """Odd numbers are real: 7 wraps leave as little over as 6 do in other runs."""
    for name, missed in SURE.items():
        assert [w.missed for w in wraps_of(groups[name])] == missed
        assert all(abs(w.residual_wh) < 0.1 for w in wraps_of(groups[name]))
    wraps = wraps_of(groups["results_3b_256_8bit"])
    assert [(w.both, w.one) for w in wraps] == [(3, 0), (3, 0), (3, 1), (3, 0), (3, 1)]


def test_one_run_of_3b_128_is_not_explained(groups: dict[str, Configuration[Run]]) -> None:
    """Its job was an earlier one than the others', of which EAR's log is not published."""
    first, *others = groups["results_3b_128_8bit"].runs
    assert first.run.ear_match == GROUP_MEAN
    assert first.unexplained
    assert first.wraps is not None
    assert first.wraps.missed == 3
    assert first.wraps.residual_wh == pytest.approx(23, abs=1)
    assert [c.wraps.missed for c in others if c.wraps] == [2, 2, 2, 2]
    assert not any(c.unexplained for c in others)


def test_short_runs_agree_with_ear(checked: list[CheckedRun[Run]]) -> None:
    short = [c for c in checked if c.run.ear_match == OWN_STEP and c.run.precision != "8bit"]
    assert len(short) == 71
    assert all(c.wraps and abs(c.wraps.residual_share) < 0.005 for c in short)


def test_no_other_run_can_have_missed_a_wrap(checked: list[CheckedRun[Run]]) -> None:
    for c in checked:
        if c.run.ear_match != OWN_STEP and "no_wrap_unseen" not in c.errors:
            assert c.run.runtime_s < COUNTERS.range_j / PACKAGE_TDP_W


def test_other_flags(checked: list[CheckedRun[Run]]) -> None:
    errors = {name for c in checked for name in c.errors}
    assert errors == {
        *("no_wrap_unseen", "cpu_power_plausible", "cpu_agrees_with_ear", "co2_follows_energy")
    }
    odd = [c.run for c in checked if "co2_follows_energy" in c.errors]
    assert [(Path(run.table).name, run.run) for run in odd] == [("results_3b_256.csv", 3)]
    assert all("dram_measured" in c.warnings for c in checked)
    differing = [c for c in checked if "dram_agrees_with_ear" in c.warnings]
    assert [c.run for c in differing] == [c.run for c in checked if c.run.ear_match == OWN_STEP]


def test_what_ear_did_not_log_is_not_judged(checked: list[CheckedRun[Run]]) -> None:
    for c in checked:
        judged = {e["name"] for e in c.checks if e["passed"] is not None}
        assert ("no_wrap_unseen" in judged) == (c.run.ear_match in (OWN_STEP, GROUP_MEAN))
        assert ("cpu_agrees_with_ear" in judged) == (c.run.ear_match == OWN_STEP)
        assert ("gpu_agrees_with_ear" in judged) == (c.run.ear_match in (OWN_STEP, "shared step"))
        assert {"total_adds_up", "co2_follows_energy", "dram_measured"} <= judged


@given(
    starts=st.tuples(*[st.integers(0, RANGE_UJ - 1)] * 2),
    true_uj=st.tuples(*[st.integers(1, 12 * RANGE_UJ)] * 2),
    error=st.floats(-0.49, 0.49),
)
def test_any_energy_is_restored_if_ear_is_right_within_half_a_wrap(
    starts: tuple[int, int], true_uj: tuple[int, int], error: float
) -> None:
    """Each package read at start and end, one wrap undone, as CodeCarbon does."""
    ends = [(start + uj) % RANGE_UJ for start, uj in zip(starts, true_uj, strict=True)]
    read_uj = sum(
        unwrapped_uj(start, end, RANGE_UJ) for start, end in zip(starts, ends, strict=True)
    )
    true_wh = sum(true_uj) * 1e-6 / J_PER_WH
    ear_j = sum(true_uj) * 1e-6 + error * COUNTERS.range_j
    if ear_j <= 0:
        return
    wraps = COUNTERS.infer_wraps(read_uj * 1e-6 / J_PER_WH, ear_j / J_PER_WH)
    assert read_uj * 1e-6 / J_PER_WH + wraps.all_wh == pytest.approx(true_wh, abs=1e-5)
    assert wraps.missed == 2 * wraps.both + wraps.one
    assert wraps.residual_wh == pytest.approx(-error * COUNTERS.range_wh, abs=1e-4)


def test_a_figure_above_ears_misses_no_wrap() -> None:
    wraps = COUNTERS.infer_wraps(published_wh=500.0, reference_wh=100.0)
    assert (wraps.missed, wraps.residual_wh, wraps.explained) == (0, 400.0, False)


def test_a_run_is_corrected_only_if_its_counter_can_have_wrapped_unseen(run: Run) -> None:
    lacking = replace(run, cpu_wh=run.cpu_wh - COUNTERS.range_wh)
    (short,) = check_runs([lacking])
    assert short.run.runtime_s < COUNTERS.wrap_s(300.0)
    assert "cpu_agrees_with_ear" in short.errors
    assert short.corrected_wh == lacking.total_wh
    longer = replace(run, runtime_s=2000.0, cpu_wh=2 * run.cpu_wh - COUNTERS.range_wh)
    (long,) = check_runs([longer])
    assert "no_wrap_unseen" in long.errors
    assert long.corrected_wh == pytest.approx(longer.total_wh + COUNTERS.range_wh)
    assert long.corrected_both_wh == longer.total_wh


def test_a_sound_run_has_no_flags(run: Run) -> None:
    sound = replace(run, total_wh=run.dram_wh + run.gpu_wh + run.cpu_wh)
    (c,) = check_runs([sound])
    assert c.errors == []
    assert c.wraps == Wraps(COUNTERS, 0, 0.0, 0.0)


def test_power_varies() -> None:
    assert power_varies([45.0, 45.0, 45.01], 0.01, "x")["passed"] is False
    assert power_varies([45.0, 95.0], 0.01, "x")["passed"] is True
    assert power_varies([45.0], 0.01, "x")["passed"] is None


def test_the_command_prints_a_line_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["published", "check", NAME]) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith("results_3b_256_8bit ")]
    for part in ("281.5", "3 x 2 + 0..1", "718.4", "747.5", "no_wrap_unseen 5"):
        assert part in line
    (plain,) = [line for line in lines if line.startswith("results_7b_128 ")]
    assert plain.split()[6:9] == ["-", "-", "-"]
    assert plain.endswith("-")
    text = "\n".join(lines)
    assert "267 runs of de Reus et al. 2024." in text
    assert "45.0 W in every run. It is a constant of a model" in text.replace("\n", " ")
    assert "results_3b_256 run 3 has 0.278 g CO2 for 116.803 Wh" in text


def test_the_archive_has_the_output_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    page = REPOSITORY / "docs" / "archive" / "published-check.md"
    block = page.read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]
    assert main(["published", "check", NAME]) == 0
    assert capsys.readouterr().out == block


def test_the_command_prints_a_line_a_run_and_writes_a_csv(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["published", "check", NAME, "--runs", "--csv", str(tmp_path / "out.csv")]) == 0
    printed = capsys.readouterr().out.splitlines()
    table = printed[1 : printed.index("")]
    assert len(table) == 267
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 267
    (row,) = [
        r for r in rows if r["table"].endswith("/results_3b_256_8bit.csv") and r["run"] == "2"
    ]
    assert row["errors"].split() == ["no_wrap_unseen", "cpu_power_plausible", "cpu_agrees_with_ear"]
    assert [row[name] for name in ("wraps_missed", "wraps_both", "wraps_one")] == ["7", "3", "1"]
    assert float(row["corrected_wh"]) == pytest.approx(798.2, abs=0.1)
    unlogged = [r for r in rows if r["ear_match"] == ""]
    assert {r["wraps_missed"] for r in unlogged} == {""}
    assert list(tmp_path.iterdir()) == [tmp_path / "out.csv"]


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The committed file with the first match of a text changed."""
    text = STUDY.data.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "runs.csv"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cpu_wh", "cpu", "runs.csv: missing column: cpu_wh"),
        ("32.019", "much", "runs.csv:2: cpu_wh: expected a number, found 'much'"),
        ("32.019", "nan", "runs.csv:2: cpu_wh: expected a number, found 'nan'"),
        ("32.019", "", "runs.csv:2: cpu_wh: expected a number, found ''"),
        (",456.9,", ",0,", "runs.csv:2: runtime_s: expected a number above 0, found '0'"),
        (",128,none,0,3,", ",128,none,0,x,", "runs.csv:5: run: expected a whole number, found 'x'"),
        (",step\n", ",guess\n", "runs.csv:7: ear_match: expected one of"),
        (",284.587852,", ",,", "runs.csv:7: ear_packages_w: expected watts for ear_match 'step'"),
        (",none,0,0,", ",none\n", "runs.csv:2: layers_pruned: the line ends before this column"),
    ],
)
def test_bad_files_are_named_in_one_line(
    tmp_path: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = changed(tmp_path, old, new)
    assert main(["published", "check", NAME, "--data", str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(CodewattError, match="no such file"):
        read_runs(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CodewattError, match="not readable as CSV"):
        read_runs(tmp_path / "binary.csv")
    header = STUDY.data.read_text(encoding="utf-8").splitlines()[0]
    (tmp_path / "empty.csv").write_text(header + "\n", encoding="utf-8")
    with pytest.raises(CodewattError, match="contains no runs"):
        read_runs(tmp_path / "empty.csv")


def test_the_runs_are_part_of_the_package() -> None:
    package = Path(codewatt.published.__file__).parent
    assert STUDY.data.is_file()
    assert STUDY.data.is_relative_to(package)


def test_a_missing_file_of_runs_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "absent.csv"
    assert main(["published", "check", NAME, "--data", str(path)]) == 1
    assert capsys.readouterr().err == f"codewatt: {path}: no such file\n"
